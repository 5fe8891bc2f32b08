//! Costs without load: start-up time, memory of an idle server, and memory and CPU time of silent streams.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use airlock_tests::load::Load;
use airlock_tests::{Gateway, ScriptedModel, process};
use anyhow::Result;
use futures_util::future::try_join_all;
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::time::sleep;

use super::contender::{AIRLOCK, Contender, LEAST, LIMIT, OTHER};
use super::http::{Connection, request};
use super::spans::{kib, median, mib, micros, millis, percentile, summary, time};
use super::used::Used;
use super::{print_line, ready};

/// Starts that are measured.
const STARTS: usize = 9;

/// Rounds of the idle servers. Each starts all servers again: only one that has served nothing is idle.
const ROUNDS: usize = 5;

/// Streams that are open and silent.
const STREAMS: u16 = 1000;

/// How long the streams are silent. Airlock's heartbeat has the same interval, so each stream gets one.
const SILENCE: Duration = Duration::from_secs(10);

/// A load of one word, and nothing more during the measurement.
const SILENT: Load = Load {
    deltas: 2,
    every: Duration::from_secs(3600),
    bytes: 24,
};

/// The time from the start of the process until it listens, with a compiled policy and no Codex.
pub(super) async fn start() -> Result<Value> {
    let mut taken = Vec::new();
    for _ in 0..=STARTS {
        let began = Instant::now();
        let _gateway = Gateway::with().over("/nonexistent/codex".into()).await?;
        taken.push(began.elapsed());
    }
    // The first one compiles the policy.
    taken.remove(0);
    print_line(&format!(
        "\nsecond start until it listens, without a child: {}",
        summary(&taken)
    ));
    let rounds = millis(&taken);
    Ok(json!({"median_ms": median(rounds.iter().copied()), "rounds": rounds}))
}

/// The memory of a server before its first request and with many silent streams, and the CPU time of those: of a round, or
/// the medians of several.
#[derive(Clone, Copy, Serialize)]
struct Idle {
    idle_mib: f64,
    open_mib: f64,
    kib_each: f64,
    /// The pages of a policy's image are shared by its sandboxes, and resident size counts them for each.
    kib_each_with_shared: f64,
    /// The time to the first word of all streams, requested at once.
    first_us: f64,
    first_p99_us: f64,
    /// While they are silent.
    cpu_us_per_stream_second: f64,
}

impl Idle {
    fn medians(rounds: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> f64| median(rounds.iter().map(figure));
        Self {
            idle_mib: of(|idle| idle.idle_mib),
            open_mib: of(|idle| idle.open_mib),
            kib_each: of(|idle| idle.kib_each),
            kib_each_with_shared: of(|idle| idle.kib_each_with_shared),
            first_us: of(|idle| idle.first_us),
            first_p99_us: of(|idle| idle.first_p99_us),
            cpu_us_per_stream_second: of(|idle| idle.cpu_us_per_stream_second),
        }
    }
}

/// A server whose streams are open.
struct Silent {
    name: &'static str,
    pid: u32,
    idle: Idle,
    _streams: Vec<Connection>,
}

/// The memory of each server before its first request, and for each of many silent streams.
pub(super) async fn idle(against: Option<&Path>) -> Result<Value> {
    let model = ScriptedModel::start().await?;
    let (mut rounds, mut real) = (BTreeMap::<_, Vec<Idle>>::new(), Vec::new());
    for _ in 0..ROUNDS {
        for (name, idle) in round(against).await? {
            rounds.entry(name).or_default().push(idle);
        }
        let gateway = ready(&model).await?;
        real.push(mib(process::resident(gateway.pid())?));
    }
    print_line(&format!("\n{STREAMS} silent streams, {ROUNDS} rounds"));
    print_line(&format!(
        "  {:<13}{:>10}{:>10}{:>6}{:>8}{:>14}{:>10}{:>8}{:>10}{:>13}",
        "",
        "first",
        "p99",
        "late",
        "chunks",
        "CPU/stream s",
        "idle MiB",
        "MiB",
        "KiB each",
        "with shared"
    ));
    let mut medians = Map::new();
    for name in [LIMIT, LEAST, AIRLOCK, OTHER] {
        let Some(rounds) = rounds.get(name) else {
            continue;
        };
        let idle = Idle::medians(rounds);
        let cpu = format!("{:.2} µs", idle.cpu_us_per_stream_second);
        print_line(&format!(
            "  {name:<13}{:>10}{:>10}{:>6}{:>8}{:>14}{:>10.1}{:>8.1}{:>10.1}{:>13.1}",
            time(idle.first_us),
            time(idle.first_p99_us),
            "-",
            "-",
            cpu,
            idle.idle_mib,
            idle.open_mib,
            idle.kib_each,
            idle.kib_each_with_shared,
        ));
        medians.insert(name.to_owned(), json!(idle));
    }
    let middle = median(real.iter().copied());
    print_line(&format!(
        "Airlock over the real Codex, whose protocol it has compared: {middle:.1} MiB idle"
    ));
    let real = json!({"idle_mib": middle, "rounds": real});
    Ok(json!({"streams": STREAMS, "medians": medians, "rounds": rounds, "real": real}))
}

/// Starts all servers, opens the streams of one after the other, and waits. All are measured at once, because silent servers do
/// not affect each other.
async fn round(against: Option<&Path>) -> Result<Vec<(&'static str, Idle)>> {
    let contenders = Contender::all(against).await?;
    let mut all = Vec::new();
    for contender in &contenders {
        if let Some((pid, address)) = contender.server() {
            let (idle, streams) = open(pid, address).await?;
            all.push(Silent {
                name: contender.name(),
                pid,
                idle,
                _streams: streams,
            });
        }
    }
    let mut before = Vec::new();
    for silent in &all {
        before.push((Used::at_rest(silent.pid).await?, Instant::now()));
    }
    sleep(SILENCE).await;
    let mut figures = Vec::new();
    for (mut silent, (before, since)) in all.into_iter().zip(before) {
        let (used, taken) = (Used::by(silent.pid)?.since(&before), since.elapsed());
        silent.idle.cpu_us_per_stream_second =
            micros(used) / f64::from(STREAMS) / taken.as_secs_f64();
        figures.push((silent.name, silent.idle));
    }
    Ok(figures)
}

/// Opens the streams of one. They end as they are dropped.
async fn open(pid: u32, address: SocketAddr) -> Result<(Idle, Vec<Connection>)> {
    let (before, own) = (process::resident(pid)?, process::proportional(pid)?);
    let body = request(&SILENT.words(), 0, json!({"stream": true}));
    let mut streams = Connection::many(address, STREAMS.into()).await?;
    let begun = try_join_all(streams.iter_mut().map(|one| one.begin(&body))).await?;
    let (after, own_after) = (process::resident(pid)?, process::proportional(pid)?);
    let mut first: Vec<Duration> = begun
        .into_iter()
        .flat_map(|measurement| measurement.first)
        .collect();
    first.sort_unstable();
    let each = |before: u64, after: u64| kib(after.saturating_sub(before)) / f64::from(STREAMS);
    let idle = Idle {
        idle_mib: mib(before),
        open_mib: mib(after),
        kib_each: each(own, own_after),
        kib_each_with_shared: each(before, after),
        first_us: micros(percentile(&first, 50)),
        first_p99_us: micros(percentile(&first, 99)),
        // Not known yet.
        cpu_us_per_stream_second: f64::NAN,
    };
    Ok((idle, streams))
}
