//! Writing JSON: whole values through serde, and the text of the hot path by hand.

use serde::Serialize;

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
