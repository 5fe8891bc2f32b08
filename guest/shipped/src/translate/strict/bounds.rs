//! The bounds that a schema sets for numbers, strings and arrays, and the comparison of numbers.

use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

/// The tolerance within which a quotient counts as whole, relative to its size.
const ROUNDING: f64 = 1e-9;

/// The keyword of the first bound that the value violates.
pub(super) fn violated(keywords: &Map<String, Value>, value: &Value) -> Option<&'static str> {
    match value {
        Value::Number(number) => violated_by_number(keywords, number),
        // Counted only if there is a bound: a string may be long.
        Value::String(text) => violated_by_size(keywords, ["minLength", "maxLength"], || {
            text.chars().count()
        }),
        Value::Array(items) => violated_by_size(keywords, ["minItems", "maxItems"], || items.len()),
        _ => None,
    }
}

fn violated_by_size(
    keywords: &Map<String, Value>,
    [least, most]: [&'static str; 2],
    size: impl Fn() -> usize,
) -> Option<&'static str> {
    let bound = |keyword| keywords.get(keyword).and_then(Value::as_number);
    let differs = |bound: &Number, how| compare(&Number::from(size()), bound) == Some(how);
    if bound(least).is_some_and(|bound| differs(bound, Ordering::Less)) {
        return Some(least);
    }
    bound(most)
        .is_some_and(|bound| differs(bound, Ordering::Greater))
        .then_some(most)
}

fn violated_by_number(keywords: &Map<String, Value>, number: &Number) -> Option<&'static str> {
    type Breaks = fn(Ordering) -> bool;
    const BOUNDS: [(&str, Breaks); 4] = [
        ("minimum", Ordering::is_lt),
        ("maximum", Ordering::is_gt),
        ("exclusiveMinimum", Ordering::is_le),
        ("exclusiveMaximum", Ordering::is_ge),
    ];
    let bound = |keyword| keywords.get(keyword).and_then(Value::as_number);
    for (keyword, violates) in BOUNDS {
        let order = bound(keyword).and_then(|bound| compare(number, bound));
        if order.is_some_and(violates) {
            return Some(keyword);
        }
    }
    let factor = bound("multipleOf")?;
    (!is_multiple(number, factor)).then_some("multipleOf")
}

/// Exact if both are whole.
pub(super) fn compare(one: &Number, other: &Number) -> Option<Ordering> {
    match (one.as_i128(), other.as_i128()) {
        (Some(one), Some(other)) => Some(one.cmp(&other)),
        _ => one.as_f64()?.partial_cmp(&other.as_f64()?),
    }
}

/// Whether a number is whole, as 1 and 1.0 are.
pub(super) fn is_whole(number: &Number) -> bool {
    let fraction = |number: &Number| number.as_f64().map(f64::fract);
    number.as_i128().is_some() || fraction(number) == Some(0.0)
}

/// Whether a number is a multiple. A factor that is not positive is ignored.
fn is_multiple(number: &Number, factor: &Number) -> bool {
    if let (Some(number), Some(factor)) = (number.as_i128(), factor.as_i128()) {
        return factor <= 0 || number % factor == 0;
    }
    let (Some(number), Some(factor)) = (number.as_f64(), factor.as_f64()) else {
        return true;
    };
    let quotient = number / factor;
    if factor <= 0.0 || !quotient.is_finite() {
        return true;
    }
    (quotient - quotient.round()).abs() <= ROUNDING * quotient.abs().max(1.0)
}
