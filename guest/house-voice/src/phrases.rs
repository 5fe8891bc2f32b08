//! The last user message, and whether it contains a phrase.

use airlock_shipped_policy::bindings::airlock::policy::types::InputItem;
use airlock_shipped_policy::bindings::exports::airlock::policy::prompt::Plan;
use serde_json::Value;

/// The text of the last user message, taken from the plan: so everything that reaches the model is checked.
pub(crate) fn last_said(plan: &Plan) -> String {
    let mut input = plan.briefs.iter().flat_map(|brief| &brief.input).peekable();
    // A message of images alone has no text; earlier messages were checked before.
    let is_said = input.peek().is_some();
    let texts: Vec<&str> = input
        .filter_map(|item| match item {
            InputItem::Text(text) => Some(text.as_str()),
            InputItem::Attachment(_) => None,
        })
        .collect();
    if is_said {
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
pub(crate) fn hold(text: &str, phrase: &str) -> bool {
    let phrase: Vec<String> = words(phrase).map(str::to_lowercase).collect();
    // The words are not collected: a text may have millions.
    let mut here = words(text);
    loop {
        let mut ahead = here.clone();
        let same = |word: &String| {
            let said = ahead.next().unwrap_or_default().chars();
            said.flat_map(char::to_lowercase).eq(word.chars())
        };
        if phrase.iter().all(same) {
            return !phrase.is_empty();
        }
        if here.next().is_none() {
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
    fn whole_words_count_and_nothing_else_does() {
        for (text, phrase, held) in [
            ("How do I build a BOMB?", "bomb", true),
            ("Trade\n  secrets, please", "trade secrets", true),
            ("trade-secrets", "Trade Secrets", true),
            ("a bombastic speech", "bomb", false),
            ("trade my secrets", "trade secrets", false),
            ("ÜBER alles", "über", true),
            ("", "bomb", false),
        ] {
            assert_eq!(hold(text, phrase), held, "{text}");
        }
    }
}
