//! The JSON of tapes.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

/// All that is found, as it is meant, with its name and whether it is hidden.
fn all(text: &str) -> Option<Vec<(String, Option<String>, bool)>> {
    let mut all = Vec::new();
    scan(text, &|name| name == "key", &mut |found| {
        let meant = match found.what {
            JsonScalar::String(written) => {
                let raw = written.range(0..written.text.len());
                let raw = raw.map_or("", |range| &text[range]);
                let meant: String = serde_json::from_str(&format!("\"{raw}\""))
                    .unwrap_or_else(|_| written.text.clone());
                assert_eq!(meant, written.text);
                written.text
            }
            JsonScalar::Number(range) => text[range].to_owned(),
        };
        all.push((meant, found.name, found.hidden));
    })?;
    Some(all)
}

fn hidden(text: &str) -> Vec<String> {
    let all = all(text).unwrap().into_iter();
    all.filter(|(_, _, hidden)| *hidden)
        .map(|(text, ..)| text)
        .collect()
}

#[test]
fn strings_have_their_names_and_ranges() {
    let text = r#"{"a":"x\u002dy","b":[1,"in \"b\"",{"c":-1.5e3}],"d":{"e":"\ud83e\udd80\ud800"},"f":true,"g":"🦀","h":null,"i":[["j"],false,2]}"#;
    let named = |text: &str, name: Option<&str>| (text.to_owned(), name.map(str::to_owned), false);
    assert_eq!(
        all(text).unwrap(),
        [
            named("a", None),
            named("x-y", Some("a")),
            named("b", None),
            named("1", Some("b")),
            named("in \"b\"", Some("b")),
            named("c", None),
            named("-1.5e3", Some("c")),
            named("d", None),
            named("e", None),
            named("🦀\u{fffd}", Some("e")),
            named("f", None),
            named("g", None),
            named("🦀", Some("g")),
            named("h", None),
            named("i", None),
            named("j", Some("i")),
            named("2", Some("i")),
        ]
    );
    assert_eq!(all("{"), None);
}

#[test]
fn every_part_of_a_string_has_its_range() {
    let text = r#""a\nb\u00fc\\ü\"🦀\ud83e\udd80c""#;
    let (written, _) = string(text, 1).unwrap();
    assert_eq!(written.text, "a\nbü\\ü\"🦀🦀c");
    for (start, _) in written.text.char_indices() {
        for (end, last) in written.text[start..].char_indices() {
            let part = start..start + end + last.len_utf8();
            let range = written.range(part.clone()).unwrap();
            let meant: String = serde_json::from_str(&format!("\"{}\"", &text[range])).unwrap();
            assert_eq!(meant, written.text[part]);
        }
    }
    assert_eq!(written.range(3..3), None);
}

#[test]
fn a_long_text_takes_little() {
    let (written, _) = string(&format!("{}\\n{}\"", "a".repeat(999), "ü".repeat(999)), 0).unwrap();
    assert_eq!((written.escapes.len(), written.text.len()), (1, 2998));
}

#[test]
fn what_an_object_hides_is_all_that_it_holds_but_no_schema() {
    let text = r#"{"key":{"a":"1","b":[2,{"c":["3"]}]},"x":"4","key":[{"a":"5"}],"a":{"key":"6"}}"#;
    assert_eq!(hidden(text), ["1", "2", "3", "5"]);
    assert_eq!(
        hidden(r#"{"key":{"type":"bearer","a":"\"}"}}"#),
        ["bearer", "\"}"]
    );
    assert_eq!(hidden(r#"{"key":{"a":{"type":"string"}}}"#), ["string"]);
    for schema in [
        r#"{"type":"string"}"#,
        r#"{"a":{"b":["}"]},"type":["string","null"],"enum":["a"]}"#,
        r#"{"properties":{"key":{"type":"string"}}}"#,
        r##"{"$ref":"#/$defs/a"}"##,
    ] {
        assert_eq!(
            hidden(&format!(r#"{{"key":{schema}}}"#)),
            [""; 0],
            "{schema}"
        );
    }
}
