//! Which hosts and origins are accepted, and how the others are refused.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

#[test]
fn hosts_and_origins_of_requests_are_accepted() {
    for text in [
        "box.example",
        "Box",
        "a_b-1.internal",
        "192.168.0.7",
        "[fe80::1]",
        "box.",
    ] {
        assert_eq!(host(text), Ok(()), "{text}");
    }
    for text in [
        "https://chat.example",
        "HTTP://box:3000",
        "http://[::1]:5173",
        "http://x.example:443",
        "chrome-extension://abcdef",
        "tauri://localhost",
        "file://",
    ] {
        assert_eq!(origin(text), Ok(()), "{text}");
    }
}

#[test]
fn a_host_that_never_matches_is_refused_with_the_right_spelling() {
    for (text, suggestion) in [
        ("a:8787", "write \"a\""),
        ("https://a.example/", "write \"a.example\""),
        ("https://a.example:8787/v1?x#y", "write \"a.example\""),
        ("user@a.example", "write \"a.example\""),
        ("[::1]:8787", "write \"[::1]\""),
        ("fe80::1", "write \"[fe80::1]\""),
        ("[fe80:0:0:0:0:0:0:1]", "write \"[fe80::1]\""),
        ("*.example", "name each host"),
        ("*", "name each host"),
        ("", "like \"box.example\""),
        ("two words", "like \"box.example\""),
        ("[nonsense]", "like \"box.example\""),
        ("bücher.example", "xn--"),
    ] {
        let refusal = host(text).unwrap_err();
        assert!(
            refusal.contains(suggestion) && refusal.contains(&format!("{text:?}")),
            "{text}: {refusal}"
        );
    }
}

#[test]
fn an_origin_that_never_matches_is_refused_with_the_right_spelling() {
    for (text, suggestion) in [
        ("https://x.example/", "write \"https://x.example\""),
        ("https://x.example/chat", "write \"https://x.example\""),
        ("https://x.example:443", "write \"https://x.example\""),
        ("http://x.example:80/", "write \"http://x.example\""),
        ("http://x.example:3000/", "write \"http://x.example:3000\""),
        ("https://x.example:", "write \"https://x.example\""),
        ("x.example", "write \"https://x.example\""),
        ("https://me@x.example", "write \"https://x.example\""),
        (
            "http://[0:0:0:0:0:0:0:1]:3000",
            "write \"http://[::1]:3000\"",
        ),
        ("https://x.example:99999", "like \"https://chat.example\""),
        ("*", "name each origin"),
        ("https://*.example", "name each origin"),
        ("null", "any page"),
        ("", "like \"https://chat.example\""),
        ("https://", "like \"https://chat.example\""),
        ("https://bücher.example", "xn--"),
    ] {
        let refusal = origin(text).unwrap_err();
        assert!(
            refusal.contains(suggestion) && refusal.contains(&format!("{text:?}")),
            "{text}: {refusal}"
        );
    }
}
