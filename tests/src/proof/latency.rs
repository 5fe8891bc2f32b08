//! The latency of a swap: the time of the call, and the time until the first word from the new release.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::json;

use super::{POLICY, Stage, median};
use crate::{Frame, Gateway, Script};

/// Times of each round. The code of both releases is cached on disk, and a release is not in memory when it is activated.
#[derive(Clone, Debug, Default)]
pub struct Latency {
    /// From sending the call until its response.
    pub swap: Vec<Duration>,
    /// The same for a call that does nothing: the time of client, connection and server.
    pub bare: Vec<Duration>,
    /// From sending the call until the first word of the first request after it.
    pub first: Vec<Duration>,
    /// From sending a request until its first word, without a swap before it.
    pub plain: Vec<Duration>,
}

/// Ratios of medians of one run, which do not depend on the machine's speed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratios {
    /// A swap's call to a call that does nothing.
    pub swap: f64,
    /// The first word after a swap to a first word without one.
    pub first: f64,
}

impl Latency {
    /// The ratios. `None` if nothing was measured.
    #[must_use]
    pub fn ratios(&self) -> Option<Ratios> {
        let ratio = |with: &[Duration], without: &[Duration]| {
            Some(median(with)?.div_duration_f64(median(without)?))
        };
        Some(Ratios {
            swap: ratio(&self.swap, &self.bare)?,
            first: ratio(&self.first, &self.plain)?,
        })
    }
}

/// Measures this many swaps between two releases, one at a time, on an otherwise idle gateway.
pub async fn latency(rounds: usize) -> Result<Latency> {
    let stage = Stage::set(2, Script::new()).await?;
    let mut taken = Latency::default();
    for round in 0..=rounds {
        let began = Instant::now();
        let active = stage.in_turn(round)?;
        stage.admin.activate(POLICY, Some(active)).await?;
        let swap = began.elapsed();
        let (word, stamp) = first_word(&stage.gateway).await?;
        let first = word - began;
        ensure!(
            stamp == format!("STAMP-{:04}", round % 2 + 1),
            "the first request after a swap is served by {stamp}"
        );
        let began = Instant::now();
        stage.gateway.client().get("/healthz").await?;
        let bare = began.elapsed();
        let began = Instant::now();
        let plain = first_word(&stage.gateway).await?.0 - began;
        // The first round warms up.
        if round > 0 {
            taken.swap.push(swap);
            taken.bare.push(bare);
            taken.first.push(first);
            taken.plain.push(plain);
        }
    }
    Ok(taken)
}

/// The time of a reply's first word, and its stamp. The reply is read to its end.
async fn first_word(gateway: &Gateway) -> Result<(Instant, String)> {
    let mut stream = gateway.client().stream(json!({})).await?;
    let frames = stream
        .frames_until(|frame| !frame.text().is_empty())
        .await?;
    let at = Instant::now();
    let stamp = frames.last().and_then(Frame::data);
    let stamp = stamp.and_then(|chunk| chunk["stamp"].as_str());
    let stamp = stamp.unwrap_or_default().to_owned();
    stream.frames().await?;
    Ok((at, stamp))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_is_slower_by_half_has_the_same_ratios() {
        let times = |micros: [u64; 3]| micros.map(Duration::from_micros).to_vec();
        let latency = |factor: u64| Latency {
            swap: times([900 * factor, 1000 * factor, 5000 * factor]),
            bare: times([100 * factor, 125 * factor, 900 * factor]),
            first: times([2000 * factor, 2100 * factor, 2200 * factor]),
            plain: times([700 * factor, 840 * factor, 900 * factor]),
        };
        let expected = Ratios {
            swap: 8.0,
            first: 2.5,
        };
        assert_eq!(latency(1).ratios(), Some(expected));
        assert_eq!(latency(2).ratios(), Some(expected));
        assert_eq!(Latency::default().ratios(), None);
    }
}
