//! Scans JSON text for strings with certain keys, and returns the path and the position of each. Reads each byte once, and
//! copies none.

use std::borrow::Cow;
use std::ops::Range;

/// The maximum depth of nesting. The policies' JSON readers accept no more.
const DEPTH: usize = 128;

/// The maximum bytes of a path. Longer ones are not real paths, and a body could have any number of them below one long key.
const PATH_BYTES: usize = 256;

/// The maximum number of strings that are returned. Later ones are ignored.
const LOCATIONS: usize = 256;

/// A string's position in the text, and its path.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct StringLocation {
    /// The bytes of the string, with its quotes.
    pub(super) span: Range<usize>,
    /// The path, such as `messages[0].content[1].image_url.url`.
    pub(super) path: String,
}

/// The strings to find: the values of a key.
pub(super) struct StringPattern<'a> {
    pub(super) key: &'a str,
    /// The key of the object that has it. None: any.
    pub(super) parent: Option<&'a str>,
    /// How the string begins.
    pub(super) prefix: &'a str,
}

/// Finds the strings of `patterns` at any depth below one of `roots`, except below a deeper member `excluded`. None: the text
/// is not JSON. Numbers and literals are not validated.
pub(super) fn strings(
    text: &str,
    roots: &[&str],
    excluded: &str,
    patterns: &[StringPattern<'_>],
) -> Option<Vec<StringLocation>> {
    let mut scan = Scan {
        text,
        at: 0,
        path: Vec::new(),
        roots,
        excluded,
        patterns,
        found: Vec::new(),
    };
    scan.value()?;
    scan.space();
    (scan.at == text.len()).then_some(scan.found)
}

enum JsonPathSegment<'a> {
    /// A member's name, with its quotes.
    Member(&'a str),
    Element(usize),
}

struct Scan<'a> {
    text: &'a str,
    at: usize,
    path: Vec<JsonPathSegment<'a>>,
    roots: &'a [&'a str],
    excluded: &'a str,
    patterns: &'a [StringPattern<'a>],
    found: Vec<StringLocation>,
}

impl<'a> Scan<'a> {
    fn value(&mut self) -> Option<()> {
        self.space();
        match self.peek()? {
            b'{' => self.object(),
            b'[' => self.array(),
            b'"' => {
                let span = self.string()?;
                self.consider(span);
                Some(())
            }
            _ => self.literal(),
        }
    }

    fn object(&mut self) -> Option<()> {
        self.enter(b'{')?;
        if self.take(b'}') {
            return Some(());
        }
        loop {
            self.space();
            let name = self.string()?;
            self.path.push(JsonPathSegment::Member(&self.text[name]));
            if !self.take(b':') {
                return None;
            }
            self.value()?;
            self.path.pop();
            if !self.take(b',') {
                return self.take(b'}').then_some(());
            }
        }
    }

    fn array(&mut self) -> Option<()> {
        self.enter(b'[')?;
        if self.take(b']') {
            return Some(());
        }
        for number in 0.. {
            self.path.push(JsonPathSegment::Element(number));
            self.value()?;
            self.path.pop();
            if !self.take(b',') {
                break;
            }
        }
        self.take(b']').then_some(())
    }

    /// Skips an opening bracket. None: there is none, or the nesting is too deep.
    fn enter(&mut self, bracket: u8) -> Option<()> {
        (self.path.len() < DEPTH && self.take(bracket)).then_some(())
    }

    /// Skips a string, and returns its position.
    fn string(&mut self) -> Option<Range<usize>> {
        let start = self.at;
        if !self.take(b'"') {
            return None;
        }
        loop {
            let rest = self.text.as_bytes().get(self.at..)?;
            self.at += memchr::memchr2(b'"', b'\\', rest)?;
            if self.take(b'"') {
                return Some(start..self.at);
            }
            // The second byte of an escape never ends the string.
            self.at += 2;
        }
    }

    /// Skips a number, `true`, `false` or `null`.
    fn literal(&mut self) -> Option<()> {
        let rest = &self.text.as_bytes()[self.at..];
        let length = rest
            .iter()
            .take_while(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte))
            .count();
        self.at += length;
        (length > 0).then_some(())
    }

    /// Records the string if it matches.
    fn consider(&mut self, span: Range<usize>) {
        let (Some(JsonPathSegment::Member(root)), Some(JsonPathSegment::Member(name))) =
            (self.path.first(), self.path.last())
        else {
            return;
        };
        let parent = match self.path.iter().nth_back(1) {
            Some(JsonPathSegment::Member(parent)) => Some(*parent),
            Some(JsonPathSegment::Element(_)) | None => None,
        };
        let matches = |pattern: &StringPattern<'_>| {
            self.text[span.start + 1..].starts_with(pattern.prefix)
                && name_of(name) == pattern.key
                && pattern
                    .parent
                    .is_none_or(|key| parent.is_some_and(|it| name_of(it) == key))
        };
        let is_excluded = |step: &JsonPathSegment<'_>| match step {
            JsonPathSegment::Member(name) => name_of(name) == self.excluded,
            JsonPathSegment::Element(_) => false,
        };
        let wanted = self.patterns.iter().any(matches)
            && self.roots.contains(&name_of(root).as_ref())
            && !self.path.iter().skip(1).any(is_excluded);
        if wanted
            && self.found.len() < LOCATIONS
            && self.path_bytes() <= PATH_BYTES
            && let Some(path) = self.path()
        {
            self.found.push(StringLocation { span, path });
        }
    }

    /// The approximate bytes of the path, which is written only if they are within the limit.
    fn path_bytes(&self) -> usize {
        let bytes = self.path.iter().map(|step| match step {
            JsonPathSegment::Member(name) => name.len(),
            JsonPathSegment::Element(_) => "[00]".len(),
        });
        bytes.sum()
    }

    /// The path, which is unique. None: a name contains a separator, so the path could be that of another string.
    fn path(&self) -> Option<String> {
        let mut path = String::new();
        for step in &self.path {
            match step {
                JsonPathSegment::Member(name) => {
                    let name = name_of(name);
                    if name.contains(['.', '[', ']']) {
                        return None;
                    }
                    if !path.is_empty() {
                        path.push('.');
                    }
                    path.push_str(&name);
                }
                JsonPathSegment::Element(number) => path.push_str(&format!("[{number}]")),
            }
        }
        Some(path)
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while self.peek().is_some_and(|byte| b" \t\r\n".contains(&byte)) {
            self.at += 1;
        }
    }

    /// Skips this byte and white space before it. False: another byte is next.
    fn take(&mut self, byte: u8) -> bool {
        if byte != b'"' {
            self.space();
        }
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }
}

/// A member's name without quotes and escapes. A name with invalid escapes is returned as written, and matches no key.
fn name_of(written: &str) -> Cow<'_, str> {
    if written.contains('\\')
        && let Ok(name) = serde_json::from_str(written)
    {
        return Cow::Owned(name);
    }
    Cow::Borrowed(written.trim_matches('"'))
}
