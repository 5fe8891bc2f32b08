//! `make bench`: Airlock measured against the limit, in one run on one machine.

mod codex; // the real Codex under a gateway
mod contender; // the systems that are compared
mod fan_out; // a fan-out on the real Codex, and leaving it
mod goals; // performance goals
mod http; // the load generator
mod loads; // loads on all contenders
mod measurement; // measurements of a round
mod memory; // start-up time, idle and silent streams
mod pipe; // Codex's standard output, read directly
mod record; // target/bench.json
mod recycling; // many turns on the real Codex
mod spans; // times and sizes
mod turns; // turns on the real Codex
mod used; // resource usage of a server

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use airlock_tests::{Gateway, ScriptedModel, programs, within};
use anyhow::{Context as _, Result, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};

use self::contender::Contender;
use self::record::Record;

/// The clients' API key, which only Airlock requires.
const KEY: &str = "bench";

/// The parts that can be measured separately.
const PARTS: [&str; 6] = ["loads", "idle", "start", "turns", "fan-out", "recycling"];

/// Rounds of each load besides the first, which warms up.
const ROUNDS: usize = 7;

/// Timeout of a single step.
const PATIENCE: Duration = Duration::from_secs(60);

/// The command-line options.
#[derive(Default)]
struct Options {
    /// Another build of Airlock, to compare with in the same run.
    against: Option<PathBuf>,
    /// The only part to measure.
    part: Option<String>,
    /// A part of the name of the only load to measure. Its figures are not recorded.
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

/// Timeout of the whole run.
const WHOLE: Duration = Duration::from_secs(600);

/// The limit of open files: 1,000 streams of each contender, and the rest.
const FILES: u64 = 8192;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_line(&format!("bench: {error:#}"));
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
    goals::print(record.now());
    measured.flatten()
}

async fn measure(options: &Options, record: &mut Record) -> Result<()> {
    let wanted = |part: &str| options.part.as_deref().is_none_or(|only| only == part);
    let against = options.against.as_deref();
    if wanted("loads") {
        let mut contenders = Contender::all(against).await?;
        let figures = loads::measure(&mut contenders, options.load.as_deref()).await?;
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

/// The conditions of the measurement.
fn conditions() -> Result<Value> {
    let cpu = fs::read_to_string("/proc/cpuinfo")?;
    let model = cpu.lines().find(|line| line.starts_with("model name"));
    let model = model.and_then(|line| Some(line.split_once(": ")?.1));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let processors = std::thread::available_parallelism()?.get();
    print_line(&format!(
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
fn print_line(line: &str) {
    println!("{line}");
}
