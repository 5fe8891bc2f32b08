//! The swap proof, smaller: `make proof` runs it in full and publishes its figures.

use airlock_tests::proof::{Size, swaps};
use anyhow::Result;

/// How much the gateway may grow here: so early it still warms up.
const GROWTH: f64 = 0.5;

#[tokio::test]
async fn swaps_under_streams_fail_none_mix_none_and_leave_nothing() -> Result<()> {
    let size = Size {
        swaps: 300,
        streams: 10,
        mark: 100,
    };
    let swapped = swaps(size).await?;
    swapped.holds()?;
    assert!(swapped.growth() < GROWTH, "{swapped:?}");
    Ok(())
}
