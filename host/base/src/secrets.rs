//! What looks like a secret in a text. Too much rather than too little: neither a tape nor a log loses what it is for.

mod secret; // a key or a password

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

pub use self::secret::Secret;

/// Names of what is secret, at the end of a longer name too: `client_secret`, `accessToken`.
const NAMES: &str = r"(?:pass(?:word|wd|phrase|code)|pwd|secret|(?:api|access|private|secret|signing|encryption)[_-]?key|token|credentials?|authorization|cookie)";

/// Where a pattern has a group, that is the secret; else it is all.
static PATTERNS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    let quoted = format!(r#"(?i){NAMES}["']?\s*(?::=?|=>?)\s*"((?:[^"\\]|\\.)+)"#);
    let single = format!(r#"(?i){NAMES}["']?\s*(?::=?|=>?)\s*'((?:[^'\\]|\\.)+)"#);
    // JSON within a string of JSON.
    let escaped = format!(r#"(?i){NAMES}\\+["']\s*:\s*\\+["']([^"'\\]+)"#);
    let plain = format!(r#"(?i){NAMES}\\*["']?\s*(?::=?|=>?)\s*([^\s"'\\,;&<>(){{}}\[\]]+)"#);
    let all = [
        // OpenAI, and others who write theirs so.
        r"\bsk-[A-Za-z0-9_-]{12,}",
        r"\bgh[a-z]_[A-Za-z0-9]{16,}",
        r"\bgithub_pat_[A-Za-z0-9_]{16,}",
        r"\bglpat-[A-Za-z0-9_-]{16,}",
        r"\b(?:A3T[A-Z0-9]|AKIA|ASIA|ABIA|ACCA|AGPA|AIDA|AROA)[A-Z0-9]{12,}",
        r"(?i)\bX-Amz-(?:Signature|Security-Token|Credential)=([^&\s]+)",
        r"\bxox[a-z]-[A-Za-z0-9-]{8,}",
        r"\bxapp-[A-Za-z0-9-]{8,}",
        r"\bhooks\.slack\.com/services/([A-Za-z0-9/_-]+)",
        r"\bAIza[A-Za-z0-9_-]{30,}",
        // Stripe, npm, Hugging Face, Azure.
        r"\b[sr]k_(?:live|test)_[A-Za-z0-9]{8,}",
        r"\bwhsec_[A-Za-z0-9+/=]{8,}",
        r"\bnpm_[A-Za-z0-9]{16,}",
        r"\bhf_[A-Za-z0-9]{16,}",
        r"(?i)\b(?:Account|SharedAccess)Key=([A-Za-z0-9+/=]+)",
        r"\bya29\.[A-Za-z0-9_-]{16,}",
        // A JSON Web Token.
        r"\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){1,4}",
        r"(?i)\bbearer\s+([A-Za-z0-9._~+/=-]{6,})",
        // All of a line of cookies.
        r#"(?i)\bcookie["']?\s*[:=]\s*([^\s"'\\][^\r\n]*)"#,
        r"(?i)\bauthorization\s*[:=]\s*[a-z]+\s+([A-Za-z0-9._~+/=-]+)",
        r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----((?s:.*?))(?:-----END|\z)",
        r#"\b[A-Za-z][A-Za-z0-9+.-]*://([^\s/"'\\<>]+)@"#,
        // A home, with the whole path.
        r#"/(?:home|Users)/[^\s"'\\<>|:;,()`/]+[^\s"'\\<>|:;,()`]*"#,
        r#"(?:^|[^\w./-])(/root(?:/[^\s"'\\<>|:;,()`]*|\b))"#,
        r#"\b[A-Za-z]:\\+Users\\+[^\s"'<>|:;,()`]+"#,
        quoted.as_str(),
        single.as_str(),
        escaped.as_str(),
        plain.as_str(),
    ];
    all.iter().filter_map(|one| Regex::new(one).ok()).collect()
});

/// Names of how many tokens there are: `max_tokens`, `inputTokens`.
static COUNTS: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?:(?i:_tokens)|[a-z]Tokens)$").ok());

static NAME: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(&format!("(?i){NAMES}s?$")).ok());

/// Where secrets stand in a text, in bytes. They may overlap.
pub fn find(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for pattern in PATTERNS.iter() {
        for one in pattern.captures_iter(text) {
            found.extend(one.get(1).or_else(|| one.get(0)).map(|it| it.range()));
        }
    }
    found
}

/// The text with all of its secrets gone, for a log.
pub fn blotted(text: &str) -> String {
    let mut found = find(text);
    found.sort_unstable_by_key(|range| range.start);
    let mut clean = String::with_capacity(text.len());
    let mut copied = 0;
    for range in found {
        if range.end <= copied {
            continue;
        }
        // One that begins within the one before only makes that longer.
        if range.start >= copied {
            clean.push_str(&text[copied..range.start]);
            clean.push_str("(secret)");
        }
        copied = range.end;
    }
    clean.push_str(&text[copied..]);
    clean
}

/// Whether what is called so is a secret, whatever it looks like.
pub fn is_name(name: &str) -> bool {
    NAME.as_ref().is_some_and(|names| names.is_match(name))
}

/// The same for a number: how many tokens there are is none.
pub fn is_name_of_number(name: &str) -> bool {
    is_name(name) && !COUNTS.as_ref().is_some_and(|counts| counts.is_match(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inked(text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        for range in find(text) {
            bytes[range].fill(b'x');
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    #[test]
    fn a_log_line_loses_its_secrets_and_nothing_else() {
        let body = "A1b2C3d4E5f6G7h8I9j0";
        assert_eq!(
            blotted(&format!("a token={body} and sk-{body}, ä end")),
            "a token=(secret) and (secret), ä end"
        );
        // Found twice, as a value and by its form.
        assert_eq!(
            blotted(&format!("key: api_key=sk-{body}.")),
            "key: api_key=(secret)"
        );
        assert_eq!(blotted("nothing"), "nothing");
    }

    #[test]
    fn every_pattern_is_one() {
        assert_eq!((PATTERNS.len(), NAME.is_some()), (29, true));
        assert!(COUNTS.is_some());
    }

    #[test]
    fn secrets_are_found_and_what_is_around_them_stays() {
        // Put together here, so that nobody takes them for real ones.
        let body = "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8";
        let x = |text: &str| "x".repeat(text.len());
        for secret in [
            format!("sk-proj-{body}"),
            format!("ghp_{body}"),
            format!("github_pat_{body}"),
            format!("AKIA{}", "IOSFODNN7EXAMPLE"),
            format!("xoxb-{body}"),
            format!("AIza{body}"),
            format!("sk_live_{body}"),
            format!("rk_live_{body}"),
            format!("whsec_{body}"),
            format!("npm_{body}"),
            format!("hf_{body}"),
            format!("eyJhbGciOiJI.{body}.{body}"),
            "/home/alice/notes/plan.txt".to_owned(),
            "/Users/alice".to_owned(),
            format!("/{}/.ssh/id", "root"),
            r"C:\Users\alice\x".to_owned(),
        ] {
            let text = format!("before {secret} after");
            assert_eq!(
                inked(&text),
                format!("before {} after", x(&secret)),
                "{text}"
            );
        }
        for (before, secret, after) in [
            ("x-auth is Bearer ", body, "\n"),
            ("https://", "alice:hunter2", "@example.com/x"),
            ("password=", "hunter2", " and"),
            ("DB_PASSWORD: ", "hunter2", "\n"),
            (r#""password": "#, "hunter2", ", b"),
            (r#""password"="#, "x1", "\n"),
            (r#"\"password\":"#, "12345", "}"),
            ("Cookie: ", "theme=dark; session=\"A B\"; c=d", "\nHost: a"),
            ("Set-Cookie: ", "a=b; Path=/", "\r\n"),
            ("AccountName=a;AccountKey=", "abc/d+e==", ";Suffix=b"),
            ("?api_key=", "abc", "&x=1"),
            (r#"{"accessToken": ""#, "hun ter2", r#"", "b": 1}"#),
            (r#"{\"client_secret\":\""#, "hunter2", r#"\",\"b\":1}"#),
            ("secret = '", "two words", "'"),
            (
                "-----BEGIN RSA PRIVATE KEY-----",
                "\nMIIE\nabc\n",
                "-----END RSA PRIVATE KEY-----",
            ),
        ] {
            let text = format!("{before}{secret}{after}");
            assert_eq!(inked(&text), format!("{before}{}{after}", x(secret)));
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        for text in [
            "a task-management-system-of-ours",
            "max_tokens=100",
            "the password is asked for",
            "https://example.com/a@b",
            "/homework/alice",
            "the bear er ran",
        ] {
            assert_eq!(inked(text), text);
        }
        let within = format!("a folder src/{}/x", "root");
        assert_eq!(inked(&within), within);
        assert!(is_name("clientSecret") && is_name("API-Keys") && is_name("token"));
        assert!(!is_name("secretary") && !is_name("key") && !is_name_of_number("max_tokens"));
        for count in ["n_tokens", "max_completion_tokens", "cachedInputTokens"] {
            assert!(!is_name_of_number(count), "{count}");
        }
        assert!(is_name_of_number("token") && is_name_of_number("resetToken"));
    }
}
