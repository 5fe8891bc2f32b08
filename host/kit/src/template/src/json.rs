//! As much of JSON as the policy needs, without a dependency. `serde_json` works in a policy too.
#![allow(dead_code, reason = "a role may only read, or only write")]

/// A value. Numbers stay as they are written.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Value>),
    Object(Vec<(String, Value)>),
}

/// Lists and objects within one another, at most: the stack has an end.
const DEPTH: usize = 64;

impl Value {
    /// Reads one value that is the whole text.
    pub fn read(text: &str) -> Option<Self> {
        let mut reader = Reader { rest: text };
        let value = reader.value(DEPTH)?;
        reader.space();
        reader.rest.is_empty().then_some(value)
    }

    /// A member of an object; of equal ones the last.
    pub fn get(&self, name: &str) -> Option<&Self> {
        let Self::Object(members) = self else {
            return None;
        };
        members.iter().rev().find(|it| it.0 == name).map(|it| &it.1)
    }

    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn list(&self) -> Option<&[Self]> {
        match self {
            Self::List(list) => Some(list),
            _ => None,
        }
    }
}

/// A text as JSON, on one line to every reader: escaped as RFC 8785 escapes, and besides that U+0085, U+2028 and U+2029.
pub fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\0'..' ' | '\u{85}' | '\u{2028}' | '\u{2029}' => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
    }

    /// Takes `token` if it comes next.
    fn take(&mut self, token: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(token)?;
        Some(())
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        let depth = depth.checked_sub(1)?;
        self.space();
        match self.rest.as_bytes().first()? {
            b'n' => self.take("null").map(|()| Value::Null),
            b't' => self.take("true").map(|()| Value::Bool(true)),
            b'f' => self.take("false").map(|()| Value::Bool(false)),
            b'"' => self.text().map(Value::Text),
            b'[' => self.items('[', ']', |it| it.value(depth)).map(Value::List),
            b'{' => self
                .items('{', '}', |it| it.member(depth))
                .map(Value::Object),
            _ => self.number(),
        }
    }

    fn member(&mut self, depth: usize) -> Option<(String, Value)> {
        self.space();
        let name = self.text()?;
        self.space();
        self.take(":")?;
        Some((name, self.value(depth)?))
    }

    fn items<T>(
        &mut self,
        open: char,
        close: char,
        mut item: impl FnMut(&mut Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        let mut items = Vec::new();
        self.rest = self.rest.strip_prefix(open)?;
        self.space();
        if let Some(rest) = self.rest.strip_prefix(close) {
            self.rest = rest;
            return Some(items);
        }
        loop {
            items.push(item(self)?);
            self.space();
            if let Some(rest) = self.rest.strip_prefix(close) {
                self.rest = rest;
                return Some(items);
            }
            self.take(",")?;
        }
    }

    fn number(&mut self) -> Option<Value> {
        let end = self
            .rest
            .find(|it: char| !matches!(it, '0'..='9' | '-' | '+' | '.' | 'e' | 'E'));
        let (number, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        number.parse::<f64>().ok()?;
        self.rest = rest;
        Some(Value::Number(number.to_owned()))
    }

    fn text(&mut self) -> Option<String> {
        let mut text = String::new();
        self.take("\"")?;
        loop {
            let end = self.rest.find(['"', '\\'])?;
            let (plain, rest) = self.rest.split_at(end);
            text.push_str(plain);
            self.rest = rest;
            if self.take("\"").is_some() {
                return Some(text);
            }
            text.push(self.escape()?);
        }
    }

    fn escape(&mut self) -> Option<char> {
        self.take("\\")?;
        let kind = self.rest.chars().next()?;
        self.rest = &self.rest[kind.len_utf8()..];
        Some(match kind {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'b' => '\u{8}',
            'f' => '\u{c}',
            '"' | '\\' | '/' => kind,
            'u' => {
                let high = self.unit()?;
                // Two halves make one character; a half alone makes none.
                let low = if (0xd800..0xdc00).contains(&high) {
                    self.take("\\u").and_then(|()| self.unit())
                } else {
                    None
                };
                char::decode_utf16([Some(high), low].into_iter().flatten())
                    .next()?
                    .unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            _ => return None,
        })
    }

    fn unit(&mut self) -> Option<u16> {
        let digits = self.rest.get(..4)?;
        self.rest = &self.rest[4..];
        u16::from_str_radix(digits, 16).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_what_it_writes() {
        let text = "a \"quoted\" \\ line\nand \u{1} ünd 🦀\u{85}\u{2028}\u{2029}";
        assert_eq!(
            Value::read(&quote(text)),
            Some(Value::Text(text.to_owned()))
        );
        let ends = ['\n', '\u{85}', '\u{2028}', '\u{2029}'];
        assert!(!quote(text).contains(ends));
        let crab = r#""\ud83e\udd80 \u00fc \ud83e""#;
        assert_eq!(
            Value::read(crab),
            Some(Value::Text("🦀 ü \u{fffd}".to_owned()))
        );
    }

    #[test]
    fn it_reads_objects_and_refuses_the_rest() {
        let value = Value::read(r#" {"a": [1, -2.5e3, null, true], "a": {}, "b": []} "#).unwrap();
        assert_eq!(value.get("a"), Some(&Value::Object(Vec::new())));
        assert_eq!(value.get("b").and_then(Value::list), Some(&[][..]));
        for wrong in [
            "", "{", "[1,]", "{\"a\"}", "nul", "1 2", "\"", "\"\\x\"", "-",
        ] {
            assert_eq!(Value::read(wrong), None, "{wrong}");
        }
        assert_eq!(Value::read(&"[".repeat(100_000)), None);
    }
}
