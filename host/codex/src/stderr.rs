//! Logs Codex's stderr line by line: without colours, with secrets redacted, and bounded in length.

use std::sync::LazyLock;

use anstream::adapter::strip_str;
use regex::Regex;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::sync::mpsc;

use airlock_base::secrets;

/// Bytes that are read as one line.
const LINE_BYTES: u64 = 4096;

/// Characters of one line that are logged.
const LINE_CHARS: usize = 500;

/// Values of an OAuth exchange, which only Codex and its issuer may know.
static EXCHANGE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    valued(
        r"(?:code_?verifier|code_?challenge|device_?auth_?id|authorization_?code|auth_?code|user_?code|device_?code)",
    )
});

/// Values of a sign-in, whose names mean something else elsewhere.
static SIGN_IN: LazyLock<Option<Regex>> =
    LazyLock::new(|| valued(r"(?:verifier|challenge|login_?id|state|code)"));

/// A pattern for the values of these names.
fn valued(names: &str) -> Option<Regex> {
    let pattern =
        format!(r#"(?i)\b({names}["']?\s*[:=]\s*(?:Some\()?\\*["']?)[A-Za-z0-9._~+/%-]+"#);
    Regex::new(&pattern).ok()
}

/// Logs stderr until its end, and sends each line to `copy` while that has capacity.
pub(super) async fn trace(stderr: impl AsyncRead + Unpin, copy: Option<mpsc::Sender<String>>) {
    let mut stderr = BufReader::new(stderr);
    let mut line = Vec::new();
    loop {
        line.clear();
        // A longer line is logged in pieces.
        match (&mut stderr)
            .take(LINE_BYTES)
            .read_until(b'\n', &mut line)
            .await
        {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line);
        // Only a sign-in needs a copy.
        let text = match &copy {
            Some(_) => clean_strictly(&text),
            None => clean(&text),
        };
        if !text.is_empty() {
            tracing::debug!("{text}");
            if let Some(copy) = &copy {
                let _ = copy.try_send(text);
            }
        }
    }
}

/// As [`clean`], but also redacts the values of a sign-in.
pub(super) fn clean_strictly(line: &str) -> String {
    without(&SIGN_IN, &clean(line))
}

/// The text with the values of these names redacted. Without a pattern, all of the text is withheld.
fn without(names: &LazyLock<Option<Regex>>, text: &str) -> String {
    match names.as_ref() {
        Some(names) => names.replace_all(text, "${1}(secret)").into_owned(),
        None => String::new(),
    }
}

/// A text of Codex on one line: without colours, and with every word that may be a secret or a path redacted.
pub(super) fn clean(line: &str) -> String {
    let words = without(&EXCHANGE, &secrets::redacted(&plain(line)));
    let mut cleaned = String::new();
    let mut bearer = false;
    for word in words.split_whitespace().map(redact) {
        if !cleaned.is_empty() {
            cleaned.push(' ');
        }
        let secret = std::mem::replace(&mut bearer, word.to_ascii_lowercase().ends_with("bearer"));
        cleaned.push_str(if secret { "(secret)" } else { word });
    }
    match cleaned.char_indices().nth(LINE_CHARS) {
        Some((end, _)) => format!("{}…", &cleaned[..end]),
        None => cleaned,
    }
}

/// Removes terminal control sequences, and replaces every other control character with a space: the parser of sequences
/// would drop it, and so join words, of which a secret is then not recognised.
pub(super) fn plain(line: &str) -> String {
    let mut spaced = String::with_capacity(line.len());
    for character in line.chars() {
        match character {
            '\u{1b}' => spaced.push(character),
            // BEL ends an operating system command (OSC), as `ESC \` does.
            '\u{7}' => spaced.push_str("\u{1b}\\ "),
            other if other.is_control() => spaced.push(' '),
            other => spaced.push(other),
        }
    }
    strip_str(&spaced).to_string()
}

fn redact(word: &str) -> &str {
    let bare =
        word.trim_matches(|c: char| !c.is_alphanumeric() && c != '/' && c != '_' && c != '-');
    let value = bare.rsplit(SEPARATORS).next().unwrap_or(bare);
    let long = value.len() >= 20
        && value
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.+/=".contains(c));
    let mixed =
        value.chars().any(|c| c.is_ascii_digit()) && value.chars().any(|c| c.is_ascii_alphabetic());
    if bare.contains("://") && bare.contains('@')
        || value.starts_with("sk-")
        || value.starts_with("eyJ")
        || value.starts_with("sess-")
    {
        "(secret)"
    } else if bare.split(SEPARATORS).any(is_path) {
        "(path)"
    } else if long && mixed && !value.contains("::") && !is_time(value) {
        "(secret)"
    } else {
        word
    }
}

/// The characters between a name and its value, within a word.
const SEPARATORS: [char; 5] = ['=', ':', '"', '\'', '('];

/// Whether a part of a word is an absolute path. The part of a URL after its scheme is not, unless it has no host.
fn is_path(part: &str) -> bool {
    let file = part.starts_with("///");
    part.starts_with('/') && part.len() > 1 && (file || !part.starts_with("//"))
}

/// Whether this is a line of Codex's log: time, level, module.
pub(super) fn is_log_line(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let time = words.next().is_some_and(is_time);
    let level = words.next().unwrap_or_default();
    time && ["TRACE", "DEBUG", "INFO", "WARN", "ERROR"].contains(&level)
}

/// Whether this is a time such as `2026-11-21T01:55:19.446849Z`, with which Codex begins the lines of its log.
fn is_time(value: &str) -> bool {
    value.ends_with('Z') && value.contains('T') && value.starts_with("20")
}

#[cfg(test)]
mod tests;
