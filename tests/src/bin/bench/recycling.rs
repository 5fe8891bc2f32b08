//! Many turns on the real Codex, whose children are replaced: the peak sizes of the children and of their files.

use std::time::Instant;

use airlock_tests::{Gateway, ModelAnswer, ScriptedModel, process};
use anyhow::{Result, ensure};
use futures_util::future::try_join_all;
use serde_json::{Value, json};

use super::codex::{children, size};
use super::print_line;
use super::spans::mib;

/// The number of turns, and how many run at once.
const MANY: usize = 1000;
const AT_ONCE: usize = 50;

/// Threads after which a child is replaced.
const RECYCLE: usize = 200;

/// The text of the turns.
const WORDS: &str = "a few words to be said";

/// Runs the turns, each of which must be complete.
pub(super) async fn measure() -> Result<Value> {
    let model = ScriptedModel::start().await?;
    model.otherwise(ModelAnswer::words(WORDS));
    let gateway = Gateway::with()
        .administered()
        .settings(&format!("[fleet]\nrecycle_threads = {RECYCLE}"))
        .over_real(&model)
        .await?;
    let admin = gateway.admin();
    let (mut largest, mut together, mut disk) = (0, 0, 0);
    let began = Instant::now();
    for round in 0..MANY / AT_ONCE {
        let requests = (0..AT_ONCE).map(|number| {
            let client = gateway.client().clone();
            async move {
                let text = client.ask(&format!("{round} {number}")).await?;
                ensure!(text == WORDS, "a reply was cut: {text}");
                Ok(())
            }
        });
        try_join_all(requests).await?;
        let fleet = admin.fleet().await?;
        let sizes = children(&fleet).filter_map(|child| process::resident(child).ok());
        let sizes: Vec<u64> = sizes.collect();
        largest = sizes.iter().copied().max().unwrap_or_default().max(largest);
        together = sizes.iter().sum::<u64>().max(together);
        disk = size(&gateway.codex_home())?.max(disk);
    }
    let taken = began.elapsed();
    let fleet = admin.fleet().await?;
    let started = &fleet["started"];
    print_line(&format!(
        "\n{MANY} turns, {AT_ONCE} at once, children replaced after {RECYCLE} threads: {taken:.1?}, every reply whole, {started} children started"
    ));
    let (largest, together, disk) = (mib(largest), mib(together), mib(disk));
    print_line(&format!(
        "  the largest child {largest:.1} MiB, all of them together {together:.1} MiB, Codex's home {disk:.1} MiB"
    ));
    let figures = json!({"turns": MANY, "at_once": AT_ONCE, "recycle_threads": RECYCLE, "seconds": taken.as_secs_f64(),
        "children_started": started, "largest_child_mib": largest, "children_mib": together, "home_mib": disk});
    Ok(figures)
}
