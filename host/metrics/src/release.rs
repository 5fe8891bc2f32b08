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

/// The kinds of faults, as `Fault::kind` in `airlock-policy` names them.
pub(super) const KINDS: [&str; 5] = ["trap", "timeout", "memory", "contract", "output"];

/// The exported characters of a version, which the policy's author chooses.
const VERSION: usize = 64;

/// The exported digits of a digest.
const DIGEST: usize = 12;

/// The metrics of one release.
#[derive(Debug, Default)]
pub struct ReleaseMetrics {
    /// Empty for a release outside a registry.
    identity: OnceLock<ReleaseIdentity>,
    /// By route, and then by outcome.
    pub(super) requests: [[AtomicU64; RequestOutcome::ALL.len()]; Route::ALL.len()],
    /// By kind.
    pub(super) faults: [AtomicU64; KINDS.len()],
    /// Requests that it served as a canary.
    pub(super) canary: AtomicU64,
    /// How many times it is in memory: more than once while old requests run with other settings.
    resident: AtomicU64,
    /// The times of calls, shared by all releases of a gateway.
    calls: Arc<AllCallTimes>,
}

/// The name, version and digest of a release.
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
    /// To serve a client.
    Serving,
    /// To compare the results with those of the release that serves.
    Shadow,
}

impl CallPurpose {
    pub(super) const ALL: [(Self, &'static str); 2] =
        [(Self::Serving, "serving"), (Self::Shadow, "shadow")];
}

/// Declares `CallTimes`: the times of calls into policies, by export.
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
    keep_alive,
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

    /// The times of calls for this purpose.
    pub fn calls(&self, purpose: CallPurpose) -> &CallTimes {
        &self.calls[purpose as usize]
    }

    /// Counts a fault of this kind. `None` is not a fault of the policy.
    pub fn failed(&self, kind: Option<&str>) {
        let kind = KINDS.iter().position(|known| Some(*known) == kind);
        if let Some(kind) = kind {
            self.faults[kind].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a request for which the release was chosen as the canary.
    pub fn chosen_as_canary(&self) {
        self.canary.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether it is in memory: it has a role or serves a request.
    pub(super) fn is_used(&self) -> bool {
        self.resident.load(Ordering::Relaxed) > 0
    }

    /// Records that it was loaded.
    pub fn loaded(&self) {
        self.resident.fetch_add(1, Ordering::Relaxed);
    }

    /// Records that it was freed.
    pub fn freed(&self) {
        self.resident.fetch_sub(1, Ordering::Relaxed);
    }
}
