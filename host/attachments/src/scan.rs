//! A scan of JSON text for strings under certain keys, with the path and the place of each. It reads each byte once,
//! and copies none.

use std::borrow::Cow;
use std::ops::Range;

/// Levels of nesting, as many as any JSON reader behind it takes.
const DEPTH: usize = 128;

/// Bytes of a path. Longer ones are nobody's, and a body could make any number of them out of one long key.
const PATH_BYTES: usize = 256;

/// Places that are looked for. A request with more of them is not served all of them.
const LOCATIONS: usize = 256;

/// A string's place in the text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct StringLocation {
    /// With its quotes.
    pub(super) span: Range<usize>,
    /// `messages[0].content[1].image_url.url`
    pub(super) path: String,
}

/// Finds the strings that stand under one of `keys`, anywhere below one of `roots`, and begin with `prefix`. None where the text is not JSON; what
/// numbers and words look like is left to a real reader.
pub(super) fn strings(
    text: &str,
    roots: &[&str],
    keys: &[&str],
    prefix: &str,
) -> Option<Vec<StringLocation>> {
    let mut scan = Scan {
        text,
        at: 0,
        path: Vec::new(),
        roots,
        keys,
        prefix,
        found: Vec::new(),
    };
    scan.value()?;
    scan.space();
    (scan.at == text.len()).then_some(scan.found)
}

enum PathSegment<'a> {
    /// A member's name, with its quotes.
    Member(&'a str),
    Element(usize),
}

struct Scan<'a> {
    text: &'a str,
    at: usize,
    path: Vec<PathSegment<'a>>,
    roots: &'a [&'a str],
    keys: &'a [&'a str],
    prefix: &'a str,
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
            _ => self.word(),
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
            self.path.push(PathSegment::Member(&self.text[name]));
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
            self.path.push(PathSegment::Element(number));
            self.value()?;
            self.path.pop();
            if !self.take(b',') {
                break;
            }
        }
        self.take(b']').then_some(())
    }

    /// Steps over an opening bracket, unless it nests too deep.
    fn enter(&mut self, bracket: u8) -> Option<()> {
        (self.path.len() < DEPTH && self.take(bracket)).then_some(())
    }

    /// The place of the string that begins here.
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
            // An escape: its second byte is never the end of the string.
            self.at += 2;
        }
    }

    /// A number, `true`, `false` or `null`.
    fn word(&mut self) -> Option<()> {
        let rest = &self.text.as_bytes()[self.at..];
        let length = rest
            .iter()
            .take_while(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte))
            .count();
        self.at += length;
        (length > 0).then_some(())
    }

    /// Keeps the string if it is one that is looked for.
    fn consider(&mut self, span: Range<usize>) {
        let (Some(PathSegment::Member(root)), Some(PathSegment::Member(name))) =
            (self.path.first(), self.path.last())
        else {
            return;
        };
        let wanted = self.text[span.start + 1..].starts_with(self.prefix)
            && self.roots.contains(&name_of(root).as_ref())
            && self.keys.contains(&name_of(name).as_ref());
        if wanted
            && self.found.len() < LOCATIONS
            && self.path_bytes() <= PATH_BYTES
            && let Some(path) = self.path()
        {
            self.found.push(StringLocation { span, path });
        }
    }

    /// About how long the path is. Asked before it is written.
    fn path_bytes(&self) -> usize {
        let bytes = self.path.iter().map(|step| match step {
            PathSegment::Member(name) => name.len(),
            PathSegment::Element(_) => "[00]".len(),
        });
        bytes.sum()
    }

    /// The path, which leads to this place alone. None where a name has what separates steps: its path could be another's.
    fn path(&self) -> Option<String> {
        let mut path = String::new();
        for step in &self.path {
            match step {
                PathSegment::Member(name) => {
                    let name = name_of(name);
                    if name.contains(['.', '[', ']']) {
                        return None;
                    }
                    if !path.is_empty() {
                        path.push('.');
                    }
                    path.push_str(&name);
                }
                PathSegment::Element(number) => path.push_str(&format!("[{number}]")),
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

    /// Steps over this byte, and over space before it, if it comes next.
    fn take(&mut self, byte: u8) -> bool {
        if byte != b'"' {
            self.space();
        }
        let comes = self.peek() == Some(byte);
        self.at += usize::from(comes);
        comes
    }
}

/// A member's name without quotes and escapes. One that cannot be read stays, and is none of ours.
fn name_of(written: &str) -> Cow<'_, str> {
    if written.contains('\\')
        && let Ok(name) = serde_json::from_str(written)
    {
        return Cow::Owned(name);
    }
    Cow::Borrowed(written.trim_matches('"'))
}
