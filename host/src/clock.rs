//! What time it is.

use std::time::{SystemTime, UNIX_EPOCH};

/// Unix milliseconds. A clock before 1970 says 0.
pub(crate) fn unix_ms() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH);
    elapsed
        .ok()
        .and_then(|elapsed| u64::try_from(elapsed.as_millis()).ok())
        .unwrap_or_default()
}
