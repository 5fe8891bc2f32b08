//! Measures the figures of the README: start, memory, time added before the first token, CPU for each chunk, fan-outs.
//!
//! `make figures` builds the gateway for release and runs this; names as arguments measure only those. Everything is
//! measured in one run on one machine, what is compared takes turns, and medians are told: machines are noisy, ratios
//! less so.

mod fan_out; // candidates side by side, and what a client that leaves stops
mod policy; // what the sandbox costs
mod turns; // what a turn on the real Codex costs

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use airlock_tests::direct::AppServer;
use airlock_tests::{Gateway, ModelAnswer, ScriptedModel, process, programs};
use anyhow::{Context, Result, bail};
use futures_util::future::try_join_all;
use serde_json::{Value, json};

/// Rounds of what takes long, and of what does not.
const STARTS: usize = 7;
const ROUNDS: usize = 41;

/// The load under which chunks are counted.
const STREAMS: usize = 20;
const DELTAS: usize = 500;

/// `USER_HZ`: what `/proc/PID/stat` counts in, on every Linux that Airlock runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// What can be measured by itself: `figures fan-out`.
const NAMES: [&str; 7] = [
    "start",
    "first-token",
    "chunks",
    "fan-out",
    "policy",
    "turns",
    "recycling",
];

#[tokio::main]
async fn main() -> ExitCode {
    let names: Vec<_> = std::env::args().skip(1).collect();
    match run(&names).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("figures: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Measures what is named, or all of it.
async fn run(names: &[String]) -> Result<()> {
    if let Some(name) = names.iter().find(|name| !NAMES.contains(&name.as_str())) {
        bail!("there is no figure {name}: {}", NAMES.join(", "));
    }
    let wanted = |name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
    let model = ScriptedModel::start().await?;
    if wanted("start") {
        start_without_child().await?;
        start_with_child(&model).await?;
    }
    if wanted("first-token") || wanted("chunks") {
        let gateway = ready(&model).await?;
        say(&format!("resident, idle: {}", resident(&gateway)?));
        if wanted("first-token") {
            first_tokens(&gateway).await?;
        }
        if wanted("chunks") {
            chunks(&gateway, &model).await?;
        }
        say(&format!(
            "resident, after all of it: {}",
            resident(&gateway)?
        ));
    }
    if wanted("fan-out") {
        fan_out::measure().await?;
    }
    if wanted("policy") {
        policy::measure().await?;
    }
    if wanted("turns") {
        turns::measure().await?;
    }
    if wanted("recycling") {
        turns::recycling().await?;
    }
    Ok(())
}

async fn first_tokens(gateway: &Gateway) -> Result<()> {
    first_token("the real Codex", gateway, programs::real_codex()?).await?;
    let scripted = Gateway::with().over(programs::fake_codex()?).await?;
    scripted.logged("codex is ready").await?;
    first_token(
        "a scripted Codex that answers at once",
        &scripted,
        programs::fake_codex()?,
    )
    .await
}

/// From the start of the process until it listens.
async fn start_without_child() -> Result<()> {
    let mut taken = Vec::new();
    for _ in 0..STARTS {
        let began = Instant::now();
        let _gateway = Gateway::with().over("/nonexistent/codex".into()).await?;
        taken.push(began.elapsed());
    }
    say(&format!(
        "start until it listens, without a child: {}",
        told(taken)
    ));
    Ok(())
}

/// From the start of the process until the real Codex has answered.
async fn start_with_child(model: &ScriptedModel) -> Result<()> {
    let mut taken = Vec::new();
    for _ in 0..STARTS {
        let began = Instant::now();
        let _gateway = ready(model).await?;
        taken.push(began.elapsed());
    }
    say(&format!(
        "start until the real Codex is ready: {}",
        told(taken)
    ));
    Ok(())
}

async fn ready(model: &ScriptedModel) -> Result<Gateway> {
    let gateway = Gateway::over_real(model).await?;
    gateway.logged("codex is ready").await?;
    Ok(gateway)
}

/// The time until the first piece of text: through the gateway, and from the same Codex in the same home without it.
async fn first_token(codex: &str, gateway: &Gateway, binary: PathBuf) -> Result<()> {
    let mut direct = AppServer::start(binary, &gateway.codex_home()).await?;
    let (mut through, mut without) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let (one, other) = (
            first_through(gateway).await?,
            first_without(&mut direct).await?,
        );
        // The first of each warms up.
        if round > 0 {
            through.push(one);
            without.push(other);
        }
    }
    say(&format!("first token, {codex}"));
    say(&format!("  through the gateway: {}", told(through)));
    say(&format!(
        "  from the app-server directly: {}",
        told(without)
    ));
    Ok(())
}

async fn first_through(gateway: &Gateway) -> Result<Duration> {
    let began = Instant::now();
    let mut stream = gateway.client().stream(json!({})).await?;
    stream.next_text().await?;
    let taken = began.elapsed();
    stream.frames().await?;
    Ok(taken)
}

async fn first_without(direct: &mut AppServer) -> Result<Duration> {
    let began = Instant::now();
    let thread = direct.thread("gpt-5.5").await?;
    let first = std::cell::Cell::new(None);
    let see = |message: &Value| {
        if message["method"] == "item/agentMessage/delta" && first.get().is_none() {
            first.set(Some(began.elapsed()));
        }
    };
    direct.turn_with(&thread, "hi", see).await?;
    direct
        .call("thread/unsubscribe", json!({ "threadId": thread }))
        .await?;
    first.get().context("a turn without text")
}

/// CPU time of the gateway alone for each chunk, while the real Codex streams as fast as it can.
async fn chunks(gateway: &Gateway, model: &ScriptedModel) -> Result<()> {
    let deltas = (0..DELTAS).fold(ModelAnswer::new(), |answer, _| answer.text("word "));
    model.otherwise(deltas);
    let mut per_chunk = Vec::new();
    for round in 0..=5 {
        let (before, began) = (cpu(gateway.pid())?, Instant::now());
        let streams = (0..STREAMS).map(|_| async {
            let mut stream = gateway.client().stream(json!({})).await?;
            let frames = stream.frames().await?;
            anyhow::Ok(
                frames
                    .iter()
                    .filter(|frame| !frame.text().is_empty())
                    .count(),
            )
        });
        let count: usize = try_join_all(streams).await?.into_iter().sum();
        let (spent, taken) = (cpu(gateway.pid())? - before, began.elapsed());
        if round > 0 {
            #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
            let chunks = count as f64;
            per_chunk.push(Duration::from_secs_f64(spent / chunks));
            let rate = chunks / taken.as_secs_f64();
            say(&format!(
                "  {STREAMS} streams of {DELTAS} deltas: {count} chunks, {rate:.0} a second"
            ));
        }
    }
    say(&format!(
        "CPU of the gateway for each chunk: {}",
        told(per_chunk)
    ));
    Ok(())
}

/// Seconds of CPU time that a process has used.
fn cpu(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name may hold anything, so fields are counted behind it: utime and stime are the 14th and the 15th of all.
    let fields = stat
        .rsplit_once(')')
        .context("no name")?
        .1
        .split_whitespace()
        .skip(11)
        .take(2);
    let ticks = fields.map(str::parse::<f64>).sum::<Result<f64, _>>()?;
    Ok(ticks / TICKS_PER_SECOND)
}

/// What a gateway holds now, in MiB.
fn resident(gateway: &Gateway) -> Result<String> {
    Ok(mebibytes(process::resident(gateway.pid())?))
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

fn median(taken: &mut [Duration]) -> Duration {
    taken.sort();
    taken.get(taken.len() / 2).copied().unwrap_or_default()
}

fn told(mut taken: Vec<Duration>) -> String {
    let middle = median(&mut taken);
    let (least, most) = (taken.first(), taken.last());
    format!(
        "median {middle:.2?} ({:.2?} to {:.2?}, {} runs)",
        least.copied().unwrap_or_default(),
        most.copied().unwrap_or_default(),
        taken.len()
    )
}

#[expect(clippy::print_stdout, reason = "this program is its output")]
fn say(line: &str) {
    println!("{line}");
}
