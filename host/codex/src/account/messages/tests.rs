//! Codex's messages about the account.

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
fn codexs_messages_have_reasons() {
    for (output, expected) in [
        (
            "device auth failed with status 400 Bad Request",
            FailureReason::Denied,
        ),
        (
            "device auth failed with status 410 Gone",
            FailureReason::Expired,
        ),
        (
            "device auth timed out after 15 minutes",
            FailureReason::Expired,
        ),
        (
            "Login is restricted to workspace id(s) acc-OTHER.",
            FailureReason::WorkspaceMismatch,
        ),
        (
            "ExternalTokens auth must use one of workspace(s) [\"a\"], but received \"b\".",
            FailureReason::WorkspaceMismatch,
        ),
        (
            "failed to request device code: error sending request for url (https://auth.openai.com/x)",
            FailureReason::NetworkUnreachable,
        ),
        (
            "workspace routing discovery failed",
            FailureReason::NetworkUnreachable,
        ),
        (
            "workspace routing discovery unauthorized (401)",
            FailureReason::Denied,
        ),
        (
            "device code login is not enabled for this Codex server.",
            FailureReason::NotEnabled,
        ),
        (
            "ChatGPT login is disabled. Use API key login instead.",
            FailureReason::NotAllowed,
        ),
        (
            "failed to set external auth: invalid ID token format",
            FailureReason::Failed,
        ),
    ] {
        assert_eq!(reason(output), expected, "{output}");
    }
}

#[test]
fn negations_are_matched_first() {
    for (output, expected) in [
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
        assert_eq!(logged_in(output), expected, "{output}");
    }
}
