//! Metrics of one release. They outlive the release's code, which may be freed and loaded again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::histogram::Histogram;
use super::route::{RequestOutcome, Route};

/// Bounds for calls in seconds: most take microseconds, and the longest is `sandbox.call_timeout`.
const CALL: &[f64] = &[
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025,
    0.05, 0.1, 0.25, 0.5, 1.0,
];

/// How a policy may fail, as `Fault::kind` has it.
pub(super) const KINDS: [&str; 5] = ["trap", "timeout", "memory", "contract", "output"];

/// Characters of a version that are exported; its author chooses it.
const VERSION: usize = 64;

/// Digits of a digest that are exported: enough to distinguish builds.
const DIGEST: usize = 12;

/// The counts of one release.
#[derive(Debug, Default)]
pub struct ReleaseMetrics {
    /// What it is. None for what is none of a registry's.
    identity: OnceLock<ReleaseIdentity>,
    /// By route, and then by outcome.
    pub(super) requests: [[AtomicU64; RequestOutcome::ALL.len()]; Route::ALL.len()],
    /// By kind.
    pub(super) faults: [AtomicU64; KINDS.len()],
    /// Requests that it served as a canary.
    pub(super) canary: AtomicU64,
    /// How often it is in memory: more than once while old requests run on with other settings.
    resident: AtomicU64,
    /// How long calls take, over all releases of a gateway.
    calls: Arc<AllCallTimes>,
}

/// What operators know a release by.
#[derive(Debug)]
pub(super) struct ReleaseIdentity {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) digest: String,
}

/// By `CallPurpose`.
pub(super) type AllCallTimes = [CallTimes; CallPurpose::ALL.len()];

/// The purpose of a call into a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallPurpose {
    /// For a client.
    Serving,
    /// To compare its results with those that are served.
    Shadow,
}

impl CallPurpose {
    pub(super) const ALL: [(Self, &'static str); 2] =
        [(Self::Serving, "serving"), (Self::Shadow, "shadow")];
}

/// How long the calls into policies take, by export.
macro_rules! calls {
    ($($export:ident),*) => {
        #[derive(Debug)]
        pub struct CallTimes {
            $(pub $export: Histogram,)*
        }

        impl Default for CallTimes {
            fn default() -> Self {
                Self { $($export: Histogram::new(CALL),)* }
            }
        }

        impl CallTimes {
            pub(super) fn all(&self) -> impl Iterator<Item = (&'static str, &Histogram)> {
                [$((stringify!($export), &self.$export)),*].into_iter()
            }
        }
    };
}

calls!(
    instantiate,
    describe,
    render,
    decide,
    open,
    feed,
    offer,
    relayed,
    finish,
    convene,
    wake,
    settle,
    judged,
    list_models,
    show_model
);

impl ReleaseMetrics {
    pub(super) fn with(calls: Arc<AllCallTimes>) -> Self {
        Self {
            calls,
            ..Self::default()
        }
    }

    /// Records the identity of the release, at each load. `digest`: in hexadecimal digits.
    pub fn identify(&self, name: &str, version: &str, digest: &str) {
        let plain = version.chars().filter(|letter| !letter.is_control());
        self.identity.get_or_init(|| ReleaseIdentity {
            name: name.to_owned(),
            version: plain.take(VERSION).collect(),
            digest: digest.chars().take(DIGEST).collect(),
        });
    }

    pub(super) fn identity(&self) -> Option<&ReleaseIdentity> {
        self.identity.get()
    }

    /// How long its calls for this take.
    pub fn calls(&self, purpose: CallPurpose) -> &CallTimes {
        &self.calls[purpose as usize]
    }

    /// A call has failed in this way. None: not by the policy's fault.
    pub fn failed(&self, kind: Option<&str>) {
        let kind = KINDS.iter().position(|known| Some(*known) == kind);
        if let Some(kind) = kind {
            self.faults[kind].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// It was chosen as a canary.
    pub fn chosen_as_canary(&self) {
        self.canary.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether it is in memory: it has a role, or serves a request still.
    pub(super) fn is_used(&self) -> bool {
        self.resident.load(Ordering::Relaxed) > 0
    }

    /// It is in memory.
    pub fn loaded(&self) {
        self.resident.fetch_add(1, Ordering::Relaxed);
    }

    /// It was freed.
    pub fn freed(&self) {
        self.resident.fetch_sub(1, Ordering::Relaxed);
    }
}
