//! Tests of the redactor: what it replaces, what it keeps, and that cuts do not matter.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

/// Texts with secrets, and the expected outputs.
const SECRETS: &[(&str, &str)] = &[
    (
        "Use sk-proj-4fT9xQ2mLk8sPz7Wv1Yb3Nc, please.",
        "Use [redacted api key], please.",
    ),
    (
        "ghp_0123456789abcdefghijABCDEFGHIJ012345 and github_pat_11ABCDEFG0123456789_abcdefghijklmnop!",
        "[redacted github token] and [redacted github token]!",
    ),
    (
        "id=AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = \"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\"",
        "id=[redacted aws key]\naws_secret_access_key = \"[redacted aws key]\"",
    ),
    (
        "Authorization: Bearer 7f3c9d2e1b4a5f6078899aabb.ccddee==\r\n",
        "Authorization: Bearer [redacted bearer token]\r\n",
    ),
    (
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9. Sent.",
        "[redacted web token]. Sent.",
    ),
    (
        "a\n------BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNz\naC1rZXk-----EN\n------END OPENSSH PRIVATE KEY------\nb",
        "a\n-[redacted private key]-\nb",
    ),
    (
        "-----BEGIN PRIVATE KEY-----\nMIIE漢字 without an end sk-",
        "[redacted private key]",
    ),
    (
        "é漢sk-abcdefghij0123456789漢 sk-abcdefghij012345678",
        "é漢[redacted api key]漢 sk-abcdefghij012345678",
    ),
    (
        "bearer sk-abcdefghij0123456789",
        "bearer [redacted bearer token]",
    ),
];

/// Texts that resemble secrets.
const PLAIN: &[&str] = &[
    "",
    "The bearer of responsibilities, a bearer\tbond: bearer shares",
    "sk-learn, risk-abcdefghij0123456789, sk-this-is-only-a-long-name",
    "ghp_short AKIAIOSFODNN7 XAKIAIOSFODNN7EXAMPLE eyJhbGciOiJI.eyJ eyJ.eyJ",
    "-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----",
    "----- --- -----BEGIN",
    "aws_secret_access_key is a name",
    "🦀 e s g b - A a B",
];

/// The output for a text in these pieces.
fn pushed<'a>(pieces: impl IntoIterator<Item = &'a str>) -> String {
    let mut redactor = Redactor::default();
    let mut clean: String = pieces.into_iter().map(|it| redactor.push(it)).collect();
    clean.push_str(&redactor.finish());
    clean
}

fn corpus() -> Vec<(String, String)> {
    let secrets = SECRETS.iter().map(|(text, clean)| (*text, *clean));
    let plain = PLAIN.iter().map(|text| (*text, *text));
    let mut all: Vec<(String, String)> = secrets
        .chain(plain)
        .map(|(text, clean)| (text.to_owned(), clean.to_owned()))
        .collect();
    // All of them in one text, except for the one that removes the rest.
    let ending = all
        .iter()
        .filter(|(text, _)| !text.contains("without an end"));
    let (texts, cleans): (Vec<&str>, Vec<&str>) = ending
        .map(|(text, clean)| (text.as_str(), clean.as_str()))
        .unzip();
    all.push((texts.join(" |\n"), cleans.join(" |\n")));
    all
}

#[test]
fn secrets_are_replaced_and_other_text_is_unchanged() {
    for (text, clean) in corpus() {
        assert_eq!(redacted(&text), clean);
    }
}

#[test]
fn two_cuts_do_not_change_the_output() {
    for (text, clean) in corpus() {
        let borders: Vec<usize> = (0..=text.len())
            .filter(|at| text.is_char_boundary(*at))
            .collect();
        for &first in &borders {
            // In a long text the second cut is near the first one.
            for &second in borders
                .iter()
                .filter(|at| (first..first + 40).contains(*at))
            {
                let pieces = [&text[..first], &text[first..second], &text[second..]];
                assert_eq!(pushed(pieces), clean, "{pieces:?}");
            }
        }
    }
}

#[test]
fn any_number_of_cuts_does_not_change_the_output() {
    // Knuth's generator, so that the test is reproducible.
    let mut state: u64 = 42;
    let mut random = move |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for (text, clean) in corpus() {
        let single: Vec<String> = text.chars().map(String::from).collect();
        assert_eq!(pushed(single.iter().map(String::as_str)), clean);
        for most in [2, 5, 30] {
            for _ in 0..50 {
                let mut pieces = vec![String::new()];
                for character in text.chars() {
                    if random(most) == 0 {
                        pieces.push(String::new());
                    }
                    if let Some(last) = pieces.last_mut() {
                        last.push(character);
                    }
                }
                assert_eq!(
                    pushed(pieces.iter().map(String::as_str)),
                    clean,
                    "{pieces:?}"
                );
            }
        }
    }
}

#[test]
fn no_part_of_a_secret_is_emitted_before_it_is_recognized() {
    for (text, clean) in corpus() {
        let mut redactor = Redactor::default();
        let mut output = String::new();
        for character in text.chars() {
            output.push_str(&redactor.push(character.encode_utf8(&mut [0; 4])));
            assert!(clean.starts_with(&output), "{output:?}");
        }
    }
}

#[test]
fn little_text_is_held_back() {
    let mut redactor = Redactor::default();
    assert_eq!(
        redactor.push("plain words are not held: "),
        "plain words are not held: "
    );
    for text in ["sk-a1", "eyJ", "-----BEGIN RSA "] {
        let mut redactor = Redactor::default();
        redactor.push(text);
        redactor.push(&"A1b2".repeat(100_000));
        assert!(redactor.held.len() < 2200, "{}", redactor.held.len());
    }
}

#[test]
fn characters_of_possible_web_tokens_are_scanned_once() {
    let text = "eyJ".repeat(100_000);
    let mut whole = Redactor::default();
    let mut clean = whole.push(&text);
    assert!(whole.run.steps <= text.len(), "{}", whole.run.steps);
    clean.push_str(&whole.finish());
    assert_eq!(clean, text);
    // The same in pieces.
    let mut pieces = Redactor::default();
    for piece in text.as_bytes().chunks(100) {
        pieces.push(std::str::from_utf8(piece).unwrap());
    }
    assert!(pieces.run.steps <= text.len(), "{}", pieces.run.steps);
}

#[test]
fn a_web_token_after_long_similar_text_is_found() {
    let much = "eyJ".repeat(5000);
    let token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc";
    let clean = redacted(&format!("{much} {token}"));
    assert_eq!(clean, format!("{much} [redacted web token]"));
    // Without separators, the first one that is short enough.
    let clean = redacted(&format!("{much}.{token}"));
    assert!(clean.ends_with("eyJ[redacted web token].abc"), "{clean}");
    assert_eq!(
        pushed(format!("{much}.{token}").split_inclusive('J')),
        clean
    );
}
