//! What is taken for a secret, and how far each one reaches. All of them are ASCII.

/// Characters of a JSON web token's first part, at most.
const JWT_HEADER: usize = 2048;

/// Characters of a web token's part that must be seen before it is one, after the `eyJ` with which each begins.
const JWT_PART: usize = 7;

/// Characters between the dashes of a private key's first line, at most.
const LABEL: usize = 48;

/// Characters between the name of a secret and the secret, at most.
const GAP: usize = 8;

/// A secret of the form NAME TOKEN, where the name may be part of it.
struct Token {
    kind: &'static str,
    name: &'static str,
    /// The name stands alone, in capitals or not, and is no part of the secret.
    apart: bool,
    /// A letter or a digit before it makes it another word.
    begins_word: bool,
    /// What a token consists of, beyond the name.
    class: fn(u8) -> bool,
    /// How many of these there must be.
    least: usize,
    /// Words look like this too: the first `least` of it must hold a digit, or small letters and capitals.
    mixed: bool,
}

const fn token(kind: &'static str, name: &'static str, least: usize) -> Token {
    Token {
        kind,
        name,
        apart: false,
        begins_word: false,
        class: is_word,
        least,
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
        apart: true,
        class: is_base64,
        ..token("aws key", "aws_secret_access_key", 30)
    },
    Token {
        apart: true,
        begins_word: true,
        class: is_bearer,
        mixed: true,
        ..token("bearer token", "bearer", 20)
    },
];

/// What begins at a place of a text.
#[derive(Debug)]
pub(crate) enum SecretMatch {
    /// No secret, whatever follows.
    Nothing,
    /// Perhaps one: it depends on what follows.
    Perhaps,
    /// A secret, whatever follows.
    Secret {
        /// What it is called in its place.
        kind: &'static str,
        /// Bytes before it that stay.
        prefix: usize,
        /// Bytes that decided, those that stay counted.
        seen: usize,
        /// What of the following belongs to it.
        rest: SecretTail,
    },
}

/// The part of a secret that has not been read yet. It is never held.
#[derive(Debug)]
pub(crate) enum SecretTail {
    /// Everything of this class.
    Class(fn(u8) -> bool),
    /// A web token, with this many dots to come.
    Jwt(u8),
    /// A key, so much of whose last line's `-----END` has been read.
    Key(usize),
    /// The words of that line, so many characters of them.
    Label(usize),
    /// Its dashes at the end.
    Dashes(usize),
}

/// How far the characters of a web token are known to reach: where several may begin in one run of them, each is read once.
#[derive(Debug, Default)]
pub(crate) struct TokenRun {
    /// Where in the text the known part of it ends.
    end: usize,
    /// Characters that were read.
    #[cfg(test)]
    pub(crate) steps: usize,
}

impl TokenRun {
    /// So many bytes of the text's beginning are gone.
    pub(crate) fn drained(&mut self, bytes: usize) {
        self.end = self.end.saturating_sub(bytes);
    }

    /// How many such characters stand here, `most` at most. What is asked for never lies before what was.
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

/// Whether a secret may begin with this byte: most of a text is looked at no further.
pub(crate) fn may_begin(byte: u8) -> bool {
    matches!(byte, b's' | b'g' | b'A' | b'a' | b'B' | b'b' | b'e' | b'-')
}

/// Looks at what begins here in a text, after the byte `before`.
pub(crate) fn look(whole: &[u8], at: usize, before: Option<u8>, run: &mut TokenRun) -> SecretMatch {
    let text = whole.get(at..).unwrap_or_default();
    let within_word = before.is_some_and(|byte| byte.is_ascii_alphanumeric());
    let tokens = TOKENS
        .iter()
        .filter(|token| !(token.begins_word && within_word));
    let mut found = SecretMatch::Nothing;
    for look in tokens
        .map(|token| token.look(text))
        .chain([jwt(whole, at, run), key(text)])
    {
        match look {
            SecretMatch::Nothing => {}
            SecretMatch::Perhaps => found = SecretMatch::Perhaps,
            SecretMatch::Secret { .. } => return look,
        }
    }
    found
}

impl Token {
    fn look(&self, text: &[u8]) -> SecretMatch {
        let name = self.name.as_bytes();
        let same = |one: &u8, other: &u8| {
            if self.apart {
                one.eq_ignore_ascii_case(other)
            } else {
                one == other
            }
        };
        if !text.iter().zip(name).all(|(one, other)| same(one, other)) {
            return SecretMatch::Nothing;
        }
        let Some(mut rest) = text.get(name.len()..) else {
            return SecretMatch::Perhaps;
        };
        let mut prefix = 0;
        if self.apart {
            let gap = rest.iter().take_while(|byte| is_gap(**byte)).count();
            rest = &rest[gap..];
            match gap {
                _ if rest.is_empty() && gap <= GAP => return SecretMatch::Perhaps,
                1..=GAP => prefix = name.len() + gap,
                _ => return SecretMatch::Nothing,
            }
        }
        let window = &rest[..rest.len().min(self.least)];
        if !window.iter().all(|byte| (self.class)(*byte)) {
            return SecretMatch::Nothing;
        }
        if window.len() < self.least {
            return SecretMatch::Perhaps;
        }
        if self.mixed && !is_mixed(window) {
            return SecretMatch::Nothing;
        }
        SecretMatch::Secret {
            kind: self.kind,
            prefix,
            seen: text.len() - rest.len() + self.least,
            rest: SecretTail::Class(self.class),
        }
    }
}

/// `eyJ….eyJ….…`: two parts are enough to be one.
fn jwt(whole: &[u8], at: usize, run: &mut TokenRun) -> SecretMatch {
    let text = whole.get(at..).unwrap_or_default();
    let Some(header) = after(text, b"eyJ") else {
        return begins(text, b"eyJ");
    };
    let length = run.length(whole, whole.len() - header.len(), JWT_HEADER + 1);
    if length > JWT_HEADER {
        return SecretMatch::Nothing;
    }
    let rest = &header[length..];
    if rest.is_empty() {
        return SecretMatch::Perhaps;
    }
    let Some(claims) = after(rest, b".eyJ").filter(|_| length >= JWT_PART) else {
        return if length >= JWT_PART {
            begins(rest, b".eyJ")
        } else {
            SecretMatch::Nothing
        };
    };
    let seen = &claims[..claims.len().min(JWT_PART)];
    if !seen.iter().all(|byte| is_url_safe(*byte)) {
        return SecretMatch::Nothing;
    }
    if seen.len() < JWT_PART {
        return SecretMatch::Perhaps;
    }
    SecretMatch::Secret {
        kind: "web token",
        prefix: 0,
        seen: text.len() - claims.len() + JWT_PART,
        rest: SecretTail::Jwt(1),
    }
}

/// `-----BEGIN … PRIVATE KEY-----`, up to the line that ends it.
fn key(text: &[u8]) -> SecretMatch {
    let Some(label) = after(text, b"-----BEGIN ") else {
        return begins(text, b"-----BEGIN ");
    };
    let length = label.iter().take_while(|byte| is_label(**byte)).count();
    if length > LABEL {
        return SecretMatch::Nothing;
    }
    let (words, dashes) = label.split_at(length);
    let Some(body) = after(dashes, b"-----") else {
        return begins(dashes, b"-----");
    };
    let mut windows = words.windows(b"PRIVATE KEY".len());
    if !windows.any(|window| window == b"PRIVATE KEY") {
        return SecretMatch::Nothing;
    }
    SecretMatch::Secret {
        kind: "private key",
        prefix: 0,
        seen: text.len() - body.len(),
        rest: SecretTail::Key(0),
    }
}

impl SecretTail {
    /// Whether the next byte belongs to it. After one that does not, nothing does.
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
            // A sixth dash: the last five may still begin it.
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

/// What follows `start`, if the text begins with it.
fn after<'a>(text: &'a [u8], start: &[u8]) -> Option<&'a [u8]> {
    text.strip_prefix(start)
}

/// Whether more text may make it begin with `start`, as it does not yet.
fn begins(text: &[u8], start: &[u8]) -> SecretMatch {
    if start.starts_with(text) {
        SecretMatch::Perhaps
    } else {
        SecretMatch::Nothing
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
