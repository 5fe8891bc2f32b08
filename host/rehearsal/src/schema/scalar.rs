//! Instances of scalar schemas: strings, numbers, booleans and null.

use serde_json::{Map, Number, Value};

/// The string that is used if the schema allows it.
const WORD: &str = "rehearsal";

/// The most characters of a string.
const CHARACTERS: u64 = 10_000;

/// An instance of this type, within the bounds of its schema. None: the type does not exist.
pub(super) fn instance(name: &str, schema: &Map<String, Value>) -> Option<Value> {
    match name {
        "string" => Some(Value::String(text(schema))),
        "integer" => Some(integer(schema)),
        "number" => Some(number(schema)),
        "boolean" => Some(Value::Bool(false)),
        "null" => Some(Value::Null),
        _ => None,
    }
}

fn text(schema: &Map<String, Value>) -> String {
    let format = schema
        .get("format")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let sample = match format {
        "date-time" => "2000-01-01T00:00:00Z",
        "date" => "2000-01-01",
        "time" => "00:00:00Z",
        "duration" => "PT0S",
        "email" => "rehearsal@example.com",
        "hostname" => "example.com",
        "ipv4" => "127.0.0.1",
        "ipv6" => "::1",
        "uri" => "https://example.com/",
        "uuid" => "00000000-0000-4000-8000-000000000000",
        _ => return sized(schema),
    };
    sample.to_owned()
}

fn sized(schema: &Map<String, Value>) -> String {
    let length = |name: &str| schema.get(name).and_then(Value::as_u64);
    let longest = usize::try_from(length("maxLength").unwrap_or(CHARACTERS)).unwrap_or(usize::MAX);
    let shortest = usize::try_from(length("minLength").unwrap_or_default().min(CHARACTERS))
        .unwrap_or_default();
    let padding = std::iter::repeat_n('.', shortest.saturating_sub(WORD.len()));
    WORD.chars().chain(padding).take(longest).collect()
}

/// The whole number nearest to zero within the bounds.
fn integer(schema: &Map<String, Value>) -> Value {
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    let least = larger(
        bound("minimum").map(f64::ceil),
        bound("exclusiveMinimum").map(|bound| bound.floor() + 1.0),
    );
    let most = smaller(
        bound("maximum").map(f64::floor),
        bound("exclusiveMaximum").map(|bound| bound.ceil() - 1.0),
    );
    let step = bound("multipleOf")
        .filter(|step| *step > 0.0)
        .unwrap_or(1.0);
    let value = in_steps(nearest(least, most), step);
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a cast saturates, to the nearest i64"
    )]
    let value = value as i64;
    Value::Number(value.into())
}

/// The number nearest to zero within the bounds, or one well within them if that number is an excluded bound.
fn number(schema: &Map<String, Value>) -> Value {
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    let above = bound("exclusiveMinimum");
    let below = bound("exclusiveMaximum");
    let least = larger(bound("minimum"), above);
    let most = smaller(bound("maximum"), below);
    let mut value = nearest(least, most);
    if above == Some(value) || below == Some(value) {
        value = match (least, most) {
            (Some(least), Some(most)) => f64::midpoint(least, most),
            _ if above == Some(value) => value + 1.0,
            _ => value - 1.0,
        };
    }
    if let Some(step) = bound("multipleOf").filter(|step| *step > 0.0) {
        value = in_steps(value, step);
    }
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

/// The value between the bounds that is nearest to zero.
fn nearest(least: Option<f64>, most: Option<f64>) -> f64 {
    0.0_f64
        .max(least.unwrap_or(f64::MIN))
        .min(most.unwrap_or(f64::MAX))
}

/// The value rounded away from zero to a multiple of the step.
fn in_steps(value: f64, step: f64) -> f64 {
    let steps = value / step;
    step * if steps < 0.0 {
        steps.floor()
    } else {
        steps.ceil()
    }
}

fn larger(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    one.into_iter().chain(other).reduce(f64::max)
}

fn smaller(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    one.into_iter().chain(other).reduce(f64::min)
}
