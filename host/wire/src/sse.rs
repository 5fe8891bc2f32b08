//! Frames as server-sent events.

/// Bytes that an event has besides its data, and besides its name where it has one.
const AROUND: usize = "data: \n\n".len();
const AROUND_NAME: usize = "event: \n".len();

/// All events in one piece, so that they are one write and one packet: the name of each, where it has one, and its data.
///
/// Neither name nor data may hold a line's end.
pub fn events<'a>(events: impl Iterator<Item = (Option<&'a str>, &'a str)> + Clone) -> String {
    let size = events
        .clone()
        .map(|(name, data)| name.map_or(0, |name| name.len() + AROUND_NAME) + data.len() + AROUND)
        .sum();
    let mut text = String::with_capacity(size);
    for (name, data) in events {
        if let Some(name) = name {
            for part in ["event: ", name, "\n"] {
                text.push_str(part);
            }
        }
        for part in ["data: ", data, "\n\n"] {
            text.push_str(part);
        }
    }
    text
}

/// A piece of a text as JSON between what stands around it: a string with its quotes, escaped as RFC 8785 has it. None never
/// comes: a text can always be written to memory.
pub fn piece(before: &str, text: &str, after: &str) -> Option<String> {
    // Most texts have little to escape.
    let size = before.len() + text.len() + text.len() / 8 + 8 + after.len();
    let mut data = Vec::with_capacity(size);
    data.extend_from_slice(before.as_bytes());
    serde_json::to_writer(&mut data, text).ok()?;
    data.extend_from_slice(after.as_bytes());
    String::from_utf8(data).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_a_string_between_what_stands_around_it() {
        let text = "c\"\\/\n\r\t\u{8}\u{c}\u{0}\u{1f}\u{7f}é🦀\u{2028}";
        let told = r#"{"t":"c\"\\/\n\r\t\b\f\u0000\u001f"#.to_owned() + "\u{7f}é🦀\u{2028}\"}";
        assert_eq!(piece("{\"t\":", text, "}"), Some(told));
    }

    #[test]
    fn a_batch_is_one_piece_of_complete_events() {
        let batch = [(None, "{\"a\":1}"), (Some("done"), "{}"), (None, "[DONE]")];
        let text = events(batch.into_iter());
        assert_eq!(
            text,
            "data: {\"a\":1}\n\nevent: done\ndata: {}\n\ndata: [DONE]\n\n"
        );
        assert_eq!(events([].into_iter()), "");
    }

    #[test]
    fn a_piece_is_never_copied_as_it_grows() {
        let batch = [(Some("a"), "b"); 16];
        let text = events(batch.into_iter());
        assert_eq!(text.capacity(), 16 * (AROUND + AROUND_NAME + 2));
        assert_eq!(text.len(), text.capacity());
    }
}
