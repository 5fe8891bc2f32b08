//! Codex's stderr, redacted.

use super::{EXCHANGE, SIGN_IN, clean, clean_strictly, is_log_line};

#[test]
fn secrets_of_a_sign_in_are_redacted() {
    assert!(EXCHANGE.is_some() && SIGN_IN.is_some());
    for (text, expected) in [
        (
            "\u{1b}[31mcode_verifier=abc\u{1b}[0m x",
            "code_verifier=(secret) x",
        ),
        (
            "{\"device_auth_id\":\"devauth-1\"}",
            "{\"device_auth_id\":\"(secret)\"}",
        ),
        ("code: code-1", "code: (secret)"),
        ("user_code = MOCK-1234.", "user_code = (secret)"),
        (
            "a verifier: Some(\"x-y\")",
            "a verifier: Some(\"(secret)\")",
        ),
        ("status code 400 Bad Request", "status code 400 Bad Request"),
    ] {
        assert_eq!(clean_strictly(text), expected, "{text}");
    }
}

#[test]
fn colours_are_removed() {
    assert_eq!(
        clean("\u{1b}[2m2026\u{1b}[0m \u{1b}[31mERROR\u{1b}[0m codex: no\tnet\n"),
        "2026 ERROR codex: no net"
    );
}

#[test]
fn links_and_titles_are_removed() {
    for end in ["\u{1b}\\", "\u{7}"] {
        let link = format!("\u{1b}]8;;https://example.com/{end}here\u{1b}]8;;{end} it is");
        assert_eq!(clean(&link), "here it is");
        assert_eq!(clean(&format!("\u{1b}]0;codex{end}starts")), "starts");
    }
}

#[test]
fn control_characters_hide_no_secret() {
    for control in ["\u{1}", "\u{7}", "\u{8}", "\u{7f}", "\u{9b}", "\n"] {
        let text = format!("a{control}sk-abc123");
        assert_eq!(clean(&text), "a (secret)", "{text:?}");
    }
    assert_eq!(clean("s\u{1b}[1mk-abc123"), "(secret)");
}

#[test]
fn secrets_and_paths_are_redacted() {
    assert_eq!(clean("key sk-abc123, done"), "key (secret) done");
    assert_eq!(
        clean("Authorization: Bearer abc.def"),
        "Authorization: (secret) (secret)"
    );
    assert_eq!(clean("token=eyJhbGciOi.x.y end"), "token=(secret) end");
    assert_eq!(
        clean("read /home/someone/.codex/auth.json failed"),
        "read (secret) failed"
    );
    assert_eq!(clean("path=\"/tmp/x\" bad"), "(path) bad");
    // Also if text follows, or a part looks like a secret.
    for text in [
        "read /home/me/.codex/config.toml:3:5 failed",
        "open /tmp/try/.local/share/airlock/sign-in/12-0123456789abcdef/logs_2.sqlite: failed",
        "read file:///home/me failed",
        "read (/tmp/x:12) failed",
    ] {
        let cleaned = clean(text);
        assert!(
            cleaned.ends_with(" failed")
                && !["me", "tmp", "airlock"]
                    .map(|it| cleaned.contains(it))
                    .contains(&true),
            "{cleaned}"
        );
    }
    assert_eq!(
        clean("refresh rt_0123456789abcdef0123456789 used"),
        "refresh (secret) used"
    );
}

#[test]
fn secrets_within_words_are_redacted() {
    assert_eq!(
        clean("via http://me:pass@proxy:8080 now"),
        "via (secret) now"
    );
    assert_eq!(
        clean("{\"authorization\":\"Bearer abc\"}"),
        "{\"authorization\":\"(secret)\"}"
    );
}

#[test]
fn words_and_addresses_stay() {
    let line = "2026-11-21T01:55:19.446849Z WARN codex_core::client: retrying https://example.com/v1 in 200ms";
    assert_eq!(clean(line), line);
}

#[test]
fn lines_of_codexs_log_are_recognised() {
    let log = "2026-11-29T20:31:50.391232Z  WARN codex_app_server: diagnostic database unavailable";
    assert!(is_log_line(log) && is_log_line(&clean(log)));
    for text in [
        "",
        "Open the page",
        "2026-11-29T20:31:50Z it is late",
        "WARN of dogs",
    ] {
        assert!(!is_log_line(text), "{text}");
    }
}

#[test]
fn long_lines_are_cut() {
    let line = clean(&"word ".repeat(1000));
    assert!(line.chars().count() <= 501 && line.ends_with('…'));
}
