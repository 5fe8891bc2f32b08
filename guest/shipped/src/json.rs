//! Writing JSON: whole values through serde, and the text of the hot path by hand.

use serde::Serialize;
use serde_json::Value;

/// One line of JSON. `value` must be plain structs with text for keys, which always serialize.
pub(crate) fn to_line<T: Serialize>(value: &T) -> String {
    to_line_sized(value, 0)
}

/// As `to_line`, into a buffer of `capacity` bytes from the start: a large answer is not copied as the buffer grows.
pub(crate) fn to_line_sized<T: Serialize>(value: &T, capacity: usize) -> String {
    let mut bytes = Vec::with_capacity(capacity);
    match serde_json::to_writer(&mut bytes, value) {
        Ok(()) => String::from_utf8(bytes).unwrap_or_default(),
        Err(_) => String::new(),
    }
}

/// A JSON object on one line, its members as they were. None of what is no object.
pub(crate) fn object_to_line(text: &str) -> Option<String> {
    if !is_object(text) {
        return None;
    }
    let mut line = String::with_capacity(text.len());
    let mut quoted = false;
    let mut escaped = false;
    for character in text.chars() {
        // Space between tokens means nothing, and within a string there is no line break.
        if !quoted && character.is_ascii_whitespace() {
            continue;
        }
        quoted ^= character == '"' && !escaped;
        escaped = character == '\\' && !escaped;
        line.push(character);
    }
    Some(line)
}

/// Whether a text is one JSON object, whatever is in it and however deep.
pub(crate) fn is_object(text: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Object {}

    // Unread fields are skipped without recursion. An array would be read too.
    text.trim_start().starts_with('{') && serde_json::from_str::<Object>(text).is_ok()
}

/// JSON text in which each `\u` escape of half a surrogate pair is `\ufffd`, the replacement character, as OpenAI reads
/// it (serde_json 1 refuses such an escape). None where the text has none, so that nothing is to be replaced.
pub(crate) fn with_whole_escapes(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut replaced = String::new();
    let (mut copied, mut at) = (0, 0);
    // A backslash stands only within a string, and the byte after it never begins an escape of its own.
    let next = |at| bytes.get(at..)?.iter().position(|byte| *byte == b'\\');
    while let Some(length) = next(at) {
        at += length;
        match code_unit(bytes, at) {
            None => at += 2,
            Some(0xd800..0xdc00)
                if matches!(code_unit(bytes, at + ESCAPE), Some(0xdc00..0xe000)) =>
            {
                at += 2 * ESCAPE;
            }
            Some(0xd800..0xe000) => {
                replaced.push_str(text.get(copied..at)?);
                replaced.push_str("\\ufffd");
                at += ESCAPE;
                copied = at;
            }
            Some(_) => at += ESCAPE,
        }
    }
    if copied == 0 {
        return None;
    }
    replaced.push_str(text.get(copied..)?);
    Some(replaced)
}

/// Any JSON value, with the replacement character for each half of a surrogate pair.
pub(crate) fn value(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(text).or_else(|error| match with_whole_escapes(text) {
        Some(whole) => serde_json::from_str(&whole),
        None => Err(error),
    })
}

/// Bytes of an escape by its code unit: `\u00e9`.
const ESCAPE: usize = 6;

/// The UTF-16 code unit of the escape that begins at this byte.
fn code_unit(bytes: &[u8], at: usize) -> Option<u32> {
    let digits = bytes.get(at..at + ESCAPE)?.strip_prefix(b"\\u")?;
    digits.iter().try_fold(0, |unit, digit| {
        Some(unit << 4 | char::from(*digit).to_digit(16)?)
    })
}

/// Appends `text` as a JSON string, quotes included, escaped as RFC 8785 has it: what the host writes is the same.
pub(crate) fn push_text(out: &mut String, text: &str) {
    out.push('"');
    let mut copied = 0;
    for (position, byte) in text.bytes().enumerate() {
        if !must_escape(byte) {
            continue;
        }
        // What must be escaped is ASCII, so both ends of this piece lie between characters.
        out.push_str(&text[copied..position]);
        copied = position + 1;
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\x08' => out.push_str("\\b"),
            b'\x0c' => out.push_str("\\f"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            _ => {
                out.push_str("\\u00");
                out.push(hex(byte >> 4));
                out.push(hex(byte & 0xf));
            }
        }
    }
    out.push_str(&text[copied..]);
    out.push('"');
}

/// Bytes that `push_text` would append.
pub(crate) fn text_length(text: &str) -> usize {
    let escapes = text
        .bytes()
        .filter(|byte| must_escape(*byte))
        .map(|byte| match byte {
            b'"' | b'\\' | b'\x08' | b'\x0c' | b'\n' | b'\r' | b'\t' => 1,
            _ => 5,
        });
    text.len() + 2 + escapes.sum::<usize>()
}

fn must_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

fn hex(nibble: u8) -> char {
    char::from_digit(u32::from(nibble), 16).unwrap_or('0')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn an_object_is_made_one_line_and_anything_else_nothing() {
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
    fn half_a_surrogate_pair_is_the_replacement_character() {
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
            let whole = with_whole_escapes(text).unwrap();
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
            assert_eq!(with_whole_escapes(text), None, "{text}");
        }
    }

    #[test]
    fn a_text_is_escaped_as_rfc_8785_has_it() {
        let short = [
            ('\u{8}', "\\b"),
            ('\t', "\\t"),
            ('\n', "\\n"),
            ('\u{c}', "\\f"),
            ('\r', "\\r"),
            ('"', "\\\""),
            ('\\', "\\\\"),
        ];
        for character in (0..0x100).chain([0x2028, 0x2029, 0xfffd, 0x1_f980]) {
            let character = char::from_u32(character).unwrap();
            let known = short.iter().find(|(it, _)| *it == character);
            let expected = match known {
                Some((_, escape)) => (*escape).to_owned(),
                None if character < ' ' => format!("\\u{:04x}", u32::from(character)),
                None => character.to_string(),
            };
            let mut out = String::new();
            push_text(&mut out, &character.to_string());
            assert_eq!(out, format!("\"{expected}\""));
            // The host writes with it.
            assert_eq!(out, serde_json::to_string(&character).unwrap());
        }
    }

    #[test]
    fn any_text_comes_back_and_its_length_was_known() {
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
            assert!(!out.contains(['\n', '\r']), "a frame is one line");
            assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
        }
    }
}
