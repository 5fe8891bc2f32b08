//! Normalizes short answers in prose: removes insignificant whitespace and surrounding marks. Capitals stay.
//!
//! Unicode is not normalized: `é` as one character and as two are different.

use std::borrow::Cow;

/// Emphasis and quotation marks whose opening and closing marks are equal.
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
/// Marks that are insignificant at the end of an answer.
const ENDS: &[char] = &[
    '.', ',', ';', ':', '…', '。', '，', '；', '：', '۔', '!', '?', '！', '？', '؟',
];
/// Those that are operators too: the factorial of a number is not the number.
const OPERATORS: &[char] = &['!', '?', '！', '？', '؟'];
/// Marks that are insignificant at the beginning. There are no others: -5 and .5 are not 5.
const BEGINNINGS: &[char] = &['¿', '¡'];
/// Closing marks that may stand between a word and a mark at the end.
const CLOSERS: &[char] = &[
    '"', '\'', '`', '*', '_', '”', '“', '’', '»', '«', '」', '』',
];

/// The normalized text. A text of marks alone stays as it is.
pub(super) fn normalize(text: &str) -> String {
    let visible: String = text.chars().filter(|one| !is_invisible(*one)).collect();
    let words: Vec<&str> = visible.split_whitespace().collect();
    let joined = words.join(" ");
    let mut stripped = joined.as_str();
    loop {
        let before = stripped;
        stripped = strip_end(stripped.trim_start_matches(BEGINNINGS)).trim();
        stripped = strip_pair(stripped).unwrap_or(stripped).trim();
        if stripped == before {
            break;
        }
    }
    if stripped.is_empty() {
        joined
    } else {
        stripped.to_owned()
    }
}

/// Lowercases capitals that are insignificant: one that begins a word of small letters, unless the text contains
/// numbers, where the word may be a unit: 5 MW is not 5 mW.
pub(super) fn normalize_capitals(text: &str) -> String {
    if text.contains(char::is_numeric) {
        return text.to_owned();
    }
    let words: Vec<Cow<'_, str>> = text
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

/// Zero-width characters.
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{200B}'..='\u{200F}' | '\u{2060}' | '\u{FEFF}')
}

/// The text inside a pair of marks that encloses all of it.
fn strip_pair(text: &str) -> Option<&str> {
    let first = text.chars().next()?;
    let mut pairs = PAIRS.iter().filter(|(open, _)| *open == first);
    if SAME_ENDS.contains(&first) {
        let inner = text.strip_prefix(first)?.strip_suffix(first)?;
        // `__init__` is a name.
        let name = first == '_' && (inner.starts_with('_') || inner.ends_with('_'));
        return (!name).then_some(inner);
    }
    pairs.find_map(|(open, close)| {
        let inner = text.strip_prefix(*open)?.strip_suffix(*close)?;
        closes_last(inner, *open, *close).then_some(inner)
    })
}

/// Whether an opening mark before `inner` is closed only after it. In (a)(b) it is not.
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

/// Removes insignificant marks at the end.
fn strip_end(mut text: &str) -> &str {
    while let Some(last) = text.chars().next_back().filter(|last| ENDS.contains(last)) {
        let rest = &text[..text.len() - last.len_utf8()];
        if OPERATORS.contains(&last) && !ends_in_word(rest, !last.is_ascii()) {
            break;
        }
        text = rest;
    }
    text
}

/// Whether a mark after this text is punctuation and not an operator: at least two letters precede it, and no bracket
/// precedes them. Before a mark of another script (`wide`), one letter of that script suffices.
fn ends_in_word(text: &str, wide: bool) -> bool {
    let text = text.trim_end_matches(|one| ENDS.contains(&one) || CLOSERS.contains(&one));
    let before = text.trim_end_matches(char::is_alphabetic);
    let letters = &text[before.len()..];
    let script = wide && !letters.is_ascii();
    (letters.chars().nth(1).is_some() || script) && !before.ends_with([')', '）'])
}

#[cfg(test)]
mod tests;
