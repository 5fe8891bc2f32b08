//! Texts of votes, compared.

use super::*;

#[test]
fn equivalent_answers_are_normalized_alike() {
    for (one, other) in [
        ("Paris", " paris.\n"),
        ("**Paris**", "\"Paris!\""),
        ("**Paris.**", "Paris"),
        ("**Paris**!", "Paris?!"),
        ("„Zum  Löwen“", "zum\nlöwen"),
        ("`x = 1`", "x = 1"),
        ("_“Yes”_.", "yes"),
        ("...", "..."),
        ("¡Hola!", "hola"),
        ("¿Qué?", "qué"),
        ("「東京」。", "東京"),
        ("『東京』", "東京！"),
        ("是！", "是"),
        ("（东京）", "东京？"),
        ("对，", "对；"),
        ("نعم؟", "نعم"),
        ("ہاں۔", "ہاں"),
        ("(B)", "b"),
        ("((a) (b))", "(a) (b)"),
        ("Par\u{200B}is\u{FEFF}", "\u{200E}paris\u{2060}"),
        ("`__init__`", "__init__"),
    ] {
        assert_eq!(
            normalize(one).to_lowercase(),
            normalize(other).to_lowercase(),
            "{one} {other}"
        );
    }
}

#[test]
fn different_answers_are_normalized_differently() {
    for (one, other) in [
        ("5", "-5"),
        ("5", ".5"),
        ("5", "5%"),
        ("5", "5!"),
        ("5", "5！"),
        ("n", "n!"),
        ("n", "n!!"),
        ("n", "n！"),
        ("a", "a?"),
        ("(n-1)", "(n-1)!"),
        ("(n)ab", "(n)ab!"),
        ("init", "__init__"),
        ("x", "__x__"),
        ("C", "C++"),
        ("x", "!x"),
        ("p", "*p"),
        ("?", "!"),
        ("a)(b", "(a)(b)"),
        ("Paris", "Paris or London"),
    ] {
        assert_ne!(
            normalize(one).to_lowercase(),
            normalize(other).to_lowercase(),
            "{one} {other}"
        );
    }
}

#[test]
fn significant_capitals_are_preserved() {
    for (text, expected) in [
        ("Zum Löwen", "zum löwen"),
        ("MW", "MW"),
        ("mW", "mW"),
        ("5 Pa", "5 Pa"),
        ("X", "X"),
        ("“Yes” and NO", "“yes” and NO"),
    ] {
        assert_eq!(normalize_capitals(text), expected);
    }
}
