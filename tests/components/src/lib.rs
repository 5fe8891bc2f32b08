//! Paths of the policies that tests load, built as components for the newest WIT world unless another is named.

/// The shipped policy.
pub const SHIPPED: &str = env!("AIRLOCK_SHIPPED_POLICY");

/// The example `critique`.
pub const CRITIQUE: &str = env!("AIRLOCK_CRITIQUE_POLICY");

/// The example `redact`.
pub const REDACT: &str = env!("AIRLOCK_REDACT_POLICY");

/// The example `house-voice`.
pub const HOUSE_VOICE: &str = env!("AIRLOCK_HOUSE_VOICE_POLICY");

/// The example `majority`, which is a part of a policy.
pub const MAJORITY_PART: &str = env!("AIRLOCK_MAJORITY_PART");

/// A policy that misbehaves when a request demands it (`tests/hostile`).
pub const HOSTILE: &str = env!("AIRLOCK_HOSTILE_POLICY");

/// A policy that stamps each frame (`tests/stamp`).
pub const STAMP: &str = env!("AIRLOCK_STAMP_POLICY");

/// The stamping policy, built for the earlier world of `host/policy/fixtures`.
pub const EARLIER_STAMP: &str = env!("AIRLOCK_EARLIER_STAMP_POLICY");

/// The stamping policy with imports of WASI.
pub const WASI_STAMP: &str = env!("AIRLOCK_WASI_STAMP_POLICY");
