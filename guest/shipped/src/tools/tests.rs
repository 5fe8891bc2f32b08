//! Names of tools, and the keys of parked turns.

use super::*;

#[test]
fn names_that_codex_accepts_are_unchanged() {
    for name in ["f", "get_weather", "a-B_9", &"x".repeat(64)] {
        assert_eq!(upstream_name(name), name);
    }
}

#[test]
fn other_names_are_replaced_and_stay_distinct() {
    let long = "x".repeat(65);
    let longer = "x".repeat(66);
    let reserved = ["exec_command", "mcp", "mcp__a", "request_user_input"];
    let shaped = [
        "",
        "a.b",
        "a/b",
        "é",
        "mcp__a.b",
        "x_mcp__a.b",
        &long,
        &longer,
    ];
    let others = [&reserved[..], &shaped].concat();
    let mut upstream: Vec<String> = others
        .iter()
        .map(|name| upstream_name(name).into_owned())
        .collect();
    for name in &upstream {
        assert!(
            name.len() <= 64 && upstream_name(name) == name.as_str(),
            "{name}"
        );
        assert!(!is_reserved(name), "{name}");
    }
    upstream.sort();
    upstream.dedup();
    assert_eq!(upstream.len(), others.len());
}

#[test]
fn the_digest_of_a_text_does_not_depend_on_its_pieces() {
    for pieces in [&["ab", "c"][..], &["a", "", "bc"], &["abc"]] {
        let mut digest = TextDigest::default();
        for piece in pieces {
            digest.update(piece);
        }
        assert_eq!(digest.finish(), text_digest("abc"));
    }
    assert_eq!(TextDigest::default().finish(), text_digest(""));
    assert_ne!(text_digest("abc"), text_digest("ab"));
}

#[test]
fn keys_of_different_conversations_differ() {
    let call = |id: &'static str, arguments: &'static str| FunctionCall {
        id: id.into(),
        name: "f".into(),
        arguments: arguments.into(),
    };
    let own = key("c", "t", &[call("1", r#"{"a":1,"b":2}"#)]);
    assert_eq!(own, key("c", "t", &[call("1", r#"{ "b": 2, "a": 1 }"#)]));
    for other in [
        key("d", "t", &[call("1", r#"{"a":1,"b":2}"#)]),
        key("c", "u", &[call("1", r#"{"a":1,"b":2}"#)]),
        key("c", "t", &[call("2", r#"{"a":1,"b":2}"#)]),
        key("c", "t", &[call("1", r#"{"a":1,"b":3}"#)]),
        key("ct", "", &[call("1", r#"{"a":1,"b":2}"#)]),
        key("c", "t", &[]),
    ] {
        assert_ne!(own, other);
    }
}
#[test]
fn equivalent_arguments_are_normalized_alike() {
    assert_eq!(
        ArgumentNormalizer::default().normalize("{ \"b\": 2,\n\"a\": \"\\u0061\" }"),
        r#"{"a":"a","b":2}"#
    );
    let long = format!("[{}1]", " ".repeat(NORMALIZED_AT_MOST));
    for stays in ["", "{", "not JSON ", "[1e999]", &long] {
        assert_eq!(ArgumentNormalizer::default().normalize(stays), stays);
    }
}

#[test]
fn whole_numbers_are_written_as_in_javascript() {
    for (python, javascript) in [
        (r#"{"a": 1.0, "b": [1e2, -0.0]}"#, r#"{"a":1,"b":[100,0]}"#),
        ("[1.5,1e300]", "[1.5,1e+300]"),
    ] {
        assert_eq!(
            ArgumentNormalizer::default().normalize(python),
            ArgumentNormalizer::default().normalize(javascript)
        );
    }
    assert_ne!(
        ArgumentNormalizer::default().normalize("1"),
        ArgumentNormalizer::default().normalize("1.5")
    );
}

#[test]
fn normalization_does_not_depend_on_later_arguments() {
    let long = format!("[{} 1.0]", " ".repeat(NORMALIZED_AT_MOST - 20));
    let mut normalizer = ArgumentNormalizer::default();
    let written = [
        normalizer.normalize("1.0").into_owned(),
        normalizer.normalize(&long).into_owned(),
    ];
    assert_eq!(written, ["1", "[1]"]);
    for _ in 0..2 {
        assert_eq!(
            normalizer.normalize("[ 1.0 ,             2.0]"),
            "[ 1.0 ,             2.0]"
        );
    }
    // Nor does a short one fit when a long one did not.
    assert_eq!(normalizer.normalize("1.0"), "1.0");
}
