//! Normalizes answers for comparison.

/// Marks that are insignificant at the end of an answer.
const ENDS: &[char] = &[
    '.', ',', ';', ':', '!', '?', '…', '。', '！', '？', '"', '\'', '`', '*', '”', '’', '»', ')',
];

/// Marks that are insignificant at its beginning.
const BEGINNINGS: &[char] = &['"', '\'', '`', '*', '“', '‘', '«', '('];

/// The text in lower case, with one space between words, without surrounding marks. A text of marks alone stays as it
/// is.
pub(crate) fn normalize(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let joined = words.join(" ").to_lowercase();
    let stripped = joined
        .trim_start_matches(BEGINNINGS)
        .trim_end_matches(ENDS)
        .trim();
    if stripped.is_empty() {
        joined
    } else {
        stripped.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spacing_case_and_marks_at_the_ends_are_ignored() {
        for text in [
            "Forty two",
            " forty\n\ttwo. ",
            "**Forty  two!**",
            "“FORTY TWO”",
        ] {
            assert_eq!(normalize(text), "forty two", "{text}");
        }
    }

    #[test]
    fn other_differences_count() {
        for text in ["-5", "5 - 2", "f(x", "a.b", "?!", "no, never"] {
            assert_eq!(normalize(text), text, "{text}");
        }
    }
}
