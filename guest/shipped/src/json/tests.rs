//! JSON on one line.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

#[test]
fn only_objects_are_written_on_one_line() {
    let object = "\t{ \"a \\\" b\\\\\" :\r\n [1e999, 2 ,\n3], \"c\": \" \\n {\" }\n";
    let line = "{\"a \\\" b\\\\\":[1e999,2,3],\"c\":\" \\n {\"}";
    assert_eq!(object_to_line(object).as_deref(), Some(line));
    assert_eq!(object_to_line(line).as_deref(), Some(line));
    for text in [
        "",
        "[1]",
        "[]",
        "null",
        "{} {}",
        "{\"a\":}",
        "{\"a\":\"\n\"}",
    ] {
        assert_eq!(object_to_line(text), None, "{text}");
    }
}

#[test]
fn lone_surrogates_become_the_replacement_character() {
    for (text, expected) in [
        (r#""\ud83d""#, "\u{fffd}"),
        (r#""\udc00""#, "\u{fffd}"),
        (r#""a\uD83Db\u00e9""#, "a\u{fffd}b\u{e9}"),
        (r#""\ud83d\ud83d\ude00\ude00""#, "\u{fffd}\u{1f600}\u{fffd}"),
        (r#""\ud83d\n\ude00""#, "\u{fffd}\n\u{fffd}"),
        (r#""\ud83d\u0061""#, "\u{fffd}a"),
        (r#""\\\ud83d\\ud83d""#, "\\\u{fffd}\\ud83d"),
        (r#""é\udfff""#, "é\u{fffd}"),
    ] {
        assert!(serde_json::from_str::<String>(text).is_err(), "{text}");
        let whole = replace_lone_surrogates(text).unwrap();
        assert_eq!(serde_json::from_str::<String>(&whole).unwrap(), expected);
        assert_eq!(whole.len(), text.len());
    }
    for text in [
        "",
        "\\",
        r#""\\ud83d""#,
        r#""\ud83d\ude00""#,
        r#""\uD83D\uDE00 \ue000 \ud7ff""#,
        r#""\ud8"#,
        r#""\ud8g0""#,
        r#"{"a":"é"}"#,
    ] {
        assert_eq!(replace_lone_surrogates(text), None, "{text}");
    }
}

#[test]
fn strings_are_escaped_by_rfc_8785_and_without_line_ends() {
    let known = [
        ('\u{8}', "\\b"),
        ('\t', "\\t"),
        ('\n', "\\n"),
        ('\u{c}', "\\f"),
        ('\r', "\\r"),
        ('"', "\\\""),
        ('\\', "\\\\"),
        ('\u{85}', "\\u0085"),
        ('\u{2028}', "\\u2028"),
        ('\u{2029}', "\\u2029"),
    ];
    let others = [0x2027, 0x202a, 0x2128, 0x3028, 0xfffd, 0x1_f980];
    for character in (0..0x100).chain(0x2028..0x202a).chain(others) {
        let character = char::from_u32(character).unwrap();
        let known = known.iter().find(|(it, _)| *it == character);
        let expected = match known {
            Some((_, escape)) => (*escape).to_owned(),
            None if character < ' ' => format!("\\u{:04x}", u32::from(character)),
            None => character.to_string(),
        };
        let mut out = String::new();
        push_text(&mut out, &character.to_string());
        assert_eq!(out, format!("\"{expected}\""));
        // `to_line` escapes the same characters.
        assert_eq!(out, to_line(&character));
    }
}

#[test]
fn values_and_raw_json_in_them_are_one_line_to_every_reader() {
    let raw: &serde_json::value::RawValue =
        serde_json::from_str("{\"\u{2028}\": \"\u{85}\"}").unwrap();
    let value = std::collections::BTreeMap::from([("a\u{2029}b", raw)]);
    let line = r#"{"a\u2029b":{"\u2028": "\u0085"}}"#;
    assert_eq!(to_line(&value), line);
    let mut bytes = b"before".to_vec();
    append(&mut bytes, &value);
    assert_eq!(bytes, ["before", line].concat().into_bytes());
}

#[test]
fn strings_survive_a_round_trip_and_their_length_is_known() {
    let mut everything = String::new();
    for character in (0..0x0001_1000).filter_map(char::from_u32) {
        everything.push(character);
    }
    for text in [
        "",
        "plain",
        "\"",
        "a\\b\u{1}\u{1f}ü\n",
        "[DONE]",
        &everything,
    ] {
        let mut out = String::new();
        push_text(&mut out, text);
        assert_eq!(out.len(), text_length(text));
        let ends = "\n\u{b}\u{c}\r\u{1c}\u{1d}\u{1e}\u{85}\u{2028}\u{2029}";
        assert!(!out.contains(|it| ends.contains(it)), "a frame is one line");
        assert_eq!(out, to_line(&text));
        assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
    }
}
