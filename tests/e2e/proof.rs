//! A smaller run of the swap proof: `make proof` runs it in full and publishes its figures.

use airlock_tests::proof::{Size, swaps};
use anyhow::Result;

/// The allowed growth of memory, in a gateway that still warms up.
const GROWTH: f64 = 0.5;

#[tokio::test]
async fn swaps_under_streams_fail_none_mix_none_and_leave_nothing() -> Result<()> {
    // A swap takes about a millisecond and a reply a hundred, so with fewer swaps the replies would not span three.
    let size = Size {
        swaps: 3000,
        streams: 10,
        mark: 1000,
    };
    let swapped = swaps(size).await?;
    swapped.holds()?;
    assert!(swapped.growth() < GROWTH, "{swapped:?}");
    Ok(())
}
