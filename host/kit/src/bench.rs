//! Measures a policy: instantiation, `render`, `feed` for each event, and `finish`.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::us;
use airlock_policy::trial::{self, NOW, context};
use airlock_policy::{CallResult, PolicyCall, Release, Replay};
use airlock_types::wit::{Ending, Event, EventKind, Request, Text};

/// The time after which no further round of an operation begins.
const TIME: Duration = Duration::from_millis(1500);

/// The most rounds of one operation.
const ROUNDS: usize = 300;

/// The number of events that a round feeds.
pub const EVENTS: usize = 960;

/// The time of one operation.
#[derive(Clone, Debug, Serialize)]
pub struct Measurement {
    /// The operation: `render 4 KiB`.
    #[serde(rename = "what")]
    pub operation: &'static str,
    /// The median round, in microseconds.
    pub median_us: f64,
    /// The quickest round, in microseconds.
    pub least_us: f64,
    /// The 99th percentile, in microseconds.
    pub p99_us: f64,
    /// The number of rounds.
    pub rounds: usize,
}

/// Measures a policy, for about ten seconds at most. `show` receives each measurement as it is done.
///
/// # Errors
/// The operation that the policy failed on or refused, and why.
pub async fn bench(
    release: &Release,
    show: &mut (dyn FnMut(&Measurement) + Send),
) -> Result<Vec<Measurement>, String> {
    let mut all = Vec::new();
    let mut add = |measurement: Measurement| {
        show(&measurement);
        all.push(measurement);
    };
    add(measure("instantiate", async || instantiated(release).await).await?);
    add(measure("render 4 KiB", async || rendered(release, 4 << 10).await).await?);
    add(measure("render 1 MiB", async || rendered(release, 1 << 20).await).await?);
    add(measure("feed by 1, an event", async || {
        fed(release, 1).await.map(each)
    })
    .await?);
    add(measure("feed by 16, an event", async || {
        fed(release, 16).await.map(each)
    })
    .await?);
    add(measure("finish a stream", async || finished(release, true).await).await?);
    add(measure("finish a whole answer", async || {
        finished(release, false).await
    })
    .await?);
    Ok(all)
}

/// Measures rounds of one operation. The first warms up and does not count.
async fn measure(
    operation: &'static str,
    round: impl AsyncFn() -> Result<Duration, String>,
) -> Result<Measurement, String> {
    round()
        .await
        .map_err(|error| format!("{operation}: {error}"))?;
    let began = Instant::now();
    let mut times = Vec::new();
    while times.is_empty() || (times.len() < ROUNDS && began.elapsed() < TIME) {
        times.push(
            round()
                .await
                .map_err(|error| format!("{operation}: {error}"))?,
        );
    }
    times.sort();
    let percentile = |percent: usize| {
        let time = times.get(times.len().saturating_sub(1) * percent / 100);
        time.copied().map(us).unwrap_or_default()
    };
    Ok(Measurement {
        operation,
        median_us: percentile(50),
        least_us: percentile(0),
        p99_us: percentile(99),
        rounds: times.len(),
    })
}

/// Starts a sandbox, and returns the time that it took.
///
/// # Errors
/// The policy's fault.
pub async fn instantiated(release: &Release) -> Result<Duration, String> {
    let began = Instant::now();
    let session = release.session().await;
    let time = began.elapsed();
    session.map(|_| time).map_err(|fault| fault.to_string())
}

/// Renders a request of about `bytes` bytes, and returns the time that it took.
///
/// # Errors
/// The policy's fault, or its refusal.
pub async fn rendered(release: &Release, bytes: usize) -> Result<Duration, String> {
    let mut replay = Replay::on(release)
        .await
        .map_err(|fault| fault.to_string())?;
    timed(&mut replay, &PolicyCall::Render(request(true, bytes))).await
}

/// Feeds the events of a round in batches of `batch` events, and returns the time of all.
///
/// # Errors
/// The policy's fault.
pub async fn fed(release: &Release, batch: usize) -> Result<Duration, String> {
    let mut replay = opened(release, true).await?;
    let feed = PolicyCall::Feed(vec![event(); batch]);
    let mut all = Duration::ZERO;
    for _ in 0..EVENTS / batch {
        all += timed(&mut replay, &feed).await?;
    }
    Ok(all)
}

/// The mean time of an event of a round.
fn each(all: Duration) -> Duration {
    all / u32::try_from(EVENTS).unwrap_or(u32::MAX)
}

async fn finished(release: &Release, streaming: bool) -> Result<Duration, String> {
    let mut replay = opened(release, streaming).await?;
    timed(&mut replay, &PolicyCall::Feed(vec![event(); 100])).await?;
    timed(&mut replay, &PolicyCall::Finish(Ending::Completed)).await
}

/// A replay whose reply is open.
async fn opened(release: &Release, streaming: bool) -> Result<Replay, String> {
    let mut replay = Replay::on(release)
        .await
        .map_err(|fault| fault.to_string())?;
    timed(
        &mut replay,
        &PolicyCall::Render(request(streaming, 1 << 10)),
    )
    .await?;
    timed(&mut replay, &PolicyCall::Open(context())).await?;
    Ok(replay)
}

async fn timed(replay: &mut Replay, call: &PolicyCall) -> Result<Duration, String> {
    let began = Instant::now();
    let result = replay.call(call).await;
    let time = began.elapsed();
    match result {
        CallResult::Fault(fault) => Err(fault.lines().next().unwrap_or_default().to_owned()),
        CallResult::Refused(problem) => Err(format!("it refuses the request: {}", problem.message)),
        _ => Ok(time),
    }
}

/// A request of about `bytes` bytes.
fn request(streaming: bool, bytes: usize) -> Request {
    let filler = "All work and no play. ".repeat(bytes / 22);
    let body = format!(
        r#"{{"model":"default","stream":{streaming},"messages":[{{"role":"user","content":"{filler}"}}]}}"#
    );
    trial::request(&body)
}

fn event() -> Event {
    Event {
        source: 0,
        at: NOW,
        kind: EventKind::Text(Text {
            message: 0,
            phase: None,
            text: "word ".to_owned(),
            item: None,
        }),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use airlock_policy::EMBEDDED;
    use airlock_policy::testing::hostile;
    use airlock_policy::testing::release;

    #[tokio::test]
    async fn each_operation_is_measured_within_its_time() {
        let release = release("shipped", EMBEDDED);
        let began = Instant::now();
        let mut shown = 0;
        let all = bench(&release, &mut |_| shown += 1).await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(60));
        assert_eq!((all.len(), shown), (7, 7));
        for it in all {
            assert!(it.rounds > 0 && it.median_us > 0.0, "{it:?}");
            assert!(it.least_us <= it.median_us, "{it:?}");
            assert!(it.median_us <= it.p99_us, "{it:?}");
        }
    }

    #[tokio::test]
    async fn the_operation_that_fails_is_named() {
        let release = release("other", &hostile::with(EMBEDDED, hostile::TRAPS));
        let error = bench(&release, &mut |_| ()).await.unwrap_err();
        assert!(
            error.starts_with("instantiate: the policy trapped"),
            "{error}"
        );
    }
}
