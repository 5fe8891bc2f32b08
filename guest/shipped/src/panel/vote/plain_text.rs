//! Short answers in words, without what means nothing: spaces, and marks around the whole. Capitals stay.
//!
//! Unicode normalisation (NFC, NFD) is out of scope: `é` as one character and as two are different words.

use std::borrow::Cow;

/// Emphasis and quotation marks, whose two ends are the same.
const SAME_ENDS: &[char] = &['"', '\'', '`', '*', '_'];
/// Quotation marks and brackets.
const PAIRS: &[(char, char)] = &[
    ('“', '”'),
    ('„', '“'),
    ('‘', '’'),
    ('«', '»'),
    ('»', '«'),
    ('「', '」'),
    ('『', '』'),
    ('(', ')'),
    ('（', '）'),
];
/// What may end an answer and means nothing there.
const ENDS: &[char] = &[
    '.', ',', ';', ':', '…', '。', '，', '；', '：', '۔', '!', '?', '！', '？', '؟',
];
/// Those of them that are operators too: the factorial of a number is not the number.
const OPERATORS: &[char] = &['!', '?', '！', '？', '؟'];
/// What announces a question or an exclamation. Nothing else is taken from a beginning: -5 and .5 are not 5.
const BEGINNINGS: &[char] = &['¿', '¡'];
/// What may close words that an operator's mark follows, and is looked past.
const CLOSERS: &[char] = &[
    '"', '\'', '`', '*', '_', '”', '“', '’', '»', '«', '」', '』',
];

/// What answers of one meaning have in common. An answer of nothing but marks is its marks.
pub(super) fn plain(text: &str) -> String {
    let seen: String = text.chars().filter(|one| !is_invisible(*one)).collect();
    let words: Vec<&str> = seen.split_whitespace().collect();
    let whole = words.join(" ");
    let mut bare = whole.as_str();
    loop {
        let before = bare;
        bare = without_end(bare.trim_start_matches(BEGINNINGS)).trim();
        bare = inside(bare).unwrap_or(bare).trim();
        if bare == before {
            break;
        }
    }
    if bare.is_empty() {
        whole
    } else {
        bare.to_owned()
    }
}

/// The words with those capitals alone that may mean something: 5 MW is not 5 mW. One that begins a word of small letters
/// does not, but in an answer with numbers, where the word may be a unit.
pub(super) fn spelling(words: &str) -> String {
    if words.contains(char::is_numeric) {
        return words.to_owned();
    }
    let words: Vec<Cow<'_, str>> = words
        .split(' ')
        .map(|word| {
            let mut letters = word.chars().filter(|one| one.is_alphabetic());
            let begins = letters.next().is_some_and(char::is_uppercase);
            let mut rest = letters.peekable();
            if begins && rest.peek().is_some() && !rest.any(char::is_uppercase) {
                Cow::Owned(word.to_lowercase())
            } else {
                Cow::Borrowed(word)
            }
        })
        .collect();
    words.join(" ")
}

/// Characters without width, which no reader sees.
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{200B}'..='\u{200F}' | '\u{2060}' | '\u{FEFF}')
}

/// What one pair of marks stands around, if it does.
fn inside(words: &str) -> Option<&str> {
    let first = words.chars().next()?;
    let mut pairs = PAIRS.iter().filter(|(open, _)| *open == first);
    if SAME_ENDS.contains(&first) {
        let inner = words.strip_prefix(first)?.strip_suffix(first)?;
        // `__init__` is a name.
        let name = first == '_' && (inner.starts_with('_') || inner.ends_with('_'));
        return (!name).then_some(inner);
    }
    pairs.find_map(|(open, close)| {
        let inner = words.strip_prefix(*open)?.strip_suffix(*close)?;
        closes_last(inner, *open, *close).then_some(inner)
    })
}

/// Whether an opening mark before `inner` is closed only after it. That of (a)(b) is not.
fn closes_last(inner: &str, open: char, close: char) -> bool {
    let mut depth: usize = 0;
    inner.chars().all(|character| {
        if character == open {
            depth += 1;
        } else if character == close {
            let within = depth > 0;
            depth = depth.saturating_sub(1);
            return within;
        }
        true
    })
}

/// The words without what ends them.
fn without_end(mut words: &str) -> &str {
    while let Some(last) = words.chars().next_back().filter(|last| ENDS.contains(last)) {
        let rest = &words[..words.len() - last.len_utf8()];
        if OPERATORS.contains(&last) && !ends_in_a_word(rest, !last.is_ascii()) {
            break;
        }
        words = rest;
    }
    words
}

/// Whether a mark after this text is punctuation and no operator: at least two letters are before it, and no bracket
/// before them. Before a mark in the width of its script (`wide`), one letter that is not Latin is a word as well.
fn ends_in_a_word(text: &str, wide: bool) -> bool {
    let text = text.trim_end_matches(|one| ENDS.contains(&one) || CLOSERS.contains(&one));
    let before = text.trim_end_matches(char::is_alphabetic);
    let letters = &text[before.len()..];
    let script = wide && !letters.is_ascii();
    (letters.chars().nth(1).is_some() || script) && !before.ends_with([')', '）'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_that_mean_the_same_are_equal() {
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
                plain(one).to_lowercase(),
                plain(other).to_lowercase(),
                "{one} {other}"
            );
        }
    }

    #[test]
    fn answers_that_mean_something_else_are_not() {
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
                plain(one).to_lowercase(),
                plain(other).to_lowercase(),
                "{one} {other}"
            );
        }
    }

    #[test]
    fn capitals_that_may_mean_something_stay() {
        for (words, spelt) in [
            ("Zum Löwen", "zum löwen"),
            ("MW", "MW"),
            ("mW", "mW"),
            ("5 Pa", "5 Pa"),
            ("X", "X"),
            ("“Yes” and NO", "“yes” and NO"),
        ] {
            assert_eq!(spelling(words), spelt);
        }
    }
}
