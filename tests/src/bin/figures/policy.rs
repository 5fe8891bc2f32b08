//! What the sandbox costs: the shipped policy as `airlock policy bench` measures it, and the same code run natively.

use std::time::{Duration, Instant};

use airlock_policy::bindings::airlock::policy::types::{
    Context, Ending, Event, EventKind, Request, Text,
};
use airlock_policy::{prompt, translate};
use airlock_tests::programs;
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tokio::process::Command;

use super::say;

/// Rounds of each, and events of one that feeds.
const ROUNDS: usize = 101;
const EVENTS: usize = 960;

/// Measures both and tells the ratio.
pub(super) async fn measure() -> Result<()> {
    let output = Command::new(programs::airlock()?)
        .args(["policy", "bench", "shipped", "--json"])
        .output()
        .await?;
    ensure!(output.status.success(), "airlock policy bench failed");
    let measured: Vec<Value> = serde_json::from_slice(&output.stdout)?;
    let sandboxed = |what: &str| {
        let found = measured.iter().find(|it| it["what"] == what);
        let median = found.and_then(|it| it["median_us"].as_f64());
        median.with_context(|| format!("airlock policy bench does not measure {what:?}"))
    };
    say(&format!(
        "instantiate a policy: {:.1} µs",
        sandboxed("instantiate")?
    ));
    let native = [
        ("render 4 KiB", rendered(4 << 10)?),
        ("render 1 MiB", rendered(1 << 20)?),
        ("feed by 1, an event", fed(1)?),
        ("feed by 16, an event", fed(16)?),
    ];
    for (what, native) in native {
        let (native, sandboxed) = (native.as_secs_f64() * 1e6, sandboxed(what)?);
        say(&format!(
            "{what}: {sandboxed:.1} µs in the sandbox, {native:.1} µs natively: {:.1} times",
            sandboxed / native
        ));
    }
    Ok(())
}

/// The median of the time that a request of about so many bytes takes.
fn rendered(bytes: usize) -> Result<Duration> {
    let request = request(bytes);
    median(|| {
        let began = Instant::now();
        let plan = prompt::render(&request);
        let time = began.elapsed();
        ensure!(plan.is_ok(), "the request is refused");
        Ok(time)
    })
}

/// That of one event, fed in batches.
fn fed(batch: usize) -> Result<Duration> {
    let plan = prompt::render(&request(1 << 10)).ok().context("no plan")?;
    let context = Context {
        id: "req_figures".to_owned(),
        arrived: 0,
        dialect: "chat-completions".to_owned(),
        model: "gpt-test".to_owned(),
        notes: plan.notes,
    };
    median(|| {
        let mut reply = translate::Reply::new(&context);
        let mut time = Duration::ZERO;
        for _ in 0..EVENTS / batch {
            let events = vec![event(); batch];
            let began = Instant::now();
            let told = reply.feed(events);
            time += began.elapsed();
            ensure!(!told.frames.is_empty(), "no frames");
        }
        let _ = reply.finish(Ending::Completed);
        Ok(time / u32::try_from(EVENTS)?)
    })
}

fn median(round: impl Fn() -> Result<Duration>) -> Result<Duration> {
    round()?;
    let mut times = (0..ROUNDS).map(|_| round()).collect::<Result<Vec<_>>>()?;
    times.sort();
    Ok(times[ROUNDS / 2])
}

fn request(bytes: usize) -> Request {
    let filler = "All work and no play. ".repeat(bytes / 22);
    Request {
        id: "req_figures".to_owned(),
        arrived: 0,
        dialect: "chat-completions".to_owned(),
        body: format!(
            r#"{{"model":"default","stream":true,"messages":[{{"role":"user","content":"{filler}"}}]}}"#
        ),
        attachments: Vec::new(),
        settings: r#"{"strict":false}"#.to_owned(),
        nested: false,
    }
}

fn event() -> Event {
    Event {
        source: 0,
        at: 0,
        kind: EventKind::Text(Text {
            message: 0,
            phase: None,
            text: "word ".to_owned(),
        }),
    }
}
