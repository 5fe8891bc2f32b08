//! Random numbers seeded by the request's id: the sandbox has no other source, and the same request always gives the
//! same ones.

/// A sequence of numbers that is unpredictable without the request's id.
#[derive(Debug)]
pub(super) struct SeededRandom(u64);

impl SeededRandom {
    /// Sequences of different purposes are independent.
    pub(super) fn new(id: &str, purpose: &str) -> Self {
        Self(hash(id.bytes().chain([0]).chain(purpose.bytes())))
    }

    /// The next number (SplitMix64).
    pub(super) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Shuffles the items (Fisher–Yates).
    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let range = u64::try_from(last + 1).unwrap_or(u64::MAX);
            let other = usize::try_from(self.number() % range).unwrap_or(last);
            items.swap(last, other);
        }
    }
}

/// The 64-bit FNV-1a hash.
pub(super) fn hash(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn shuffling_is_uniform_and_reproducible() {
        let order = |id: &str| {
            let mut items = [1, 2, 3, 4];
            SeededRandom::new(id, "order").shuffle(&mut items);
            items
        };
        assert_eq!(order("req_1"), order("req_1"));
        let orders: BTreeSet<[i32; 4]> = (0..400).map(|n| order(&format!("req_{n}"))).collect();
        assert_eq!(orders.len(), 24);
        assert_ne!(
            SeededRandom::new("a", "b").number(),
            SeededRandom::new("a", "c").number()
        );
    }
}
