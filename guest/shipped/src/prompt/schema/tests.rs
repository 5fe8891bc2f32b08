//! What becomes of a schema.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

#[test]
fn whitespace_goes_and_words_and_order_stay() {
    let raw = "{ \"b c\" :\n[ 1 , true ],\t\"a\":\"x \\\" { y\\\\\" , \"n\": {\"k\" : null} }";
    assert_eq!(
        compact(raw).unwrap(),
        r#"{"b c":[1,true],"a":"x \" { y\\","n":{"k":null}}"#
    );
}

#[test]
fn what_codex_could_not_parse_is_refused() {
    let nested = |levels: usize| format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
    assert!(compact(&nested(DEPTH_AT_MOST)).is_ok());
    assert_eq!(compact(&nested(DEPTH_AT_MOST + 1)), Err(Fault::TooDeep));
    assert_eq!(compact(&nested(10_000)), Err(Fault::TooDeep));
    let arrays = format!(r#"{{"a":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!(compact(&arrays), Err(Fault::TooDeep));

    assert_eq!(compact(r#"{"a":"\ud800"}"#), Err(Fault::Unreadable));
    assert_eq!(compact(r#"{"\udfff":1}"#), Err(Fault::Unreadable));
    assert_eq!(compact(r#"{"a":1e999}"#), Err(Fault::Unreadable));
    assert_eq!(compact("[]"), Err(Fault::NotAnObject));
    assert_eq!(compact("true"), Err(Fault::NotAnObject));

    let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(BYTES_AT_MOST));
    assert_eq!(compact(&long), Err(Fault::TooLong));
}
