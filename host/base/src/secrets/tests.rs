//! Redaction of secrets.

use super::*;

fn masked(text: &str) -> String {
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
        redacted(&format!("a token={body} and sk-{body}, ä end")),
        "a token=(secret) and (secret), ä end"
    );
    // The secret matches twice: as a named value and by its form.
    assert_eq!(
        redacted(&format!("key: api_key=sk-{body}.")),
        "key: api_key=(secret)"
    );
    assert_eq!(redacted("nothing"), "nothing");
}

#[test]
fn every_pattern_compiles() {
    assert_eq!((PATTERNS.len(), NAME.is_some()), (29, true));
    assert!(TOKEN_COUNTS.is_some());
}

#[test]
fn secrets_are_found_without_the_text_around_them() {
    // Composed at run time, so that scanners do not report them as real secrets.
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
            masked(&text),
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
        assert_eq!(masked(&text), format!("{before}{}{after}", x(secret)));
    }
}

#[test]
fn text_that_is_not_secret_is_not_found() {
    for text in [
        "a task-management-system-of-ours",
        "max_tokens=100",
        "the password is asked for",
        "https://example.com/a@b",
        "/homework/alice",
        "the bear er ran",
    ] {
        assert_eq!(masked(text), text);
    }
    let within = format!("a folder src/{}/x", "root");
    assert_eq!(masked(&within), within);
    assert!(
        is_secret_name("clientSecret") && is_secret_name("API-Keys") && is_secret_name("token")
    );
    assert!(
        !is_secret_name("secretary")
            && !is_secret_name("key")
            && !is_secret_number_name("max_tokens")
    );
    for count in ["n_tokens", "max_completion_tokens", "cachedInputTokens"] {
        assert!(!is_secret_number_name(count), "{count}");
    }
    assert!(is_secret_number_name("token") && is_secret_number_name("resetToken"));
}
