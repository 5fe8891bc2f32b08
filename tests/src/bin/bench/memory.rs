//! What Airlock costs while nothing happens: its start, itself idle, and streams that are open and silent.

use std::time::{Duration, Instant};

use airlock_tests::load::Load;
use airlock_tests::{Gateway, ScriptedModel, process};
use anyhow::Result;
use futures_util::future::try_join_all;
use serde_json::{Value, json};

use super::http::{Connection, request};
use super::party::Party;
use super::spans::{mebibytes, median, told};
use super::{ready, say};

/// Starts that are measured.
const STARTS: usize = 9;

/// Streams that are open and silent.
const STREAMS: usize = 1000;

/// Says one word, and nothing more for as long as anybody measures.
const SILENT: Load = Load {
    deltas: 2,
    every: Duration::from_secs(3600),
    bytes: 24,
};

/// From the start of the process until it listens, its policy compiled before and no Codex to be found.
pub(super) async fn start() -> Result<Value> {
    let mut taken = Vec::new();
    for _ in 0..=STARTS {
        let began = Instant::now();
        let _gateway = Gateway::with().over("/nonexistent/codex".into()).await?;
        taken.push(began.elapsed());
    }
    // The first one compiles the policy.
    taken.remove(0);
    let middle = median(&mut taken);
    say(&format!(
        "\nsecond start until it listens, without a child: {}",
        told(taken)
    ));
    Ok(json!({ "median_ms": middle.as_secs_f64() * 1e3 }))
}

/// What each server holds before it has served anything, and for each of many silent streams.
pub(super) async fn idle(against: Option<&std::path::Path>) -> Result<Value> {
    let mut figures = serde_json::Map::new();
    for party in Party::all(against).await? {
        let Some((pid, address)) = party.server() else {
            continue;
        };
        let (before, own) = (process::resident(pid)?, process::proportional(pid)?);
        let body = request(&SILENT.words(), 0, json!({"stream": true}));
        let mut connections = Connection::many(address, STREAMS).await?;
        try_join_all(connections.iter_mut().map(|one| one.begin(&body))).await?;
        let (after, own_after) = (process::resident(pid)?, process::proportional(pid)?);
        // The pages of a policy's image are shared by its sandboxes, and resident size counts them for each.
        let counted = after.saturating_sub(before) / STREAMS as u64;
        let each = own_after.saturating_sub(own) / STREAMS as u64;
        say(&format!(
            "{}: {} idle, {} with {STREAMS} silent streams; each takes {} KiB, {} with shared pages counted for each",
            party.name(),
            mebibytes(before),
            mebibytes(after),
            each >> 10,
            counted >> 10
        ));
        let told = json!({"idle_mib": before >> 20, "streams": STREAMS, "kib_each": each >> 10,
            "kib_each_with_shared": counted >> 10});
        figures.insert(party.name().to_owned(), told);
    }
    let model = ScriptedModel::start().await?;
    let gateway = ready(&model).await?;
    let real = process::resident(gateway.pid())?;
    say(&format!(
        "Airlock over the real Codex, whose protocol it has compared: {} idle",
        mebibytes(real)
    ));
    figures.insert("real".to_owned(), json!({ "idle_mib": real >> 20 }));
    Ok(Value::Object(figures))
}
