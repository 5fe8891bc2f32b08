//! Shadows: releases that receive the calls of served requests. Their results are compared and dropped.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::{self, Write as _};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::health::Client;
use super::policy_call::{CallResult, Observed, PolicyCall, RecordedCall, observer};
use super::release::Release;
use super::replay::Replay;
use super::session::Session;
use airlock_base::task::Tasks;
use airlock_types::wit::Action;

/// The most requests that are followed at once. Others are passed over.
const FOLLOWED: usize = 32;

/// Bytes of the largest request that is followed, because following copies it.
const BODY_BYTES: usize = 1 << 20;

/// The most differences that are kept.
const SAMPLES: usize = 16;

/// The bytes of a result's text that are searched for a difference.
const TEXT_BYTES: usize = 64 << 10;

/// The characters of an excerpt.
const EXCERPT: usize = 160;

/// A shadow. Clones share its counts.
#[derive(Clone)]
pub struct Shadow {
    pub release: Release,
    permits: Arc<Semaphore>,
    tally: Arc<Mutex<ShadowTally>>,
    tasks: Tasks,
}

/// Counts of compared requests.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ShadowTally {
    /// Requests whose answers were the same to the last byte.
    pub same: u64,
    /// Requests with a difference, by the first call that differed: `render`, `feed`, `finish`, …
    pub different: BTreeMap<&'static str, u64>,
    /// Requests on which the shadow failed.
    pub failed: u64,
    /// Requests without a whole answer: their client left, or the served release failed.
    pub cut: u64,
    /// Requests whose calls came faster than the shadow could follow.
    pub behind: u64,
    /// Requests that were not followed: too many at once, or too large.
    pub passed: u64,
    /// The last differences.
    pub samples: VecDeque<Sample>,
}

/// A difference.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    /// The request's id.
    pub request: String,
    /// The call: `feed`.
    pub call: &'static str,
    /// The number of the call in the request, from 1.
    pub number: usize,
    /// An excerpt of the served result, from a little before the difference.
    pub served: String,
    /// The same excerpt of the shadow's result.
    pub shadow: String,
}

impl Shadow {
    /// A shadow with an empty tally.
    pub(super) fn new(release: Release, tasks: &Tasks) -> Self {
        Self {
            release,
            permits: Arc::new(Semaphore::new(FOLLOWED)),
            tally: Arc::default(),
            tasks: tasks.clone(),
        }
    }

    /// Follows a request. This copies its calls and results, and never delays it.
    pub fn follow(&self, session: &mut Session, request: &str, body_bytes: usize) {
        let permit = Arc::clone(&self.permits).try_acquire_owned().ok();
        let Some(permit) = permit.filter(|_| body_bytes <= BODY_BYTES) else {
            self.lock().passed += 1;
            return;
        };
        let (sender, observed) = observer();
        session.observe(sender);
        let client = session.client();
        let shadow = self.clone();
        let request = request.to_owned();
        self.tasks.spawn("shadow", async move {
            let stopping = shadow.tasks.clone();
            tokio::select! {
                () = stopping.stopping() => {}
                () = shadow.compare(request, client, observed, permit) => {}
            }
        });
    }

    /// The counts so far.
    pub fn tally(&self) -> ShadowTally {
        self.lock().clone()
    }

    async fn compare(
        self,
        request: String,
        client: Client,
        mut observed: Observed,
        _permit: OwnedSemaphorePermit,
    ) {
        let Ok(mut replay) = Replay::beside(&self.release, client).await else {
            self.lock().failed += 1;
            return;
        };
        let mut number = 0;
        while let Some(recorded) = observed.next().await {
            number += 1;
            let own = replay.call(recorded.call()).await;
            if matches!(recorded.result(), CallResult::Fault(_)) {
                break;
            }
            if matches!(own, CallResult::Fault(_)) {
                self.lock().failed += 1;
                return;
            }
            if let Some(sample) = differs(&request, number, &recorded, &own) {
                self.differed(sample);
                return;
            }
            if is_last(&recorded) {
                self.lock().same += 1;
                return;
            }
        }
        let mut tally = self.lock();
        if observed.has_gaps() {
            tally.behind += 1;
        } else {
            tally.cut += 1;
        }
    }

    fn differed(&self, sample: Sample) {
        let mut tally = self.lock();
        *tally.different.entry(sample.call).or_default() += 1;
        if tally.samples.len() == SAMPLES {
            tally.samples.pop_front();
        }
        tally.samples.push_back(sample);
    }

    fn lock(&self) -> MutexGuard<'_, ShadowTally> {
        self.tally.lock()
    }
}

/// Whether the request ends with this call.
fn is_last(recorded: &RecordedCall) -> bool {
    if let CallResult::Action(action) = recorded.result() {
        return !matches!(action.as_ref(), Action::Load(_) | Action::Stop(_));
    }
    matches!(
        (recorded.call(), recorded.result()),
        (PolicyCall::Finish(_), _)
            | (
                _,
                CallResult::Refused(_)
                    | CallResult::Admission(airlock_types::wit::Admission::Refuse(_))
            )
    )
}

fn differs(
    request: &str,
    number: usize,
    recorded: &RecordedCall,
    own: &CallResult,
) -> Option<Sample> {
    let (served, shadow) = (recorded.result().shown(), own.shown());
    if served == shadow {
        return None;
    }
    let (served, shadow) = excerpts(&debug_text(&served), &debug_text(&shadow));
    Some(Sample {
        request: request.to_owned(),
        call: recorded.call().name(),
        number,
        served,
        shadow,
    })
}

/// The first [`TEXT_BYTES`] of a result's `Debug` text.
fn debug_text(answer: &CallResult) -> String {
    let mut text = BoundedText(String::new());
    // An error only means that the text is cut.
    let _ = write!(text, "{answer:?}");
    text.0
}

struct BoundedText(String);

impl fmt::Write for BoundedText {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        if self.0.len() + piece.len() > TEXT_BYTES {
            return Err(fmt::Error);
        }
        self.0.push_str(piece);
        Ok(())
    }
}

/// Excerpts of both from a little before the first difference.
fn excerpts(one: &str, other: &str) -> (String, String) {
    let same = one
        .chars()
        .zip(other.chars())
        .take_while(|(one, other)| one == other)
        .count();
    let from = same.saturating_sub(EXCERPT / 4);
    let cut = |text: &str| text.chars().skip(from).take(EXCERPT).collect();
    (cut(one), cut(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_begins_a_little_before_the_difference() {
        let (one, other) = ("a".repeat(500) + "b" + &"c".repeat(500), "a".repeat(600));
        let (one, other) = excerpts(&one, &other);
        assert_eq!(one, "a".repeat(40) + "b" + &"c".repeat(119));
        assert_eq!(other, "a".repeat(140));
        assert_eq!(
            excerpts("same", "same?"),
            ("same".to_owned(), "same?".to_owned())
        );
    }
}
