//! Numbers, sizes and durations of settings: parsed from TOML values, checked against bounds, and formatted.

use toml::Value;

/// The smallest and the largest value, both included: bytes for a size, milliseconds for a duration.
pub type Bounds = (u64, u64);

/// Parses a whole number.
///
/// # Errors
/// The value is not a whole number of 64 bits.
pub fn number(value: &Value) -> Result<u64, String> {
    let number = match value {
        Value::Integer(number) => u64::try_from(*number).ok(),
        Value::String(text) => text.replace('_', "").parse().ok(),
        _ => None,
    };
    number.ok_or_else(|| "must be a whole number".to_owned())
}

const SIZES: &[(&str, u64)] = &[
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("", 1),
];
const DURATIONS: &[(&str, u64)] = &[("ms", 1), ("min", 60_000), ("h", 3_600_000), ("s", 1000)];

/// Parses a size in bytes: a number, or text with the unit `KiB`, `MiB` or `GiB`.
///
/// # Errors
/// The value is not a size.
pub fn bytes(value: &Value) -> Result<u64, String> {
    let size = match value {
        Value::String(text) => with_unit(text, SIZES),
        other => number(other).ok(),
    };
    size.ok_or_else(|| "must be a size: 4194304 or \"4MiB\"".to_owned())
}

/// Returns a number that is within its bounds. `show` formats a bound for the error.
///
/// # Errors
/// The number is out of range; the message names both bounds.
pub fn in_range(
    number: u64,
    (smallest, largest): Bounds,
    show: fn(u64) -> String,
) -> Result<u64, String> {
    if (smallest..=largest).contains(&number) {
        return Ok(number);
    }
    Err(format!(
        "must be between {} and {}",
        show(smallest),
        show(largest)
    ))
}

/// Parses a duration in milliseconds: text with the unit `ms`, `s`, `min` or `h`.
///
/// # Errors
/// The value is not a duration, or has no unit.
pub fn millis(value: &Value) -> Result<u64, String> {
    // A number without a unit is refused, because people guess different units.
    value
        .as_str()
        .and_then(|text| with_unit(text, DURATIONS))
        .ok_or_else(|| "must be a duration with its unit: \"15s\", \"250ms\", \"30min\"".to_owned())
}

/// Parses a number that ends with one of the units.
fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (digits, factor) = units
        .iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))?;
    digits
        .trim_end()
        .replace('_', "")
        .parse::<u64>()
        .ok()?
        .checked_mul(*factor)
}

/// Formats a size in its largest whole unit: `4MiB`.
pub fn show_bytes(bytes: u64) -> String {
    show(bytes, SIZES)
}

/// Formats milliseconds in their largest whole unit: `15s`.
pub fn show_millis(millis: u64) -> String {
    show(
        millis,
        &[("h", 3_600_000), ("min", 60_000), ("s", 1000), ("ms", 1)],
    )
}

/// Formats a number in the largest unit that keeps it whole. The units are sorted, the largest first.
fn show(number: u64, units: &[(&str, u64)]) -> String {
    let whole = units
        .iter()
        .find(|(_, factor)| number != 0 && number.is_multiple_of(*factor));
    match whole.or(units.last()) {
        Some((unit, factor)) => format!("{}{unit}", number / factor),
        None => number.to_string(),
    }
}

/// Converts a number to a narrower type.
///
/// # Errors
/// The number does not fit.
pub fn narrow<T: TryFrom<u64>>(number: u64) -> Result<T, String> {
    T::try_from(number).map_err(|_| "is too large for this machine".to_owned())
}
