//! The digests of images that were decoded successfully: a conversation has the same images in each request.

use std::collections::HashSet;
use std::mem::take;

use parking_lot::Mutex;

/// Digests in one generation. The two generations occupy about 300 KiB.
const GENERATION: usize = 1024;

/// A bounded set of digests, in two generations. When the recent one is full, it replaces the older one.
#[derive(Default)]
pub(super) struct DecodedImages(Mutex<Generations>);

#[derive(Default)]
struct Generations {
    recent: HashSet<String>,
    older: HashSet<String>,
}

impl DecodedImages {
    /// Whether the image was decoded. A lookup moves it to the recent generation.
    pub(super) fn contains(&self, digest: &str) -> bool {
        let mut generations = self.0.lock();
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

    /// Adds an image that was decoded.
    pub(super) fn insert(&self, digest: String) {
        let mut generations = self.0.lock();
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
        let generations = images.0.lock();
        assert!(generations.recent.len() + generations.older.len() <= 2 * GENERATION);
    }
}
