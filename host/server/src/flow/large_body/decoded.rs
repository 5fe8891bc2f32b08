//! The images that were decoded lately and found good, by their digests: a conversation sends the same ones with each request.

use std::collections::HashSet;
use std::mem::take;
use std::sync::{Mutex, PoisonError};

/// Digests in one generation. Two are kept, which take up about 300 KiB.
const GENERATION: usize = 1024;

/// A bounded set of digests that forgets the oldest half when it is full.
#[derive(Default)]
pub(super) struct DecodedImages(Mutex<Generations>);

#[derive(Default)]
struct Generations {
    recent: HashSet<String>,
    older: HashSet<String>,
}

impl DecodedImages {
    /// Whether this image is known to be good. Asking keeps it.
    pub(super) fn contains(&self, digest: &str) -> bool {
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if generations.recent.contains(digest) {
            return true;
        }
        let older = generations.older.take(digest);
        let known = older.is_some();
        if let Some(digest) = older {
            generations.insert(digest);
        }
        known
    }

    /// Remembers a good image.
    pub(super) fn insert(&self, digest: String) {
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        generations.insert(digest);
    }
}

impl Generations {
    fn insert(&mut self, digest: String) {
        if self.recent.len() >= GENERATION {
            self.older = take(&mut self.recent);
        }
        self.recent.insert(digest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looked_up_digests_stay_and_the_oldest_are_forgotten() {
        let images = DecodedImages::default();
        images.insert("kept".to_owned());
        for number in 0..3 * GENERATION {
            images.insert(number.to_string());
            assert!(images.contains("kept"), "{number}");
        }
        assert!(!images.contains("0"));
        assert!(images.contains(&(3 * GENERATION - 1).to_string()));
        let generations = images.0.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(generations.recent.len() + generations.older.len() <= 2 * GENERATION);
    }
}
