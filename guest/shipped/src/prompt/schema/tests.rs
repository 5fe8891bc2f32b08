//! Schemas that are rewritten or refused.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

#[test]
fn only_whitespace_is_removed() {
    let raw = "{ \"b c\" :\n[ 1 , true ],\t\"a\":\"x \\\" { y\\\\\" , \"n\": {\"k\" : null} }";
    assert_eq!(
        compact(raw).unwrap(),
        r#"{"b c":[1,true],"a":"x \" { y\\","n":{"k":null}}"#
    );
}

#[test]
fn schemas_that_codex_cannot_parse_are_refused() {
    let nested = |levels: usize| format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
    assert!(compact(&nested(DEPTH_AT_MOST)).is_ok());
    assert_eq!(
        compact(&nested(DEPTH_AT_MOST + 1)),
        Err(SchemaError::TooDeep)
    );
    assert_eq!(compact(&nested(10_000)), Err(SchemaError::TooDeep));
    let arrays = format!(r#"{{"a":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!(compact(&arrays), Err(SchemaError::TooDeep));

    assert_eq!(compact(r#"{"a":"\ud800"}"#), Err(SchemaError::Unreadable));
    assert_eq!(compact(r#"{"\udfff":1}"#), Err(SchemaError::Unreadable));
    assert_eq!(compact(r#"{"a":1e999}"#), Err(SchemaError::Unreadable));
    assert_eq!(compact("[]"), Err(SchemaError::NotAnObject));
    assert_eq!(compact("true"), Err(SchemaError::NotAnObject));

    for name in ["Number", "RawValue"] {
        for escaped in ["$serde_json", "\\u0024serde_json"] {
            let object = format!(r#"{{"{escaped}::private::{name}":"{{"}}"#);
            assert_eq!(compact(&object), Err(SchemaError::ReservedName));
            let nested = format!(r#"{{"a":[{{"b":1,"c":{object}}}]}}"#);
            assert_eq!(compact(&nested), Err(SchemaError::ReservedName));
        }
    }
    assert!(compact(r#"{"a":"$serde_json::private::Number"}"#).is_ok());

    let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(BYTES_AT_MOST));
    assert_eq!(compact(&long), Err(SchemaError::TooLong));
}

#[test]
fn only_whole_numbers_beyond_64_bits_get_a_fraction() {
    for (raw, expected) in [
        ("18446744073709551615", "18446744073709551615"),
        ("18446744073709551616", "18446744073709551616.0"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("-9223372036854775809", "-9223372036854775809.0"),
        (
            "340282366920938463463374607431768211456",
            "340282366920938463463374607431768211456.0",
        ),
        ("1e20", "1e20"),
        ("1E+5", "1E+5"),
        ("-0", "-0"),
        ("-0.0", "-0.0"),
        ("18446744073709551617.25", "18446744073709551617.25"),
        ("\"18446744073709551616\"", "\"18446744073709551616\""),
        (
            "\"\\\" 18446744073709551616\"",
            "\"\\\" 18446744073709551616\"",
        ),
    ] {
        for (before, after) in [
            ("{\"a\": ", " }"),
            ("{\"enum\" : [1 , ", ", null]}"),
            ("{\"a\":[true,", "]}"),
        ] {
            let schema = [before, raw, after].concat();
            let written = [before, expected, after].concat().replace(" :", ":");
            let written = written
                .replace(": ", ":")
                .replace(" , ", ",")
                .replace(", null", ",null");
            assert_eq!(compact(&schema).unwrap(), written.replace(" }", "}"));
        }
    }
}
