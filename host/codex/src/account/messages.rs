//! What Codex says about signing in, as people may hear it: reasons, and lines without secrets.

use super::sign_in::Reason;
use crate::stderr;

/// Characters of a user code that people can copy.
const CODE: std::ops::RangeInclusive<usize> = 4..=32;

/// A word that is no more than that, or nothing.
pub(super) fn plain(word: &str) -> Option<String> {
    let fits =
        !word.is_empty() && word.len() <= 24 && word.bytes().all(|b| b.is_ascii_alphanumeric());
    fits.then(|| word.to_owned())
}

/// The name of a plan: `plus`, `self_serve_business_usage_based`.
pub(super) fn plan(name: &str) -> Option<String> {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    let fits = !name.is_empty() && name.len() <= 40 && name.bytes().all(word);
    fits.then(|| name.to_owned())
}

/// Whether this is a code for people to copy, and nothing else.
pub(super) fn is_user_code(code: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-';
    CODE.contains(&code.len()) && code.bytes().all(fits) && !code.starts_with('-')
}

/// Whether a page's origin is one of these, and there is nothing in its address that hides another.
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

/// Why a sign-in came to nothing, in Codex's words (0.169.0).
///
/// What the issuer says in a browser's place stays there: Codex tells of `deviceauth/token` only the status. 403 and
/// 404 mean that nobody has decided yet.
pub(super) fn reason(said: &str) -> Reason {
    let said = said.to_ascii_lowercase();
    let has = |needle: &str| said.contains(needle);
    if has("timed out after 15 minutes") || has("expired") || has("status 410") {
        Reason::Expired
    } else if has("restricted to workspace") || has("must use one of workspace") {
        Reason::WorkspaceMismatch
    } else if has("login is disabled") {
        Reason::NotAllowed
    } else if has("device code login is not enabled") {
        Reason::NotEnabled
    } else if has("external auth is active") {
        Reason::ExternalTokensActive
    } else if has("error sending request") || has("routing discovery failed") || has("dns") {
        Reason::NetworkUnreachable
    } else if has("device auth failed with status 4") || has("access_denied") || has("unauthorized")
    {
        Reason::Denied
    } else if has("status 429") {
        Reason::TooMany
    } else if has("status 5") {
        Reason::NetworkUnreachable
    } else {
        Reason::Failed
    }
}

/// What `codex login status` says, word by word (0.169.0): whether somebody is signed in, and how.
///
/// `Not logged in` contains `logged in`, so what denies is looked for first.
pub(super) fn logged_in(said: &str) -> Option<(bool, Option<&'static str>)> {
    let plain = stderr::plain(said).to_ascii_lowercase();
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
mod tests {
    use super::*;

    #[test]
    fn only_listed_origins_are_passed_on() {
        let origins = [
            "https://auth.openai.com".to_owned(),
            "http://127.0.0.1:81".to_owned(),
        ];
        for url in [
            "https://auth.openai.com/codex/device",
            "https://AUTH.openai.com:443/x?y#z",
            "http://127.0.0.1:81/",
        ] {
            assert!(is_allowed(url, &origins), "{url}");
        }
        for url in [
            "http://auth.openai.com/",
            "https://auth.openai.com.evil.example/",
            "https://auth.openai.com@evil.example/",
            "https://evil.example/https://auth.openai.com",
            "https://auth.openai.com:444/",
            "https://auth.openai.com\\@evil.example/",
            "http://127.0.0.1:82/",
            "javascript:alert(1)",
            "//auth.openai.com/",
            "",
        ] {
            assert!(!is_allowed(url, &origins), "{url}");
        }
    }

    #[test]
    fn a_user_code_is_short_and_plain() {
        assert!(is_user_code("MOCK-1234") && is_user_code("ABCD"));
        for code in [
            "",
            "abc-def1",
            "A B",
            "-ABCD",
            "AAA",
            "A\u{1b}[1mB",
            &"A".repeat(33),
        ] {
            assert!(!is_user_code(code), "{code:?}");
        }
    }

    #[test]
    fn codex_words_have_reasons() {
        for (said, expected) in [
            (
                "device auth failed with status 400 Bad Request",
                Reason::Denied,
            ),
            ("device auth failed with status 410 Gone", Reason::Expired),
            ("device auth timed out after 15 minutes", Reason::Expired),
            (
                "Login is restricted to workspace id(s) acc-OTHER.",
                Reason::WorkspaceMismatch,
            ),
            (
                "External auth must use one of workspace(s) [\"a\"], but received \"b\".",
                Reason::WorkspaceMismatch,
            ),
            (
                "failed to request device code: error sending request for url (https://auth.openai.com/x)",
                Reason::NetworkUnreachable,
            ),
            (
                "workspace routing discovery failed",
                Reason::NetworkUnreachable,
            ),
            (
                "workspace routing discovery unauthorized (401)",
                Reason::Denied,
            ),
            (
                "device code login is not enabled for this Codex server.",
                Reason::NotEnabled,
            ),
            (
                "ChatGPT login is disabled. Use API key login instead.",
                Reason::NotAllowed,
            ),
            (
                "failed to set external auth: invalid ID token format",
                Reason::Failed,
            ),
        ] {
            assert_eq!(reason(said), expected, "{said}");
        }
    }

    #[test]
    fn what_denies_is_read_first() {
        for (said, expected) in [
            ("Not logged in\n", Some((false, None))),
            ("\u{1b}[31mnot Logged in\u{1b}[0m", Some((false, None))),
            ("Logged in using ChatGPT\n", Some((true, Some("chatgpt")))),
            (
                "API key configured - sk-du***ey\nAuthentication is checked",
                Some((true, Some("apikey"))),
            ),
            (
                "Logged in using an API key - sk-proj-***",
                Some((true, Some("apikey"))),
            ),
            ("Logged in using something new", Some((true, None))),
            ("cannot be logged insecurely", None),
            ("error: unknown command", None),
        ] {
            assert_eq!(logged_in(said), expected, "{said}");
        }
    }
}
