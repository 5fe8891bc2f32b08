//! Normalizes answers for comparison.

/// Marks that are insignificant at the end of an answer.
const ENDS: &[char] = &[
    '.', ',', ';', ':', '!', '?', '…', '。', '！', '？', '"', '\'', '`', '*', '”', '’', '»', ')',
];

/// Marks that are insignificant at its beginning.
const BEGINNINGS: &[char] = &['"', '\'', '`', '*', '“', '‘', '«', '('];

/// The text in lower case, with one space between words, without surrounding marks. A text of marks alone stays as it
/// is.
pub(crate) fn plain(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let whole = words.join(" ").to_lowercase();
    let bare = whole
        .trim_start_matches(BEGINNINGS)
        .trim_end_matches(ENDS)
        .trim();
    if bare.is_empty() {
        whole
    } else {
        bare.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_capitals_and_marks_at_the_ends_mean_nothing() {
        for text in [
            "Forty two",
            " forty\n\ttwo. ",
            "**Forty  two!**",
            "“FORTY TWO”",
        ] {
            assert_eq!(plain(text), "forty two", "{text}");
        }
    }

    #[test]
    fn all_else_does() {
        for text in ["-5", "5 - 2", "f(x", "a.b", "?!", "no, never"] {
            assert_eq!(plain(text), text, "{text}");
        }
    }
}
