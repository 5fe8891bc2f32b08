//! The strings and numbers of a JSON text with their positions, so that a part of an unescaped string can be overwritten in the
//! text.

use std::ops::Range;

use serde::de::IgnoredAny;

/// Members that only a JSON Schema has.
const SCHEMA: [&str; 6] = [
    "properties",
    "description",
    "$ref",
    "anyOf",
    "oneOf",
    "allOf",
];

/// The types that a JSON Schema has.
const TYPES: [&str; 7] = [
    "string", "object", "number", "integer", "boolean", "array", "null",
];

/// A string, and the positions of its characters in the JSON text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct JsonString {
    /// The string without escapes.
    pub(super) text: String,
    /// The index of its beginning in the JSON text.
    from: usize,
    /// The index of each escape's end in `text` and in the JSON text, in order. All other characters are equal in both.
    escapes: Vec<(u32, u32)>,
}

/// A string or number of a JSON text, or the name of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct JsonToken {
    pub(super) what: JsonScalar,
    /// The name of the member whose value it is, alone or in a list. None for names themselves.
    pub(super) name: Option<String>,
    /// Whether it is within an object whose name hides its contents.
    pub(super) hidden: bool,
}

/// A string or number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum JsonScalar {
    String(JsonString),
    Number(Range<usize>),
}

/// An array or object that has not ended.
#[derive(Clone, Debug, Default)]
struct OpenContainer {
    /// The name of an array's values. None for an object, whose members have names.
    name: Option<String>,
    hidden: bool,
}

impl JsonString {
    /// The range in the JSON text of this part of `text`, of whole characters. `None` if the part is empty.
    pub(super) fn range(&self, part: Range<usize>) -> Option<Range<usize>> {
        (!part.is_empty()).then(|| self.read_at(part.start)..self.read_at(part.end))
    }

    fn read_at(&self, at: usize) -> usize {
        let before = self.escapes.partition_point(|(end, _)| *end as usize <= at);
        match before
            .checked_sub(1)
            .and_then(|last| self.escapes.get(last))
        {
            Some((meant, read)) => *read as usize + (at - *meant as usize),
            None => self.from + at,
        }
    }
}

/// Calls `show` with each string and number of a JSON text, in order. Everything within a member is hidden whose name
/// `hides` returns true for, unless the member is a JSON Schema. None: the text is not JSON, and `show` was not called.
pub(super) fn scan(
    text: &str,
    hides: &dyn Fn(&str) -> bool,
    show: &mut dyn FnMut(JsonToken),
) -> Option<()> {
    serde_json::from_str::<IgnoredAny>(text).ok()?;
    let mut scanner = Scanner {
        text,
        name: None,
        open: vec![OpenContainer::default()],
    };
    let mut at = 0;
    while let Some(byte) = text.as_bytes().get(at) {
        at = match byte {
            b'"' => scanner.string(at, show)?,
            b'-' | b'0'..=b'9' => scanner.number(at, show)?,
            b'[' | b'{' => {
                scanner.enter(*byte, at, hides)?;
                at + 1
            }
            b']' | b'}' => {
                scanner.open.pop();
                at + 1
            }
            b't' | b'f' | b'n' => {
                scanner.name = None;
                // Past the literal's letters; the `e` of `false` matches no arm.
                at + 4
            }
            _ => at + 1,
        };
    }
    Some(())
}

/// A position within a JSON text that is known to be valid.
struct Scanner<'a> {
    text: &'a str,
    /// The name of the next value, if it is a member.
    name: Option<String>,
    /// The containers around the next value, the innermost last.
    open: Vec<OpenContainer>,
}

impl Scanner<'_> {
    /// The name of the value that begins here, and whether it is hidden.
    fn value(&mut self) -> Option<(Option<String>, bool)> {
        let around = self.open.last()?;
        let name = self.name.take().or_else(|| around.name.clone());
        Some((name, around.hidden))
    }

    /// Shows the string at this quote. Returns the index after it.
    fn string(&mut self, at: usize, show: &mut dyn FnMut(JsonToken)) -> Option<usize> {
        let (written, end) = string(self.text, at + 1)?;
        let is_name = self.text.get(end..)?.trim_start().starts_with(':');
        let (name, hidden) = match is_name {
            true => {
                self.name = Some(written.text.clone());
                (None, false)
            }
            false => self.value()?,
        };
        show(JsonToken {
            what: JsonScalar::String(written),
            name,
            hidden,
        });
        Some(end)
    }

    /// Shows the number that begins here. Returns the index after it.
    fn number(&mut self, at: usize, show: &mut dyn FnMut(JsonToken)) -> Option<usize> {
        let is_part = |byte: &&u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
        let rest = self.text.as_bytes().get(at..)?;
        let end = at + rest.iter().take_while(is_part).count();
        let (name, hidden) = self.value()?;
        show(JsonToken {
            what: JsonScalar::Number(at..end),
            name,
            hidden,
        });
        Some(end)
    }

    /// Enters the array or object that begins with this bracket.
    fn enter(&mut self, bracket: u8, at: usize, hides: &dyn Fn(&str) -> bool) -> Option<()> {
        let (name, hidden) = self.value()?;
        let container = if bracket == b'[' {
            OpenContainer { name, hidden }
        } else {
            let secret = name.is_some_and(|name| hides(&name));
            OpenContainer {
                name: None,
                hidden: hidden || (secret && !is_schema(self.text, at + 1)),
            }
        };
        self.open.push(container);
        Some(())
    }
}

/// Whether the object that begins here, after its brace, is a JSON Schema.
fn is_schema(text: &str, from: usize) -> bool {
    let bytes = text.as_bytes();
    let mut name = "";
    let mut depth = 0;
    let mut at = from;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                let begun = at + 1;
                at = begun;
                while let Some(byte) = bytes.get(at).filter(|byte| **byte != b'"') {
                    at += if *byte == b'\\' { 2 } else { 1 };
                }
                let inside = text.get(begun..at).unwrap_or_default();
                let rest = text.get(at + 1..).unwrap_or_default();
                if depth == 0 && rest.trim_start().starts_with(':') {
                    name = inside;
                    if SCHEMA.contains(&name) {
                        return true;
                    }
                } else if depth == 0 && name == "type" && TYPES.contains(&inside) {
                    return true;
                }
            }
            // Several types.
            b'[' if depth == 0 && name == "type" => return true,
            b'[' | b'{' => depth += 1,
            b']' | b'}' if depth == 0 => return false,
            b']' | b'}' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    false
}

/// The string that begins here, after its quote, and the index after its closing quote.
fn string(text: &str, from: usize) -> Option<(JsonString, usize)> {
    let mut written = JsonString {
        from,
        ..JsonString::default()
    };
    let mut at = from;
    loop {
        let rest = text.get(at..)?;
        let plain = rest.find(['"', '\\'])?;
        written.text.push_str(rest.get(..plain)?);
        at += plain + 1;
        if rest.as_bytes().get(plain) == Some(&b'"') {
            return Some((written, at));
        }
        let (meant, length) = escape(text.get(at..)?)?;
        at += length;
        written.text.push(meant);
        let ends = (u32::try_from(written.text.len()), u32::try_from(at));
        written.escapes.push((ends.0.ok()?, ends.1.ok()?));
    }
}

/// The character of an escape, and the length of the escape after the backslash. A lone surrogate is U+FFFD.
fn escape(rest: &str) -> Option<(char, usize)> {
    let meant = match rest.chars().next()? {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'u' => {
            let high = unit(rest)?;
            let low = rest
                .get(5..)
                .and_then(|more| unit(more.strip_prefix('\\')?));
            let mut pair = char::decode_utf16([high].into_iter().chain(low));
            return match pair.next()? {
                Ok(meant) => Some((meant, if meant.len_utf16() == 2 { 11 } else { 5 })),
                Err(_) => Some((char::REPLACEMENT_CHARACTER, 5)),
            };
        }
        plain => plain,
    };
    Some((meant, 1))
}

/// The code unit of `u` and four hexadecimal digits.
fn unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix('u')?.get(..4)?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests;
