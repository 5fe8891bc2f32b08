//! Finds and redacts secrets in text. The patterns prefer a false match to a missed secret.

mod secret; // a key that is never printed

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

pub use self::secret::Secret;

/// Names of secrets, also at the end of a longer name: `client_secret`, `accessToken`.
const NAMES: &str = r"(?:pass(?:word|wd|phrase|code)|pwd|secret|(?:api|access|private|secret|signing|encryption)[_-]?key|token|credentials?|authorization|cookie)";

/// Patterns of secrets. The secret is the pattern's group, or all of the match if there is none.
static PATTERNS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    let quoted = format!(r#"(?i){NAMES}["']?\s*(?::=?|=>?)\s*"((?:[^"\\]|\\.)+)"#);
    let single = format!(r#"(?i){NAMES}["']?\s*(?::=?|=>?)\s*'((?:[^'\\]|\\.)+)"#);
    // JSON within a JSON string.
    let escaped = format!(r#"(?i){NAMES}\\+["']\s*:\s*\\+["']([^"'\\]+)"#);
    let plain = format!(r#"(?i){NAMES}\\*["']?\s*(?::=?|=>?)\s*([^\s"'\\,;&<>(){{}}\[\]]+)"#);
    let all = [
        // OpenAI and compatible services.
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
        // A whole line of cookies.
        r#"(?i)\bcookie["']?\s*[:=]\s*([^\s"'\\][^\r\n]*)"#,
        r"(?i)\bauthorization\s*[:=]\s*[a-z]+\s+([A-Za-z0-9._~+/=-]+)",
        r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----((?s:.*?))(?:-----END|\z)",
        r#"\b[A-Za-z][A-Za-z0-9+.-]*://([^\s/"'\\<>]+)@"#,
        // A path in a home folder.
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

/// Names of numbers of tokens: `max_tokens`, `inputTokens`.
static TOKEN_COUNTS: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?:(?i:_tokens)|[a-z]Tokens)$").ok());

static NAME: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(&format!("(?i){NAMES}s?$")).ok());

/// The byte ranges of the secrets in a text. They may overlap.
pub fn find(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for pattern in PATTERNS.iter() {
        for one in pattern.captures_iter(text) {
            found.extend(one.get(1).or_else(|| one.get(0)).map(|it| it.range()));
        }
    }
    found
}

/// Replaces the secrets in a text by `(secret)`, for a log.
pub fn redacted(text: &str) -> String {
    let mut found = find(text);
    found.sort_unstable_by_key(|range| range.start);
    let mut clean = String::with_capacity(text.len());
    let mut copied = 0;
    for range in found {
        if range.end <= copied {
            continue;
        }
        // A range that overlaps the one before only extends it.
        if range.start >= copied {
            clean.push_str(&text[copied..range.start]);
            clean.push_str("(secret)");
        }
        copied = range.end;
    }
    clean.push_str(&text[copied..]);
    clean
}

/// Whether a value with this name is a secret, whatever it looks like.
pub fn is_secret_name(name: &str) -> bool {
    NAME.as_ref().is_some_and(|names| names.is_match(name))
}

/// Whether a number with this name is a secret; a number of tokens is not.
pub fn is_secret_number_name(name: &str) -> bool {
    is_secret_name(name)
        && !TOKEN_COUNTS
            .as_ref()
            .is_some_and(|counts| counts.is_match(name))
}

#[cfg(test)]
mod tests;
