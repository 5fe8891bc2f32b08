//! `make bench`: Airlock measured against the limit, in one run on one machine.

mod codex; // what a gateway makes of the real Codex
mod fan_out; // a fan-out on the real Codex, and leaving it
mod http; // the generator
mod line; // Codex's stdout, and nothing between
mod loads; // what is asked of whom
mod memory; // starting, and doing nothing
mod party; // who is measured
mod reach; // what was wanted
mod record; // what is kept of it
mod recycling; // many turns on the real Codex
mod spans; // times and sizes
mod told; // what came of a round
mod turns; // turns on the real Codex
mod used; // what a server uses

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use airlock_tests::{Gateway, ScriptedModel, programs, within};
use anyhow::{Context as _, Result, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};

use self::party::Party;
use self::record::Record;

/// The clients' key. Only Airlock asks for it.
const KEY: &str = "bench";

/// What can be measured by itself.
const PARTS: [&str; 6] = ["loads", "idle", "start", "turns", "fan-out", "recycling"];

/// Rounds of each load besides the first, which warms up.
const ROUNDS: usize = 7;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is asked for on the command line.
#[derive(Default)]
struct Options {
    /// Another build of Airlock, to be compared in the same run.
    against: Option<PathBuf>,
    /// What alone is measured.
    part: Option<String>,
    /// Part of the name of the one load that is, of which nothing is kept.
    load: Option<String>,
}

impl Options {
    fn parse() -> Result<Self> {
        let mut options = Self::default();
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            match word.as_str() {
                "--against" => {
                    options.against = Some(words.next().context("--against FILE")?.into());
                }
                "--load" => options.load = words.next(),
                part if PARTS.contains(&part) => options.part = Some(word),
                _ => bail!(
                    "bench [{}] [--load PART-OF-A-NAME] [--against ANOTHER-AIRLOCK]",
                    PARTS.join("|")
                ),
            }
        }
        Ok(options)
    }
}

/// How long all of it may take.
const WHOLE: Duration = Duration::from_secs(600);

/// Files that may be open at once: 1,000 streams of each who is compared, and the rest.
const FILES: u64 = 8192;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("bench: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    let options = Options::parse()?;
    allow_files()?;
    let file = programs::target()?.join("bench.json");
    // One load would take the place of all.
    let file = options.load.is_none().then_some(file);
    let mut record = Record::open(file, conditions()?)?;
    let all = Box::pin(measure(&options, &mut record));
    let measured = within(WHOLE, "the end of it all", all).await;
    // Even where a part has failed: what was measured before counts.
    reach::tell(record.now());
    measured.flatten()
}

async fn measure(options: &Options, record: &mut Record) -> Result<()> {
    let wanted = |part: &str| options.part.as_deref().is_none_or(|only| only == part);
    let against = options.against.as_deref();
    if wanted("loads") {
        let mut parties = Party::all(against).await?;
        let figures = loads::measure(&mut parties, options.load.as_deref()).await?;
        record.keep("loads", figures)?;
    }
    if wanted("idle") {
        record.keep("idle", memory::idle(against).await?)?;
    }
    if wanted("start") {
        record.keep("start", memory::start().await?)?;
    }
    if wanted("turns") {
        record.keep("turns", turns::measure().await?)?;
    }
    if wanted("fan-out") {
        record.keep("fan-out", fan_out::measure().await?)?;
    }
    if wanted("recycling") {
        record.keep("recycling", recycling::measure().await?)?;
    }
    Ok(())
}

/// More than most shells allow. The servers inherit it.
fn allow_files() -> Result<()> {
    let now = getrlimit(Resource::Nofile);
    let most = now.maximum.map_or(FILES, |most| most.min(FILES));
    if now.current.is_some_and(|current| current < most) {
        let more = Rlimit {
            current: Some(most),
            ..now
        };
        setrlimit(Resource::Nofile, more).context("allowing more files")?;
    }
    Ok(())
}

/// What was measured where.
fn conditions() -> Result<Value> {
    let cpu = fs::read_to_string("/proc/cpuinfo")?;
    let model = cpu.lines().find(|line| line.starts_with("model name"));
    let model = model.and_then(|line| Some(line.split_once(": ")?.1));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let processors = std::thread::available_parallelism()?.get();
    say(&format!(
        "{processors} processors ({}), Linux {}, {ROUNDS} rounds, medians",
        model.unwrap_or("unknown"),
        kernel.trim()
    ));
    let conditions = json!({"version": env!("CARGO_PKG_VERSION"), "processors": processors, "model": model,
        "kernel": kernel.trim()});
    Ok(conditions)
}

/// A gateway over the real Codex, which is ready.
async fn ready(model: &ScriptedModel) -> Result<Gateway> {
    let gateway = Gateway::over_real(model).await?;
    gateway.logged("codex is ready").await?;
    Ok(gateway)
}

#[expect(clippy::print_stdout, reason = "this program is its output")]
fn say(line: &str) {
    println!("{line}");
}
