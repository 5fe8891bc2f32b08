//! Recognizes secrets and their extent. All of them are ASCII.

/// The most characters of a JSON web token's header.
const JWT_HEADER: usize = 2048;

/// The fewest characters of a web token's part after `eyJ`, with which each part begins.
const JWT_PART: usize = 7;

/// The most characters between the dashes of a private key's first line.
const LABEL: usize = 48;

/// The most characters between the name of a secret and the secret.
const GAP: usize = 8;

/// A secret that follows a name, which may be a part of it.
struct Token {
    kind: &'static str,
    name: &'static str,
    /// The name is case-insensitive, and not a part of the secret.
    separate: bool,
    /// A preceding letter or digit makes it another word.
    begins_word: bool,
    /// The characters of the token after the name.
    class: fn(u8) -> bool,
    /// The fewest of these characters.
    min_length: usize,
    /// To exclude words, the first `min_length` characters must contain a digit, or both cases.
    mixed: bool,
}

const fn token(kind: &'static str, name: &'static str, min_length: usize) -> Token {
    Token {
        kind,
        name,
        separate: false,
        begins_word: false,
        class: is_word,
        min_length,
        mixed: false,
    }
}

const TOKENS: &[Token] = &[
    Token {
        begins_word: true,
        class: is_url_safe,
        mixed: true,
        ..token("api key", "sk-", 20)
    },
    token("github token", "ghp_", 30),
    token("github token", "gho_", 30),
    token("github token", "ghu_", 30),
    token("github token", "ghs_", 30),
    token("github token", "ghr_", 30),
    token("github token", "github_pat_", 30),
    Token {
        begins_word: true,
        class: is_capital,
        ..token("aws key", "AKIA", 16)
    },
    Token {
        begins_word: true,
        class: is_capital,
        ..token("aws key", "ASIA", 16)
    },
    Token {
        separate: true,
        class: is_base64,
        ..token("aws key", "aws_secret_access_key", 30)
    },
    Token {
        separate: true,
        begins_word: true,
        class: is_bearer,
        mixed: true,
        ..token("bearer token", "bearer", 20)
    },
];

/// Whether a secret begins at a position of a text.
#[derive(Debug)]
pub(crate) enum SecretMatch {
    /// No secret, whatever follows.
    NoMatch,
    /// Undecided until more text follows.
    Undecided,
    /// A secret, whatever follows.
    Secret {
        /// The kind of the secret, for the replacement.
        kind: &'static str,
        /// Bytes before the secret that are kept.
        prefix: usize,
        /// Bytes that were scanned, with those that are kept.
        scanned: usize,
        /// The extent of the rest.
        rest: SecretTail,
    },
}

/// The rest of a secret, which is never held back.
#[derive(Debug)]
pub(crate) enum SecretTail {
    /// All characters of this class.
    Class(fn(u8) -> bool),
    /// A web token, with this many dots left.
    Jwt(u8),
    /// A private key, of whose `-----END` this many bytes were read.
    Key(usize),
    /// The label of that line, of which this many characters were read.
    Label(usize),
    /// The final dashes of that line.
    Dashes(usize),
}

/// The extent of a run of web token characters: several tokens may begin in one run, and each character is scanned
/// once.
#[derive(Debug, Default)]
pub(crate) struct TokenRun {
    /// The end of the scanned part, in bytes of the text.
    end: usize,
    /// The number of scanned characters.
    #[cfg(test)]
    pub(crate) steps: usize,
}

impl TokenRun {
    /// Adjusts the positions after this many bytes were removed from the text's beginning.
    pub(crate) fn drained(&mut self, bytes: usize) {
        self.end = self.end.saturating_sub(bytes);
    }

    /// The number of such characters from here, at most `most`. Positions must not decrease between calls.
    fn length(&mut self, text: &[u8], from: usize, most: usize) -> usize {
        let limit = text.len().min(from + most);
        let mut end = self.end.max(from);
        while end < limit && text.get(end).is_some_and(|byte| is_url_safe(*byte)) {
            end += 1;
            #[cfg(test)]
            {
                self.steps += 1;
            }
        }
        self.end = end;
        end.min(limit) - from
    }
}

/// Whether a secret may begin with this byte, which excludes most of a text.
pub(crate) fn may_begin(byte: u8) -> bool {
    matches!(byte, b's' | b'g' | b'A' | b'a' | b'B' | b'b' | b'e' | b'-')
}

/// Whether a secret begins here, after the byte `before`.
pub(crate) fn match_at(
    whole: &[u8],
    at: usize,
    before: Option<u8>,
    run: &mut TokenRun,
) -> SecretMatch {
    let text = whole.get(at..).unwrap_or_default();
    let within_word = before.is_some_and(|byte| byte.is_ascii_alphanumeric());
    let tokens = TOKENS
        .iter()
        .filter(|token| !(token.begins_word && within_word));
    let mut found = SecretMatch::NoMatch;
    for result in tokens
        .map(|token| token.match_at(text))
        .chain([jwt(whole, at, run), key(text)])
    {
        match result {
            SecretMatch::NoMatch => {}
            SecretMatch::Undecided => found = SecretMatch::Undecided,
            SecretMatch::Secret { .. } => return result,
        }
    }
    found
}

impl Token {
    fn match_at(&self, text: &[u8]) -> SecretMatch {
        let name = self.name.as_bytes();
        let same = |one: &u8, other: &u8| {
            if self.separate {
                one.eq_ignore_ascii_case(other)
            } else {
                one == other
            }
        };
        if !text.iter().zip(name).all(|(one, other)| same(one, other)) {
            return SecretMatch::NoMatch;
        }
        let Some(mut rest) = text.get(name.len()..) else {
            return SecretMatch::Undecided;
        };
        let mut prefix = 0;
        if self.separate {
            let gap = rest.iter().take_while(|byte| is_gap(**byte)).count();
            rest = &rest[gap..];
            match gap {
                _ if rest.is_empty() && gap <= GAP => return SecretMatch::Undecided,
                1..=GAP => prefix = name.len() + gap,
                _ => return SecretMatch::NoMatch,
            }
        }
        let window = &rest[..rest.len().min(self.min_length)];
        if !window.iter().all(|byte| (self.class)(*byte)) {
            return SecretMatch::NoMatch;
        }
        if window.len() < self.min_length {
            return SecretMatch::Undecided;
        }
        if self.mixed && !is_mixed(window) {
            return SecretMatch::NoMatch;
        }
        SecretMatch::Secret {
            kind: self.kind,
            prefix,
            scanned: text.len() - rest.len() + self.min_length,
            rest: SecretTail::Class(self.class),
        }
    }
}

/// A web token, `eyJ….eyJ….…`, which is recognized by two parts.
fn jwt(whole: &[u8], at: usize, run: &mut TokenRun) -> SecretMatch {
    let text = whole.get(at..).unwrap_or_default();
    let Some(header) = after(text, b"eyJ") else {
        return begins(text, b"eyJ");
    };
    let length = run.length(whole, whole.len() - header.len(), JWT_HEADER + 1);
    if length > JWT_HEADER {
        return SecretMatch::NoMatch;
    }
    let rest = &header[length..];
    if rest.is_empty() {
        return SecretMatch::Undecided;
    }
    let Some(claims) = after(rest, b".eyJ").filter(|_| length >= JWT_PART) else {
        return if length >= JWT_PART {
            begins(rest, b".eyJ")
        } else {
            SecretMatch::NoMatch
        };
    };
    let scanned = &claims[..claims.len().min(JWT_PART)];
    if !scanned.iter().all(|byte| is_url_safe(*byte)) {
        return SecretMatch::NoMatch;
    }
    if scanned.len() < JWT_PART {
        return SecretMatch::Undecided;
    }
    SecretMatch::Secret {
        kind: "web token",
        prefix: 0,
        scanned: text.len() - claims.len() + JWT_PART,
        rest: SecretTail::Jwt(1),
    }
}

/// A private key, from `-----BEGIN … PRIVATE KEY-----` to its last line.
fn key(text: &[u8]) -> SecretMatch {
    let Some(label) = after(text, b"-----BEGIN ") else {
        return begins(text, b"-----BEGIN ");
    };
    let length = label.iter().take_while(|byte| is_label(**byte)).count();
    if length > LABEL {
        return SecretMatch::NoMatch;
    }
    let (key_label, dashes) = label.split_at(length);
    let Some(body) = after(dashes, b"-----") else {
        return begins(dashes, b"-----");
    };
    let mut windows = key_label.windows(b"PRIVATE KEY".len());
    if !windows.any(|window| window == b"PRIVATE KEY") {
        return SecretMatch::NoMatch;
    }
    SecretMatch::Secret {
        kind: "private key",
        prefix: 0,
        scanned: text.len() - body.len(),
        rest: SecretTail::Key(0),
    }
}

impl SecretTail {
    /// Whether the next byte belongs to it. If not, the secret has ended.
    pub(crate) fn takes(&mut self, byte: u8) -> bool {
        const END: &[u8] = b"-----END";
        const DASHES: usize = 5;
        let (next, takes) = match *self {
            Self::Class(class) => (Self::Class(class), class(byte)),
            Self::Jwt(dots) if byte == b'.' => (Self::Jwt(dots.saturating_sub(1)), dots > 0),
            Self::Jwt(dots) => (Self::Jwt(dots), is_url_safe(byte)),
            Self::Key(read) if END.get(read) == Some(&byte) => match read + 1 {
                read if read == END.len() => (Self::Label(0), true),
                read => (Self::Key(read), true),
            },
            // A sixth dash: the last five may begin the end.
            Self::Key(DASHES) if byte == b'-' => (Self::Key(DASHES), true),
            Self::Key(_) => (Self::Key(usize::from(byte == b'-')), true),
            Self::Label(read) if byte == b'-' => (Self::Dashes(1), read <= LABEL),
            Self::Label(read) => (Self::Label(read + 1), is_label(byte) && read < LABEL),
            Self::Dashes(read) => (Self::Dashes(read + 1), byte == b'-' && read < DASHES),
        };
        *self = next;
        takes
    }
}

/// The text after `start`, if it begins with that.
fn after<'a>(text: &'a [u8], start: &[u8]) -> Option<&'a [u8]> {
    text.strip_prefix(start)
}

/// Undecided if more text may complete `start`.
fn begins(text: &[u8], start: &[u8]) -> SecretMatch {
    if start.starts_with(text) {
        SecretMatch::Undecided
    } else {
        SecretMatch::NoMatch
    }
}

fn is_mixed(window: &[u8]) -> bool {
    let later = window.iter().skip(1);
    window.iter().any(u8::is_ascii_digit)
        || (later.clone().any(u8::is_ascii_uppercase) && later.clone().any(u8::is_ascii_lowercase))
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn is_url_safe(byte: u8) -> bool {
    is_word(byte) || byte == b'-'
}

fn is_capital(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}

fn is_bearer(byte: u8) -> bool {
    is_url_safe(byte) || matches!(byte, b'.' | b'~' | b'+' | b'/' | b'=')
}

fn is_gap(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'"' | b'\'' | b'=' | b':')
}

fn is_label(byte: u8) -> bool {
    is_capital(byte) || byte == b' '
}
