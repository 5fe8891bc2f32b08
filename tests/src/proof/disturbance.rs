//! The effect of loading on running streams: gaps between their chunks, with and without new components being loaded.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use serde_json::json;

use super::{Stage, median, paced, quantile};
use crate::Client;
use crate::policies::{digest, stamped};

/// The number of streams, their words, and the pause after each word.
const STREAMS: usize = 20;
const WORDS: usize = 200;
const PAUSE: Duration = Duration::from_millis(10);

/// The name of the policy that is loaded.
const FRESH: &str = "fresh";

/// The 99th percentile of gaps in each round, without and with loading.
#[derive(Clone, Debug, Default)]
pub struct Disturbance {
    /// Without loading and with it.
    pub rounds: Vec<(Duration, Duration)>,
    /// The number of components that were loaded.
    pub loads: usize,
    /// Bytes of each component.
    pub size: usize,
}

impl Disturbance {
    /// The median of the rounds' ratios. 1.0 is no disturbance.
    #[must_use]
    pub fn ratio(&self) -> Option<f64> {
        let ratio = |(without, with): &(Duration, Duration)| with.div_duration_f64(*without);
        median(&self.rounds.iter().map(ratio).collect::<Vec<_>>())
    }
}

/// Runs this many rounds, in which streams run alone and then while components are loaded.
pub async fn disturbance(rounds: usize) -> Result<Disturbance> {
    let stage = Stage::set(1, paced(WORDS, PAUSE)).await?;
    let mut found = Disturbance::default();
    for round in 0..=rounds {
        let without = gaps(stage.gateway.client()).await?;
        let over = Arc::<AtomicBool>::default();
        let loaded = AtomicUsize::new(0);
        let loading = load(&stage, &over, &loaded, &mut found);
        let streams = async {
            let gaps = gaps(stage.gateway.client()).await;
            over.store(true, Ordering::Relaxed);
            gaps
        };
        let ((), with) = tokio::try_join!(loading, streams)?;
        ensure!(
            loaded.load(Ordering::Relaxed) > 0,
            "nothing was loaded while the streams ran"
        );
        // The first round is the warm-up.
        if round > 0 {
            let p99 = |gaps: &[Duration]| quantile(gaps, 0.99).context("streams without chunks");
            found.rounds.push((p99(&without)?, p99(&with)?));
        }
    }
    Ok(found)
}

/// Runs the streams, and returns the gaps between their chunks.
async fn gaps(client: &Client) -> Result<Vec<Duration>> {
    let streams = (0..STREAMS).map(|_| async {
        let mut stream = client.stream(json!({})).await?;
        let mut times = Vec::with_capacity(WORDS);
        while let Some(frame) = stream.next().await? {
            if !frame.text().is_empty() {
                times.push(Instant::now());
            }
        }
        ensure!(
            times.len() > WORDS / 2,
            "a stream of {} chunks",
            times.len()
        );
        Ok(times
            .windows(2)
            .map(|pair| pair[1].duration_since(pair[0]))
            .collect::<Vec<_>>())
    });
    Ok(try_join_all(streams).await?.concat())
}

/// Loads new components until `over` is set, each as a canary of 0 % of requests.
async fn load(
    stage: &Stage,
    over: &AtomicBool,
    loaded: &AtomicUsize,
    found: &mut Disturbance,
) -> Result<()> {
    let file = stage
        .gateway
        .policies_folder()
        .join(format!("{FRESH}.wasm"));
    while !over.load(Ordering::Relaxed) {
        found.loads += 1;
        let component = stamped(&format!("FRESH{:05}", found.loads))?;
        found.size = component.len();
        fs::write(&file, &component)?;
        stage.admin.canary(FRESH, &digest(&component), 0.0).await?;
        loaded.fetch_add(1, Ordering::Relaxed);
    }
    stage.admin.end_canary().await?;
    Ok(())
}
