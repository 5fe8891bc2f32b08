//! How fast a policy is: what each request costs before and after its turn, and what each event costs.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::us;
use airlock_policy::{CallResult, PolicyCall, Release, Replay};
use airlock_types::wit::{Context, Ending, Event, EventKind, Request, Text};

/// A time, for what is done at one.
const NOW: u64 = 1_700_000_000_000;

/// How long one thing is measured, and how often at most. Once at least.
const TIME: Duration = Duration::from_millis(1500);
const ROUNDS: usize = 300;

/// Events of a round.
pub const EVENTS: usize = 960;

const DIALECT: &str = "chat-completions";

/// What something takes.
#[derive(Clone, Debug, Serialize)]
pub struct Measure {
    /// `render 4 KiB`
    pub what: &'static str,
    /// Microseconds: the median, the least, and the 99th of 100.
    pub median_us: f64,
    /// The quickest round, in microseconds.
    pub least_us: f64,
    /// The 99th percentile, in microseconds.
    pub p99_us: f64,
    /// How often it was measured.
    pub rounds: usize,
}

/// Measures a policy, for about ten seconds at most. `show` is called with each measure as it is done.
///
/// # Errors
/// What it fails on, or refuses.
pub async fn bench(
    release: &Release,
    show: &mut (dyn FnMut(&Measure) + Send),
) -> Result<Vec<Measure>, String> {
    let mut all = Vec::new();
    let mut add = |measure: Measure| {
        show(&measure);
        all.push(measure);
    };
    add(measured("instantiate", async || instantiated(release).await).await?);
    add(measured("render 4 KiB", async || rendered(release, 4 << 10).await).await?);
    add(measured("render 1 MiB", async || rendered(release, 1 << 20).await).await?);
    add(measured("feed by 1, an event", async || {
        fed(release, 1).await.map(each)
    })
    .await?);
    add(measured("feed by 16, an event", async || {
        fed(release, 16).await.map(each)
    })
    .await?);
    add(measured("finish a stream", async || finished(release, true).await).await?);
    add(measured("finish a whole answer", async || {
        finished(release, false).await
    })
    .await?);
    Ok(all)
}

/// Rounds of one thing. The first warms up and does not count.
async fn measured(
    what: &'static str,
    round: impl AsyncFn() -> Result<Duration, String>,
) -> Result<Measure, String> {
    round().await.map_err(|why| format!("{what}: {why}"))?;
    let began = Instant::now();
    let mut times = Vec::new();
    while times.is_empty() || (times.len() < ROUNDS && began.elapsed() < TIME) {
        times.push(round().await.map_err(|why| format!("{what}: {why}"))?);
    }
    times.sort();
    let at = |part: usize| times.get(times.len().saturating_sub(1) * part / 100);
    let at = |part| at(part).copied().map(us).unwrap_or_default();
    Ok(Measure {
        what,
        median_us: at(50),
        least_us: at(0),
        p99_us: at(99),
        rounds: times.len(),
    })
}

/// The time in which a sandbox starts.
pub async fn instantiated(release: &Release) -> Result<Duration, String> {
    let began = Instant::now();
    let session = release.session().await;
    let time = began.elapsed();
    session.map(|_| time).map_err(|fault| fault.to_string())
}

/// The time in which a request of about so many bytes is rendered.
pub async fn rendered(release: &Release, bytes: usize) -> Result<Duration, String> {
    let mut replay = Replay::on(release)
        .await
        .map_err(|fault| fault.to_string())?;
    timed(&mut replay, &PolicyCall::Render(request(true, bytes))).await
}

/// The time in which a round's events are fed, so many at once.
pub async fn fed(release: &Release, batch: usize) -> Result<Duration, String> {
    let mut replay = opened(release, true).await?;
    let step = PolicyCall::Feed(vec![event(); batch]);
    let mut all = Duration::ZERO;
    for _ in 0..EVENTS / batch {
        all += timed(&mut replay, &step).await?;
    }
    Ok(all)
}

/// The time of one event, on an average over a round's.
fn each(all: Duration) -> Duration {
    all / u32::try_from(EVENTS).unwrap_or(u32::MAX)
}

async fn finished(release: &Release, streaming: bool) -> Result<Duration, String> {
    let mut replay = opened(release, streaming).await?;
    timed(&mut replay, &PolicyCall::Feed(vec![event(); 100])).await?;
    timed(&mut replay, &PolicyCall::Finish(Ending::Completed)).await
}

/// A reply that has begun.
async fn opened(release: &Release, streaming: bool) -> Result<Replay, String> {
    let mut replay = Replay::on(release)
        .await
        .map_err(|fault| fault.to_string())?;
    timed(
        &mut replay,
        &PolicyCall::Render(request(streaming, 1 << 10)),
    )
    .await?;
    let context = Context {
        id: "req_bench".to_owned(),
        arrived: NOW,
        dialect: DIALECT.to_owned(),
        model: "gpt-test".to_owned(),
        notes: String::new(),
    };
    timed(&mut replay, &PolicyCall::Open(context)).await?;
    Ok(replay)
}

async fn timed(replay: &mut Replay, step: &PolicyCall) -> Result<Duration, String> {
    let began = Instant::now();
    let answer = replay.step(step).await;
    let time = began.elapsed();
    match answer {
        CallResult::Fault(fault) => Err(fault.lines().next().unwrap_or_default().to_owned()),
        CallResult::Refused(problem) => Err(format!("it refuses the request: {}", problem.message)),
        _ => Ok(time),
    }
}

/// A request of about so many bytes.
fn request(streaming: bool, bytes: usize) -> Request {
    let filler = "All work and no play. ".repeat(bytes / 22);
    let body = format!(
        r#"{{"model":"default","stream":{streaming},"messages":[{{"role":"user","content":"{filler}"}}]}}"#
    );
    Request {
        id: "req_bench".to_owned(),
        arrived: NOW,
        dialect: DIALECT.to_owned(),
        body,
        attachments: Vec::new(),
        settings: String::new(),
        nested: false,
    }
}

fn event() -> Event {
    Event {
        source: 0,
        at: NOW,
        kind: EventKind::Text(Text {
            message: 0,
            phase: None,
            text: "word ".to_owned(),
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
    async fn each_thing_is_measured_within_its_time() {
        let release = release("shipped", EMBEDDED);
        let began = Instant::now();
        let mut shown = 0;
        let all = bench(&release, &mut |_| shown += 1).await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(60));
        assert_eq!((all.len(), shown), (7, 7));
        for measure in all {
            assert!(measure.rounds > 0 && measure.median_us > 0.0, "{measure:?}");
            assert!(measure.least_us <= measure.median_us, "{measure:?}");
            assert!(measure.median_us <= measure.p99_us, "{measure:?}");
        }
    }

    #[tokio::test]
    async fn a_policy_that_fails_is_said_to_and_where() {
        let release = release("other", &hostile::with(EMBEDDED, hostile::TRAPS));
        let why = bench(&release, &mut |_| ()).await.unwrap_err();
        assert!(why.starts_with("instantiate: the policy trapped"), "{why}");
    }
}
