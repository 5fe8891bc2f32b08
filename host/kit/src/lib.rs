//! The author's kit: what somebody needs who writes a policy.

pub mod bench; // how fast it is
mod build; // a project becomes a policy
mod check; // whether it is fit to serve
mod component; // what a file holds, and a file that is written whole
mod compose; // parts become a whole policy
mod play; // one tape on one release
mod project; // a project to start from
mod replay; // tapes on a release, or on two

use std::time::Duration;

pub use self::bench::{Measure, bench};
pub use self::build::build;
pub use self::check::{Check, Mark, Progress, Report, check};
pub use self::component::{digest, save};
pub use self::compose::{Composed, Part, compose};
pub use self::project::{Name, Role, create};
pub use self::replay::{against, twice};

/// What policies are compiled for: nothing in it can reach the outside.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// Microseconds.
fn us(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
