//! Times and sizes, told.

use std::time::Duration;

pub(super) fn median(taken: &mut [Duration]) -> Duration {
    taken.sort();
    taken.get(taken.len() / 2).copied().unwrap_or_default()
}

/// The median, and what lies around it.
pub(super) fn told(mut taken: Vec<Duration>) -> String {
    let middle = median(&mut taken);
    let (least, most) = (taken.first(), taken.last());
    format!(
        "median {middle:.2?} ({:.2?} to {:.2?}, {} runs)",
        least.copied().unwrap_or_default(),
        most.copied().unwrap_or_default(),
        taken.len()
    )
}

pub(super) fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}
