//! Many swaps among three releases while streams run: no reply fails or mixes releases, and no release stays in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{POLICY, Stage, median, paced};
use crate::{Client, Frame, Gateway, process, soon};

/// The number of releases.
const RELEASES: usize = 3;

/// Words of an answer, and the pause after each. An answer spans several swaps.
const WORDS: usize = 10;
const PAUSE: Duration = Duration::from_millis(20);

/// Replies of each stream before the first swap: a gateway grows with its first requests.
const WARM: usize = 10;

/// Readings of which a resident size is the median.
const READINGS: usize = 51;

/// The parameters of a run.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// The number of swaps.
    pub swaps: usize,
    /// The number of concurrent streams.
    pub streams: usize,
    /// The swap after which the resident size is measured, to compare with the end.
    pub mark: usize,
}

/// The result of a run.
#[derive(Clone, Debug)]
pub struct Swaps {
    /// The time from the first swap to the last.
    pub taken: Duration,
    /// Replies that were read to their end.
    pub replies: usize,
    /// Replies during which a swap happened.
    pub crossed: usize,
    /// The number of replies by stamp.
    pub served: BTreeMap<String, usize>,
    /// Reasons of failed requests.
    pub failed: Vec<String>,
    /// Replies with more than one stamp.
    pub mixed: Vec<String>,
    /// The gateway's resident bytes at the mark.
    pub resident_at_mark: u64,
    /// The gateway's resident bytes at the end.
    pub resident_at_end: u64,
    /// Releases in memory at the end, besides the active one.
    pub left: Vec<Value>,
    /// Compiled components that are mapped into the gateway at the end.
    pub mapped: usize,
}

impl Swaps {
    /// Growth from the mark to the end. 0.05 is 5 %.
    #[must_use]
    pub fn growth(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "bytes far below 2^52")]
        let ratio = self.resident_at_end as f64 / self.resident_at_mark as f64;
        ratio - 1.0
    }

    /// Checks the guarantees.
    ///
    /// # Errors
    /// A request failed, a reply mixed releases, or a release stayed in memory.
    pub fn holds(&self) -> Result<()> {
        ensure!(
            self.failed.is_empty(),
            "{} requests failed: {:?}",
            self.failed.len(),
            self.failed.first()
        );
        ensure!(
            self.mixed.is_empty(),
            "{} replies of two releases: {:?}",
            self.mixed.len(),
            self.mixed.first()
        );
        ensure!(
            self.left.is_empty(),
            "releases were not freed: {:?}",
            self.left
        );
        ensure!(
            self.mapped == 1,
            "{} components are mapped, and 1 is active",
            self.mapped
        );
        ensure!(
            self.crossed > 0 && self.served.len() == RELEASES,
            "the swaps were not under load: {} of {} replies saw one, of {} releases",
            self.crossed,
            self.replies,
            self.served.len()
        );
        Ok(())
    }
}

/// State that streams and swaps share.
#[derive(Debug)]
struct SwapState {
    swaps: AtomicUsize,
    /// A permit for each reply.
    replies: Semaphore,
    over: AtomicBool,
}

/// Results of successive streams.
#[derive(Debug, Default)]
struct StreamResults {
    replies: usize,
    crossed: usize,
    served: BTreeMap<String, usize>,
    failed: Vec<String>,
    mixed: Vec<String>,
}

/// Runs swaps and streams.
pub async fn swaps(size: Size) -> Result<Swaps> {
    ensure!(
        size.mark >= READINGS && size.swaps >= size.mark + READINGS,
        "too few swaps: at least {READINGS} to the mark, and as many after it"
    );
    let stage = Stage::set(RELEASES, paced(WORDS, PAUSE)).await?;
    let state = Arc::new(SwapState {
        swaps: AtomicUsize::new(0),
        replies: Semaphore::new(0),
        over: AtomicBool::new(false),
    });
    let mut streams = JoinSet::new();
    for _ in 0..size.streams {
        streams.spawn(streaming(stage.gateway.client().clone(), state.clone()));
    }
    let warm = u32::try_from(size.streams * WARM)?;
    soon("the first replies", state.replies.acquire_many(warm))
        .await??
        .forget();
    let began = Instant::now();
    let swapped = swapping(&stage, size, &state).await;
    let taken = began.elapsed();
    state.over.store(true, Ordering::Relaxed);
    let mut all = StreamResults::default();
    while let Some(results) = streams.join_next().await {
        all.add(results?);
    }
    let (resident_at_mark, resident_at_end) = swapped?;
    let left = left(&stage).await?;
    Ok(Swaps {
        taken,
        replies: all.replies,
        crossed: all.crossed,
        served: all.served,
        failed: all.failed,
        mixed: all.mixed,
        resident_at_mark,
        resident_at_end,
        left,
        mapped: mapped(&stage.gateway)?,
    })
}

/// The resident size at the mark and at the end, both while streams run.
async fn swapping(stage: &Stage, size: Size, state: &SwapState) -> Result<(u64, u64)> {
    let (mut at_mark, mut at_end) = (Vec::new(), Vec::new());
    for number in 1..=size.swaps {
        let digest = stage.in_turn(number)?;
        stage.admin.activate(POLICY, Some(digest)).await?;
        state.swaps.store(number, Ordering::Relaxed);
        if (size.mark + 1 - READINGS..=size.mark).contains(&number) {
            at_mark.push(process::resident(stage.gateway.pid())?);
        }
        if number > size.swaps - READINGS {
            at_end.push(process::resident(stage.gateway.pid())?);
        }
    }
    median(&at_mark)
        .zip(median(&at_end))
        .context("no reading of the resident size")
}

/// Reads one reply after the other until the run is over.
async fn streaming(client: Client, state: Arc<SwapState>) -> StreamResults {
    let mut results = StreamResults::default();
    while !state.over.load(Ordering::Relaxed) {
        let before = state.swaps.load(Ordering::Relaxed);
        match reply(&client).await {
            Ok(stamps) => {
                let crossed = state.swaps.load(Ordering::Relaxed) > before;
                results.note(&stamps, crossed);
            }
            Err(error) => results.failed.push(format!("{error:#}")),
        }
        state.replies.add_permits(1);
    }
    results
}

/// The stamps of one reply, which must be complete.
async fn reply(client: &Client) -> Result<BTreeSet<String>> {
    let mut stream = client.stream(json!({})).await?;
    if stream.status() != 200 {
        bail!("{}: {}", stream.status(), stream.rest().await?);
    }
    let frames = stream.frames().await?;
    ensure!(frames.last() == Some(&Frame::Done), "no end: {frames:?}");
    let chunks: Vec<&Value> = frames.iter().filter_map(Frame::data).collect();
    let text: String = frames.iter().map(Frame::text).collect();
    ensure!(
        text == "word ".repeat(WORDS),
        "not what Codex said: {chunks:?}"
    );
    let stamp = |chunk: &&Value| Some(chunk["stamp"].as_str()?.to_owned());
    let stamps: Vec<String> = chunks.iter().filter_map(stamp).collect();
    ensure!(
        stamps.len() == chunks.len(),
        "a frame without a stamp: {chunks:?}"
    );
    Ok(stamps.into_iter().collect())
}

impl StreamResults {
    fn note(&mut self, stamps: &BTreeSet<String>, crossed: bool) {
        self.replies += 1;
        self.crossed += usize::from(crossed);
        if stamps.len() > 1 {
            self.mixed.push(format!("{stamps:?}"));
        }
        for stamp in stamps {
            *self.served.entry(stamp.clone()).or_default() += 1;
        }
    }

    fn add(&mut self, other: Self) {
        self.replies += other.replies;
        self.crossed += other.crossed;
        self.failed.extend(other.failed);
        self.mixed.extend(other.mixed);
        for (stamp, count) in other.served {
            *self.served.entry(stamp).or_default() += count;
        }
    }
}

/// The releases in memory without a role. It polls, because a client sees the end of a request first.
async fn left(stage: &Stage) -> Result<Vec<Value>> {
    let idle = |report: &Value| {
        let releases = report["releases"].as_array().into_iter().flatten();
        let idle = releases.filter(|it| it["resident"] == true && it["number"] != report["active"]);
        idle.cloned().collect::<Vec<_>>()
    };
    let freed = stage
        .admin
        .reported("the end of releases without a role", |report| {
            idle(report).is_empty()
        });
    match freed.await {
        Ok(_) => Ok(Vec::new()),
        Err(_) => Ok(idle(&stage.admin.report().await?)),
    }
}

/// The number of compiled components that the gateway has mapped, counted by mappings at offset 0.
fn mapped(gateway: &Gateway) -> Result<usize> {
    let maps = fs::read_to_string(format!("/proc/{}/maps", gateway.pid()))?;
    let is_beginning = |line: &&str| {
        line.contains("/policy-cache/") && line.split_whitespace().nth(2) == Some("00000000")
    };
    Ok(maps.lines().filter(is_beginning).count())
}
