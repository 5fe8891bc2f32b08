//! The guarantees of policy swaps, measured on a gateway over the scripted Codex: `make proof`, and smaller in tests.

mod disturbance; // the effect of loading on running streams
mod latency; // the latency of a swap
mod swaps; // many swaps under load

use std::time::Duration;

use anyhow::{Context, Result};

pub use disturbance::{Disturbance, disturbance};
pub use latency::{Latency, Ratios, latency};
pub use swaps::{Size, Swaps, swaps};

use crate::policies::{digest, stamped};
use crate::{Admin, FakeCodex, Gateway, Script};

/// The policy whose builds are swapped.
const POLICY: &str = "stamp";

/// A gateway with builds of the stamping policy.
struct Stage {
    // Declared before the fake, which must be dropped later.
    gateway: Gateway,
    admin: Admin,
    /// Digests of the builds, in order.
    digests: Vec<String>,
    _fake: FakeCodex,
}

impl Stage {
    /// Starts a gateway with this many builds, and activates each once, so that its code is cached.
    async fn set(builds: usize, script: Script) -> Result<Self> {
        let fake = FakeCodex::start(script)?;
        let mut gateway = Gateway::with()
            .administered()
            .settings("[log]\nfilter = \"warn\"\n[limits]\nturns = 200");
        let mut digests = Vec::new();
        for number in 1..=builds {
            let component = stamped(&format!("STAMP-{number:04}"))?;
            digests.push(digest(&component));
            gateway = gateway.policy_file(&format!("{POLICY}@{number}.wasm"), component);
        }
        let gateway = gateway.over_fake(&fake).await?;
        let admin = gateway.admin();
        for digest in &digests {
            admin.activate(POLICY, Some(digest)).await?;
        }
        Ok(Self {
            gateway,
            admin,
            digests,
            _fake: fake,
        })
    }

    /// The digest of the `number`th build, in rotation.
    fn in_turn(&self, number: usize) -> Result<&str> {
        let digest = self.digests.get(number % self.digests.len().max(1));
        digest.map(String::as_str).context("a stage without builds")
    }
}

/// A script whose answers have this many words, with a pause after each.
fn paced(words: usize, pause: Duration) -> Script {
    Script::new()
        .every_turn(|turn| (0..words).fold(turn, |turn, _| turn.text("word ").pause(pause)))
}

/// The median. `None` of no values.
#[must_use]
pub fn median<T: Copy + PartialOrd>(values: &[T]) -> Option<T> {
    quantile(values, 0.5)
}

/// The value below which this share of all values lies. `None` of no values.
fn quantile<T: Copy + PartialOrd>(values: &[T], share: f64) -> Option<T> {
    let mut sorted = values.to_vec();
    sorted.sort_by(|one, other| one.partial_cmp(other).unwrap_or(std::cmp::Ordering::Equal));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a share of a count"
    )]
    let place = (sorted.len() as f64 * share) as usize;
    sorted
        .get(place.min(sorted.len().saturating_sub(1)))
        .copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_one_of_the_values() {
        let values: Vec<u32> = (1..=100).rev().collect();
        assert_eq!(quantile(&values, 0.99), Some(100));
        assert_eq!(quantile(&values, 0.5), Some(51));
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median::<u32>(&[]), None);
    }
}
