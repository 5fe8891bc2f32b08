//! How soon a swap serves: the time of the call, and until the first request on the new release has its first word.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::json;

use super::{POLICY, Stage};
use crate::{Frame, Gateway, Script};

/// Times of each round. The code of both releases is kept, and neither is in memory when it is activated.
#[derive(Clone, Debug, Default)]
pub struct Latency {
    /// From sending the call until it is answered.
    pub swap: Vec<Duration>,
    /// The same of a call that does nothing: what client, connection and server take.
    pub bare: Vec<Duration>,
    /// From sending the call until the first word of the first request after it.
    pub first: Vec<Duration>,
    /// From sending a request until its first word, without a swap before it.
    pub plain: Vec<Duration>,
}

/// So many swaps between two releases, one at a time, on a gateway that does nothing else.
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

/// When the first word of a reply came, and its stamp. The reply is read to its end.
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
