//! Classifies Codex's messages about signing in, and checks values before people see them.

use super::sign_in_error::FailureReason;
use crate::stderr;

/// The length of a user code, in characters.
const CODE: std::ops::RangeInclusive<usize> = 4..=32;

/// The word, if it is short and alphanumeric.
pub(super) fn plain(word: &str) -> Option<String> {
    let fits =
        !word.is_empty() && word.len() <= 24 && word.bytes().all(|b| b.is_ascii_alphanumeric());
    fits.then(|| word.to_owned())
}

/// The name, if it can be the name of a plan: `plus`, `self_serve_business_usage_based`.
pub(super) fn plan(name: &str) -> Option<String> {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    let fits = !name.is_empty() && name.len() <= 40 && name.bytes().all(word);
    fits.then(|| name.to_owned())
}

/// Whether this is a device code for people to type, and nothing else.
pub(super) fn is_user_code(code: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-';
    CODE.contains(&code.len()) && code.bytes().all(fits) && !code.starts_with('-')
}

/// Whether the origin of a URL is in the list. URLs with user information, backslashes or control characters are refused.
pub(super) fn is_allowed(url: &str, origins: &[String]) -> bool {
    let printable = url
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let Some(uri) = url.parse::<hyper::Uri>().ok().filter(|_| printable) else {
        return false;
    };
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return false;
    };
    let usual = matches!(
        (scheme, authority.port_u16()),
        ("https", Some(443)) | ("http", Some(80))
    );
    let origin = match authority.port_u16().filter(|_| !usual) {
        Some(port) => format!("{scheme}://{}:{port}", authority.host()),
        None => format!("{scheme}://{}", authority.host()),
    };
    let allowed = |allowed: &String| allowed.eq_ignore_ascii_case(&origin);
    !authority.as_str().contains('@') && origins.iter().any(allowed)
}

/// The reason for a message of Codex (0.169.0).
///
/// Codex reports only the status of the issuer's response to `deviceauth/token`. The statuses 403 and 404 mean that the sign-in
/// is still pending.
pub(super) fn reason(message: &str) -> FailureReason {
    let message = message.to_ascii_lowercase();
    let has = |needle: &str| message.contains(needle);
    if has("timed out after 15 minutes") || has("expired") || has("status 410") {
        FailureReason::Expired
    } else if has("restricted to workspace") || has("must use one of workspace") {
        FailureReason::WorkspaceMismatch
    } else if has("login is disabled") {
        FailureReason::NotAllowed
    } else if has("device code login is not enabled") {
        FailureReason::NotEnabled
    } else if has("external auth is active") {
        FailureReason::ExternalTokensActive
    } else if has("error sending request") || has("routing discovery failed") || has("dns") {
        FailureReason::NetworkUnreachable
    } else if has("device auth failed with status 4") || has("access_denied") || has("unauthorized")
    {
        FailureReason::Denied
    } else if has("status 429") {
        FailureReason::TooMany
    } else if has("status 5") {
        FailureReason::NetworkUnreachable
    } else {
        FailureReason::Failed
    }
}

/// Parses the output of `codex login status` (0.169.0): whether somebody is signed in, and by which method. None: unknown
/// output.
///
/// `Not logged in` contains `logged in`, so negations are matched first.
pub(super) fn logged_in(output: &str) -> Option<(bool, Option<&'static str>)> {
    let plain = stderr::plain(output).to_ascii_lowercase();
    let words: Vec<&str> = plain
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    let has = |phrase: &[&str]| words.windows(phrase.len()).any(|window| window == phrase);
    if has(&["not", "logged", "in"]) || has(&["logged", "out"]) || has(&["no", "api", "key"]) {
        Some((false, None))
    } else if has(&["api", "key", "configured"]) || has(&["logged", "in", "using", "an", "api"]) {
        Some((true, Some("apikey")))
    } else if has(&["logged", "in", "using", "chatgpt"]) {
        Some((true, Some("chatgpt")))
    } else if has(&["logged", "in"]) {
        Some((true, None))
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
