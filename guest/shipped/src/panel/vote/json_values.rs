//! Compares JSON by value: the order of members, whitespace and the spelling of strings and numbers are
//! insignificant.
//!
//! Numbers are compared in decimal, digit by digit, without loss of precision.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::json;

/// The most levels of a value. Each level parses its contents again.
const DEPTH_AT_MOST: usize = 128;

/// The canonical form of a JSON text, at most a few times as long. None if it is not JSON or nests too deeply. Of
/// duplicate members the last counts.
pub(super) fn canonical(text: &str) -> Option<String> {
    let value: &RawValue = serde_json::from_str(text).ok()?;
    let mut out = String::with_capacity(text.len());
    write(&mut out, value.get(), DEPTH_AT_MOST)?;
    Some(out)
}

/// Appends one value. `depth` is how many levels may follow.
fn write(out: &mut String, value: &str, depth: usize) -> Option<()> {
    match value.chars().next()? {
        '{' => {
            let depth = depth.checked_sub(1)?;
            let members: BTreeMap<String, &RawValue> = serde_json::from_str(value).ok()?;
            out.push('{');
            for (name, member) in members {
                json::push_text(out, &name);
                out.push(':');
                write(out, member.get(), depth)?;
                out.push(',');
            }
            out.push('}');
        }
        '[' => {
            let depth = depth.checked_sub(1)?;
            let members: Vec<&RawValue> = serde_json::from_str(value).ok()?;
            out.push('[');
            for member in members {
                write(out, member.get(), depth)?;
                out.push(',');
            }
            out.push(']');
        }
        '"' => json::push_text(out, &serde_json::from_str::<String>(value).ok()?),
        '-' | '0'..='9' => out.push_str(&number(value)),
        // true, false and null are canonical.
        _ => out.push_str(value),
    }
    Some(())
}

/// The canonical form of a number: its digits without surrounding zeros, and a power of ten. 1.0, 1e0 and 10e-1 are
/// 1e0.
fn number(text: &str) -> String {
    let (sign, size) = match text.strip_prefix('-') {
        Some(size) => ("-", size),
        None => ("", text),
    };
    let (mantissa, power) = size.split_once(['e', 'E']).unwrap_or((size, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [whole, fraction].concat();
    let digits = digits.trim_start_matches('0');
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() {
        return "0".to_owned();
    }
    let shift = || {
        let zeros = i64::try_from(digits.len() - significant.len()).ok()?;
        let decimals = i64::try_from(fraction.len()).ok()?;
        let power: i64 = power.parse().ok()?;
        power.checked_add(zeros)?.checked_sub(decimals)
    };
    match shift() {
        Some(power) => format!("{sign}{significant}e{power}"),
        // An exponent beyond 64 bits stays as it is written.
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(one: &str, other: &str) -> bool {
        let key = |text| canonical(text).unwrap_or_default();
        assert_ne!(key(one), "", "{one} is JSON");
        key(one) == key(other)
    }

    #[test]
    fn equal_values_have_one_canonical_form() {
        for (one, other) in [
            (
                r#"{"a":1,"b":[{"c":2,"d":3}]}"#,
                "{ \"b\":[{\"d\":3,\"c\":2}],\n \"a\":1 }",
            ),
            (r#"{"a":"\u0041\/"}"#, r#"{"\u0061":"A/"}"#),
            (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
            ("[true,false,null]", "[ true, false, null ]"),
            ("1", "1.0"),
            ("[10]", "[1e1]"),
            ("-0.5", "-5E-1"),
            ("100", "1.00e+2"),
            ("0", "-0.0e7"),
            ("18446744073709551616", "18446744073709551616.0"),
        ] {
            assert!(same(one, other), "{one} {other}");
        }
    }

    #[test]
    fn different_values_have_different_canonical_forms() {
        for (one, other) in [
            (r#"{"a":"X"}"#, r#"{"a":"x"}"#),
            (r#"{"a":[1,2]}"#, r#"{"a":[2,1]}"#),
            (r#"{"a":{},"b":1}"#, r#"{"a":{"b":1}}"#),
            ("[[],[]]", "[[[]]]"),
            ("1", "\"1\""),
            ("1", "-1"),
            ("1", "10"),
            ("0.1", "0.10000000000000000001"),
            ("18446744073709551616", "18446744073709551617"),
            ("-9223372036854775809", "-9223372036854775810"),
            ("1e400", "1e401"),
            ("1e99999999999999999999", "1e99999999999999999998"),
        ] {
            assert!(!same(one, other), "{one} {other}");
        }
    }

    #[test]
    fn invalid_or_too_deep_json_has_no_canonical_form() {
        let deep = |levels: usize| ["[".repeat(levels), "]".repeat(levels)].concat();
        assert!(canonical(&deep(DEPTH_AT_MOST)).is_some());
        for text in ["", "Yes.", "{} {}", "{\"a\":}", &deep(DEPTH_AT_MOST + 1)] {
            assert_eq!(canonical(text), None);
        }
    }
}
