//! The choice of the release for each request. The roles are behind one pointer, which a swap replaces.

use std::sync::Arc;

use arc_swap::ArcSwap;
use sha2::{Digest as _, Sha256};

use super::fault::Fault;
use super::release::Release;
use super::shadow::Shadow;

/// The parts that the requests are divided into by the hash of their keys.
const PARTS: u64 = 10_000;

/// The releases that have a role.
#[derive(Clone)]
pub struct Roles {
    /// Serves all requests but the canary's.
    pub active: Release,
    pub canary: Option<Canary>,
    pub shadow: Option<Shadow>,
}

/// A release that serves a share of the requests.
#[derive(Clone)]
pub struct Canary {
    pub release: Release,
    /// The share, from 0 to 100.
    pub percent: f64,
}

/// The roles, from which each request gets its release. Clones share them.
#[derive(Clone)]
pub struct Rollout(Arc<ArcSwap<Roles>>);

/// The releases of a request.
pub struct Chosen {
    /// The release that serves it.
    pub release: Release,
    /// The shadow that receives the same calls.
    pub shadow: Option<Shadow>,
}

impl Rollout {
    /// A rollout in which one release serves all requests.
    pub fn new(active: Release) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(Roles {
            active,
            canary: None,
            shadow: None,
        })))
    }

    /// Chooses the release of a request. Equal keys get the same release as long as the roles stay.
    pub fn choose(&self, key: &str) -> Chosen {
        let roles = self.0.load();
        if let Some(canary) = &roles.canary
            && canary.takes(key)
        {
            canary.release.meter().chosen_as_canary();
            // A shadow is compared with the active release.
            return Chosen {
                release: canary.release.clone(),
                shadow: None,
            };
        }
        Chosen {
            release: roles.active.clone(),
            shadow: roles.shadow.clone(),
        }
    }

    /// The same for a request in this dialect: a canary or a shadow whose policy does not support it is passed over. None
    /// if the active release does not support it either.
    ///
    /// # Errors
    /// A policy cannot describe itself.
    pub async fn choose_for(&self, key: &str, dialect: &str) -> Result<Option<Chosen>, Fault> {
        let mut chosen = self.choose(key);
        if !chosen.release.supports_dialect(dialect).await? {
            let roles = self.roles();
            if !roles.active.supports_dialect(dialect).await? {
                return Ok(None);
            }
            chosen = Chosen {
                release: roles.active.clone(),
                shadow: roles.shadow.clone(),
            };
        }
        if let Some(shadow) = &chosen.shadow
            && !shadow.release.supports_dialect(dialect).await?
        {
            chosen.shadow = None;
        }
        Ok(Some(chosen))
    }

    /// The current roles.
    pub fn roles(&self) -> Arc<Roles> {
        self.0.load_full()
    }

    /// Replaces the roles for new requests. Running requests keep their release.
    pub(super) fn set(&self, roles: Roles) {
        self.0.store(Arc::new(roles));
    }
}

impl Canary {
    /// Whether the canary serves the request of this key. Canaries of different digests get different requests, and raising
    /// the share only adds requests.
    fn takes(&self, key: &str) -> bool {
        takes(&self.release.about().digest, self.percent, key)
    }
}

fn takes(digest: &str, percent: f64, key: &str) -> bool {
    let mut hash = Sha256::new();
    hash.update(digest);
    hash.update(key);
    let bytes = hash.finalize();
    let number = bytes
        .iter()
        .take(8)
        .fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of 0 to 100 percent"
    )]
    let share = (percent.clamp(0.0, 100.0) * (PARTS / 100) as f64).round() as u64;
    number % PARTS < share
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGESTS: [&str; 3] = ["0a", "0b", "ff"];

    fn taken(digest: &str, percent: f64) -> Vec<usize> {
        let is_taken = |number: &usize| takes(digest, percent, &format!("req_{number:032}"));
        (0..10_000).filter(is_taken).collect()
    }

    #[test]
    fn a_tenth_of_the_requests_is_about_a_tenth() {
        for digest in DIGESTS {
            let count = taken(digest, 10.0).len();
            assert!((900..=1100).contains(&count), "{count}");
            assert_eq!(taken(digest, 0.0).len(), 0);
            assert_eq!(taken(digest, 100.0).len(), 10_000);
        }
    }

    #[test]
    fn a_higher_share_adds_to_a_lower_and_releases_get_different_requests() {
        let (some, more) = (taken("0a", 10.0), taken("0a", 20.0));
        assert!(some.iter().all(|number| more.contains(number)));
        let other = taken("0b", 10.0);
        let both = some.iter().filter(|number| other.contains(number)).count();
        assert!(both < 200, "{both} of {}", some.len());
    }
}
