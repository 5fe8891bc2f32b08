//! The author's kit: what somebody needs who writes a policy.

pub(crate) mod bench; // how fast it is
mod build; // a project becomes a policy
mod check; // whether it is fit to serve
mod component; // what a file holds, and a file that is written whole
mod compose; // parts become a whole policy
mod play; // one tape on one release
mod project; // a project to start from
mod replay; // tapes on a release, or on two

use std::time::Duration;

pub(crate) use self::bench::{Measure, bench};
pub(crate) use self::build::build;
pub(crate) use self::check::{Check, Mark, Progress, Report, check};
pub(crate) use self::component::{digest, save};
pub(crate) use self::compose::{Composed, Part, compose};
pub(crate) use self::project::{Name, Role, create};
pub(crate) use self::replay::{against, twice};

/// What policies are compiled for: nothing in it can reach the outside.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// Microseconds.
fn us(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

#[cfg(test)]
pub(crate) mod tests {
    //! Releases to try things on.
    #![allow(clippy::unwrap_used, reason = "tests")]

    use crate::policy::config::{PolicyConfig, SandboxConfig};
    use crate::policy::{EMBEDDED, Engine, Release, Terms};

    /// What holds where nobody says otherwise, with few sandboxes.
    pub(crate) fn config() -> PolicyConfig {
        PolicyConfig {
            sandbox: SandboxConfig {
                instances: 4,
                ..SandboxConfig::default()
            },
            ..PolicyConfig::defaults(std::path::PathBuf::new())
        }
    }

    /// A release of this component.
    pub(crate) fn release(name: &str, bytes: &[u8]) -> Release {
        let engine = Engine::new(&config().sandbox).unwrap();
        Release::load(&engine, name, bytes, Terms::of(&config())).unwrap()
    }

    /// The shipped policy with another word of the same length in it.
    pub(crate) fn patched(word: &str, other: &str) -> Vec<u8> {
        assert_eq!(word.len(), other.len());
        let mut bytes = EMBEDDED.to_vec();
        let places: Vec<usize> = memchr::memmem::find_iter(EMBEDDED, word).collect();
        assert!(!places.is_empty(), "the policy does not say {word:?}");
        for at in places {
            bytes[at..at + word.len()].copy_from_slice(other.as_bytes());
        }
        bytes
    }
}
