//! The kit of policy authors: projects, builds, compositions, checks, benchmarks and replays.

pub mod bench; // the time of each operation
mod build; // builds a project
mod check; // checks whether a component is fit to serve
mod component; // encodes core modules as components
mod compose; // composes parts into a policy
mod play; // plays a tape on a release
mod project; // creates a project
mod replay; // compares the results of replays

use std::time::Duration;

pub use self::bench::{Measurement, bench};
pub use self::build::build;
pub use self::check::{CheckProgress, CheckReport, CheckResult, CheckStatus, check};
pub use self::compose::{Composed, Part, compose};
pub use self::project::{PolicyName, ProjectRole, create_project};
pub use self::replay::{ReplayOutcome, compare_releases, replay_twice};

/// The target that policies are compiled for. It has no system interface.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// A duration in microseconds.
fn us(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
