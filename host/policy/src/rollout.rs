//! Which release a request gets. All of it is behind one pointer, which a swap replaces.

use std::sync::Arc;

use arc_swap::ArcSwap;
use sha2::{Digest as _, Sha256};

use super::release::Release;
use super::shadow::Shadow;

/// Parts of all requests, of which a canary gets so many.
const PARTS: u64 = 10_000;

/// The releases that have a role.
#[derive(Clone)]
pub struct Roles {
    /// Serves whatever no canary does.
    pub active: Release,
    pub canary: Option<Canary>,
    pub shadow: Option<Shadow>,
}

/// A release that serves some of the requests.
#[derive(Clone)]
pub struct Canary {
    pub release: Release,
    /// Of 100 requests.
    pub percent: f64,
}

/// What requests choose from. Clones share it.
#[derive(Clone)]
pub struct Rollout(Arc<ArcSwap<Roles>>);

/// What a request is served with.
pub struct Chosen {
    /// The release that serves the request.
    pub release: Release,
    /// Runs beside it, unseen.
    pub shadow: Option<Shadow>,
}

impl Rollout {
    /// One release serves all.
    pub fn new(active: Release) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(Roles {
            active,
            canary: None,
            shadow: None,
        })))
    }

    /// The release for a request. Equal keys get the same one for as long as the roles stay.
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

    /// The roles as they are now.
    pub fn roles(&self) -> Arc<Roles> {
        self.0.load_full()
    }

    /// New requests choose from these. Those that run are not touched.
    pub(super) fn set(&self, roles: Roles) {
        self.0.store(Arc::new(roles));
    }
}

impl Canary {
    /// Whether the request of this key is among its. Each release gets others, and a higher share adds to a lower.
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
