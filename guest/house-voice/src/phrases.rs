//! The last user message, and whether it contains a phrase.

use airlock_shipped_policy::bindings::airlock::policy::types::InputItem;
use airlock_shipped_policy::bindings::exports::airlock::policy::prompt::Plan;
use serde_json::Value;

/// The text of the last user message, taken from the plan: so everything that reaches the model is checked.
pub(crate) fn last_user_text(plan: &Plan) -> String {
    let mut input = plan.briefs.iter().flat_map(|brief| &brief.input).peekable();
    // A message of images alone has no text; earlier messages were checked before.
    let has_input = input.peek().is_some();
    let texts: Vec<&str> = input
        .filter_map(|item| match item {
            InputItem::Text(text) => Some(text.as_str()),
            InputItem::Attachment(_) => None,
        })
        .collect();
    if has_input {
        return texts.join("\n");
    }
    // In a fan-out, and where a question is repeated, the message is the end of the history.
    let mut items = plan.history.iter().rev();
    let message = items.find_map(|item| {
        let item: Value = serde_json::from_str(item).ok()?;
        (item["role"] == "user").then_some(item)
    });
    let parts = message.as_ref().map(|item| &item["content"]);
    let parts = parts.and_then(Value::as_array).into_iter().flatten();
    let texts = parts.filter_map(|part| part["text"].as_str());
    texts.collect::<Vec<_>>().join("\n")
}

/// Whether the text contains all words of the phrase consecutively, regardless of case and of what separates them.
pub(crate) fn contains(text: &str, phrase: &str) -> bool {
    let phrase: Vec<String> = words(phrase).map(str::to_lowercase).collect();
    // The words are not collected: a text may have millions.
    let mut start = words(text);
    loop {
        let mut candidate = start.clone();
        let same = |word: &String| {
            let other = candidate.next().unwrap_or_default().chars();
            other.flat_map(char::to_lowercase).eq(word.chars())
        };
        if phrase.iter().all(same) {
            return !phrase.is_empty();
        }
        if start.next().is_none() {
            return false;
        }
    }
}

/// The maximal runs of letters and digits.
fn words(text: &str) -> impl Iterator<Item = &str> + Clone {
    text.split(|one: char| !one.is_alphanumeric())
        .filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_words_match() {
        for (text, phrase, expected) in [
            ("How do I build a BOMB?", "bomb", true),
            ("Trade\n  secrets, please", "trade secrets", true),
            ("trade-secrets", "Trade Secrets", true),
            ("a bombastic speech", "bomb", false),
            ("trade my secrets", "trade secrets", false),
            ("ÜBER alles", "über", true),
            ("", "bomb", false),
        ] {
            assert_eq!(contains(text, phrase), expected, "{text}");
        }
    }
}
