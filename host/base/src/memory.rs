//! The memory budget of request bodies, of the copies made of them, and of decoded images.

mod available; // the memory that this process may use

use tokio::sync::OwnedSemaphorePermit;

/// Copies of a body that exist at once at most, itself included, measured as the gateway's resident size
/// (docs/performance.md): the body, the policy's parsed form, the plan, and the line to Codex.
pub const COPIES: usize = 5;

/// Bytes per permit of a semaphore that counts memory.
const PERMIT_BYTES: usize = 1 << 10;

/// The largest default in bytes. The default is a quarter of the memory that this process may use.
const MAX_DEFAULT: u64 = 2 << 30;

/// One part in this many of the memory for bodies is reserved for small bodies.
const SMALL_DIVISOR: usize = 8;

/// Bytes that decoding an image may take, besides its file.
pub const DECODED_BYTES: u64 = 256 << 20;

/// Images that may be decoded at once on any system.
const MAX_DECODERS: u64 = 2;

/// The number of images that may be decoded at once: at least one, and as many as fit an eighth of the memory that this
/// process may use.
pub fn max_decoders() -> usize {
    max_decoders_within(available::available())
}

fn max_decoders_within(available: Option<u64>) -> usize {
    let fit = available.map_or(MAX_DECODERS, |bytes| bytes / 8 / DECODED_BYTES);
    usize::try_from(fit.clamp(1, MAX_DECODERS)).unwrap_or(1)
}

/// The number of permits for this many bytes.
pub fn permits(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(PERMIT_BYTES)).unwrap_or(u32::MAX)
}

/// The memory for bodies, in permits of 1 KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyMemory {
    /// Permits that all bodies share.
    pub common: usize,
    /// Permits that are reserved for small bodies.
    pub small: usize,
}

impl BodyMemory {
    /// The configured memory: `body_memory_bytes`, or the default of this system if that is 0.
    pub fn configured(body_memory_bytes: usize, body_bytes: usize) -> Self {
        let bytes = match body_memory_bytes {
            0 => default_bytes(available::available(), body_bytes),
            bytes => bytes,
        };
        Self::new(bytes)
    }

    /// Divides bytes into the shared and the reserved part.
    pub fn new(bytes: usize) -> Self {
        let permits = bytes / PERMIT_BYTES;
        let small = permits / SMALL_DIVISOR;
        Self {
            common: permits - small,
            small,
        }
    }
}

/// The minimum of `limits.body_memory_bytes`: one body of the largest size fits.
pub fn minimum(body_bytes: usize) -> usize {
    let largest = body_bytes.saturating_mul(COPIES);
    // The part for small bodies is added, and so is the loss to rounding.
    largest
        .saturating_add(largest / (SMALL_DIVISOR - 1))
        .saturating_add(SMALL_DIVISOR * PERMIT_BYTES)
}

/// The default in bytes: never less than the minimum.
fn default_bytes(available: Option<u64>, body_bytes: usize) -> usize {
    let minimum = minimum(body_bytes);
    let quarter = available.map_or(MAX_DEFAULT, |bytes| (bytes / 4).min(MAX_DEFAULT));
    if available.is_some_and(|available| minimum as u64 > available / 2) {
        tracing::warn!(
            available,
            bytes = minimum,
            "request bodies of limits.body_bytes may take up more than half of the memory: lower limits.body_bytes"
        );
    }
    usize::try_from(quarter).unwrap_or(usize::MAX).max(minimum)
}

/// A share of the memory for bodies, released when dropped.
#[derive(Debug, Default)]
pub struct MemoryShare(Option<OwnedSemaphorePermit>);

impl From<OwnedSemaphorePermit> for MemoryShare {
    fn from(permit: OwnedSemaphorePermit) -> Self {
        Self(Some(permit))
    }
}

impl MemoryShare {
    /// Adds permits of the same semaphore.
    pub fn merge(&mut self, more: OwnedSemaphorePermit) {
        match &mut self.0 {
            Some(permit) => permit.merge(more),
            None => self.0 = Some(more),
        }
    }

    /// Splits off the share of this many bytes, or all of it if it is smaller.
    pub fn split_off(&mut self, bytes: usize) -> Self {
        let Some(permit) = &mut self.0 else {
            return Self::default();
        };
        let wanted = permit.num_permits().min(bytes.div_ceil(PERMIT_BYTES));
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
        assert_eq!(default_bytes(Some(64 << 30), 32 * MIB), 2 << 30);
        assert_eq!(default_bytes(Some(4 << 30), 32 * MIB), 1 << 30);
        assert_eq!(default_bytes(Some(512 << 20), MIB), 128 * MIB);
        assert_eq!(default_bytes(Some(512 << 20), 32 * MIB), minimum(32 * MIB));
        assert_eq!(default_bytes(None, MIB), 2 << 30);
        for body_bytes in [1 << 10, MIB, 32 * MIB + 1, 1 << 30] {
            let memory = BodyMemory::new(minimum(body_bytes));
            assert!(
                memory.common * PERMIT_BYTES >= COPIES * body_bytes,
                "{body_bytes}: {memory:?}"
            );
            assert!(memory.small > 0, "{body_bytes}: {memory:?}");
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
            assert_eq!(max_decoders_within(available), expected, "{available:?}");
        }
    }

    #[test]
    fn a_share_is_released_in_parts() {
        let memory = std::sync::Arc::new(tokio::sync::Semaphore::new(10));
        let mut share = MemoryShare::default();
        assert!(share.split_off(PERMIT_BYTES).0.is_none());
        for _ in 0..2 {
            let permit = std::sync::Arc::clone(&memory).try_acquire_many_owned(4);
            share.merge(permit.unwrap());
        }
        assert_eq!(memory.available_permits(), 2);
        let held = share.split_off(3 * PERMIT_BYTES - 1);
        drop(share);
        assert_eq!(memory.available_permits(), 7);
        drop(held);
        assert_eq!(memory.available_permits(), 10);
    }
}
