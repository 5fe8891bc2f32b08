//! The memory that request bodies may take up, with the copies that are made of them and the images that are decoded.

mod available; // what the system allows

use tokio::sync::OwnedSemaphorePermit;

/// Copies of a body that exist at most, itself included, measured as the resident size of the gateway
/// (docs/performance.md): the body, what the policy reads it into, the plan, and the line to Codex.
pub const COPIES: usize = 5;

/// Bytes of one permit of the semaphores that count memory.
const UNIT: usize = 1 << 10;

/// Bytes that bodies may take up by default, where there is enough: a quarter of what this process may use, and at most
/// this.
const DEFAULT_AT_MOST: u64 = 2 << 30;

/// Of all memory for bodies, one part in so many is for small bodies alone.
const SMALL_SHARE: usize = 8;

/// Bytes that decoding an image may take besides its file.
pub const DECODED_BYTES: u64 = 256 << 20;

/// Images that are decoded at once, at most.
const DECODERS: u64 = 2;

/// How many images may be decoded at once: all of them take at most an eighth of what this process may use, but one may be
/// decoded whatever the system has.
pub fn decoders() -> usize {
    decoders_within(available::available())
}

fn decoders_within(available: Option<u64>) -> usize {
    let fit = available.map_or(DECODERS, |bytes| bytes / 8 / DECODED_BYTES);
    usize::try_from(fit.clamp(1, DECODERS)).unwrap_or(1)
}

/// Permits that so many bytes take.
pub fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

/// The memory for bodies, in permits: for all, and for small ones alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    /// Permits of 1 KiB that all bodies share.
    pub common: usize,
    /// Permits of 1 KiB for small bodies alone.
    pub small: usize,
}

impl Split {
    /// As configured, or, where `body_memory_bytes` is 0, as the system has it.
    pub fn of(body_memory_bytes: usize, body_bytes: usize) -> Self {
        let bytes = match body_memory_bytes {
            0 => by_default(available::available(), body_bytes),
            bytes => bytes,
        };
        Self::new(bytes)
    }

    /// Splits so many bytes.
    pub fn new(bytes: usize) -> Self {
        let units = bytes / UNIT;
        let small = units / SMALL_SHARE;
        Self {
            common: units - small,
            small,
        }
    }
}

/// The least that `limits.body_memory_bytes` can be: one body of the largest size fits.
pub fn least(body_bytes: usize) -> usize {
    let largest = body_bytes.saturating_mul(COPIES);
    // The share of small bodies comes on top, and so does what is lost to rounding.
    largest
        .saturating_add(largest / (SMALL_SHARE - 1))
        .saturating_add(SMALL_SHARE * UNIT)
}

/// Never less than the largest body needs, whatever the system has.
fn by_default(available: Option<u64>, body_bytes: usize) -> usize {
    let least = least(body_bytes);
    let quarter = available.map_or(DEFAULT_AT_MOST, |bytes| (bytes / 4).min(DEFAULT_AT_MOST));
    if available.is_some_and(|available| least as u64 > available / 2) {
        tracing::warn!(
            available,
            bytes = least,
            "request bodies of limits.body_bytes may take up more than half of the memory: lower limits.body_bytes"
        );
    }
    usize::try_from(quarter).unwrap_or(usize::MAX).max(least)
}

/// A share of the memory for bodies, given back when it is dropped.
#[derive(Debug, Default)]
pub struct MemoryShare(Option<OwnedSemaphorePermit>);

impl From<OwnedSemaphorePermit> for MemoryShare {
    fn from(permit: OwnedSemaphorePermit) -> Self {
        Self(Some(permit))
    }
}

impl MemoryShare {
    /// Adds permits of the same semaphore.
    pub fn add(&mut self, more: OwnedSemaphorePermit) {
        match &mut self.0 {
            Some(permit) => permit.merge(more),
            None => self.0 = Some(more),
        }
    }

    /// Takes out of it what so many bytes need, or all of it where that is less.
    pub fn split_off(&mut self, bytes: usize) -> Self {
        let Some(permit) = &mut self.0 else {
            return Self::default();
        };
        let wanted = permit.num_permits().min(bytes.div_ceil(UNIT));
        Self(permit.split(wanted))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn the_default_follows_the_memory_and_always_fits_the_largest_body() {
        assert_eq!(by_default(Some(64 << 30), 32 * MIB), 2 << 30);
        assert_eq!(by_default(Some(4 << 30), 32 * MIB), 1 << 30);
        assert_eq!(by_default(Some(512 << 20), MIB), 128 * MIB);
        assert_eq!(by_default(Some(512 << 20), 32 * MIB), least(32 * MIB));
        assert_eq!(by_default(None, MIB), 2 << 30);
        for body_bytes in [1 << 10, MIB, 32 * MIB + 1, 1 << 30] {
            let split = Split::new(least(body_bytes));
            assert!(
                split.common * UNIT >= COPIES * body_bytes,
                "{body_bytes}: {split:?}"
            );
            assert!(split.small > 0, "{body_bytes}: {split:?}");
        }
    }

    #[test]
    fn images_are_decoded_one_by_one_where_memory_is_short() {
        for (available, expected) in [
            (Some(0), 1),
            (Some(512 << 20), 1),
            (Some((4 << 30) - 1), 1),
            (Some(4 << 30), 2),
            (Some(64 << 30), 2),
            (None, 2),
        ] {
            assert_eq!(decoders_within(available), expected, "{available:?}");
        }
    }

    #[test]
    fn a_share_is_given_back_in_parts() {
        let memory = std::sync::Arc::new(tokio::sync::Semaphore::new(10));
        let mut share = MemoryShare::default();
        assert!(share.split_off(UNIT).0.is_none());
        for _ in 0..2 {
            let permit = std::sync::Arc::clone(&memory).try_acquire_many_owned(4);
            share.add(permit.unwrap());
        }
        assert_eq!(memory.available_permits(), 2);
        let held = share.split_off(3 * UNIT - 1);
        drop(share);
        assert_eq!(memory.available_permits(), 7);
        drop(held);
        assert_eq!(memory.available_permits(), 10);
    }
}
