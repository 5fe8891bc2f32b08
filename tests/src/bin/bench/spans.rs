//! Times and sizes: units, medians, percentiles and formatting.

use std::time::Duration;

/// The percentile by nearest rank. The default if there are no values.
pub(super) fn percentile<T: Copy + Default>(sorted: &[T], percent: usize) -> T {
    let rank = (sorted.len() * percent).div_ceil(100);
    let index = rank.saturating_sub(1);
    sorted.get(index).copied().unwrap_or_default()
}

/// The median. NaN if there are no values.
pub(super) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

pub(super) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// The times in milliseconds, in the same order.
pub(super) fn millis(times: &[Duration]) -> Vec<f64> {
    times.iter().map(|time| time.as_secs_f64() * 1e3).collect()
}

#[expect(clippy::cast_precision_loss, reason = "sizes far below 2^52")]
pub(super) fn kib(bytes: u64) -> f64 {
    bytes as f64 / 1024.0
}

pub(super) fn mib(bytes: u64) -> f64 {
    kib(bytes) / 1024.0
}

/// Formats a time in a suitable unit.
pub(super) fn time(micros: f64) -> String {
    match micros {
        ..1e3 => format!("{micros:.0} µs"),
        ..1e6 => format!("{:.2} ms", micros / 1e3),
        _ => format!("{:.2} s", micros / 1e6),
    }
}

/// Formats the median and the range around it.
pub(super) fn summary(taken: &[Duration]) -> String {
    let mut sorted = taken.to_vec();
    sorted.sort_unstable();
    let of = |percent| percentile(&sorted, percent);
    format!(
        "median {:.2?} ({:.2?} to {:.2?}, {} runs)",
        of(50),
        of(0),
        of(100),
        sorted.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many samples, of which the nth is n.
    fn samples(count: usize) -> Vec<usize> {
        (1..=count).collect()
    }

    #[test]
    fn the_99th_of_few_is_the_worst() {
        assert_eq!(percentile(&samples(1), 99), 1);
        assert_eq!(percentile(&samples(10), 99), 10);
        assert_eq!(percentile(&samples(50), 99), 50);
        assert_eq!(percentile(&samples(100), 99), 99);
        assert_eq!(percentile(&samples(200), 99), 198);
        assert_eq!(percentile(&samples(0), 99), 0);
    }

    #[test]
    fn percentiles_reach_from_the_least_to_the_most() {
        let samples = samples(7);
        let of = |percent| percentile(&samples, percent);
        assert_eq!([of(0), of(50), of(100)], [1, 4, 7]);
    }

    #[test]
    fn sizes_are_not_cut() {
        assert_eq!(format!("{:.3}", mib((32 << 20) + 4096)), "32.004");
        assert_eq!(format!("{:.3}", kib((128 << 10) - 1)), "127.999");
    }
}
