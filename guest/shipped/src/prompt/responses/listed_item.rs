//! Stored items in the form in which OpenAI's API returns them: complete objects, however short the client wrote them.

use serde_json::value::RawValue;

use super::item_members::ItemMembers;
use crate::bindings::airlock::policy::types::StoredItem;
use crate::json;

/// The lists in which OpenAI's API returns items. Their schemas differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ItemList {
    /// The items of a conversation.
    Conversation,
    /// The input items of a response.
    Input,
}

/// A member of an item: its name, and its value as JSON where the client gave none.
type Member = (&'static str, Option<&'static str>);

const STATUS: Member = ("status", Some(r#""completed""#));

/// Appends a stored item as an element of this list. It has the identifier by which it is stored.
pub(super) fn push_listed(out: &mut String, item: &StoredItem, list: ItemList) {
    let members = ItemMembers::of(&item.text);
    let kind = members.text("type").unwrap_or("message".into());
    out.push_str(r#"{"id":"#);
    json::push_text(out, &item.id);
    out.push_str(r#","type":"#);
    json::push_text(out, &kind);
    let has_status = list == ItemList::Input;
    let of_call = [("call_id", None), ("namespace", None), ("name", None)];
    let mut push = |rows: &[Member]| push_members(out, &members, rows);
    match kind.as_ref() {
        "message" => {
            push(&[STATUS, ("role", None)]);
            push_content(out, &members, true);
            push_members(out, &members, &[("phase", None)]);
        }
        "function_call" => {
            push(&[STATUS]);
            push(&of_call);
            push(&[("arguments", None)]);
        }
        "custom_tool_call" => {
            push(if has_status { &[STATUS] } else { &[] });
            push(&of_call);
            push(&[("input", None)]);
        }
        "function_call_output" => push(&[STATUS, ("call_id", None), ("output", None)]),
        "custom_tool_call_output" => {
            push(if has_status { &[STATUS] } else { &[] });
            push(&[("call_id", None), ("output", None)]);
        }
        "reasoning" => push(&[
            ("summary", Some("[]")),
            ("content", None),
            ("encrypted_content", None),
        ]),
        "web_search_call" => push(&[STATUS, ("action", Some(r#"{"type":"search","query":""}"#))]),
        "compaction" => push(&[("encrypted_content", None), ("created_by", None)]),
        "additional_tools" => push(&[("role", Some(r#""developer""#)), ("tools", Some("[]"))]),
        _ => {
            for (name, value) in members
                .iter()
                .filter(|(name, _)| !matches!(*name, "id" | "type"))
            {
                push_member(out, name, value);
            }
        }
    }
    out.push('}');
}

fn push_members(out: &mut String, members: &ItemMembers<'_>, rows: &[Member]) {
    for (name, default) in rows {
        let value = members.get(name).filter(|value| is_valid(name, value));
        if let Some(value) = value.or(*default) {
            push_member(out, name, value);
        }
    }
}

/// Whether a member has one of its values. Those of the members that are listed here were not checked before.
fn is_valid(name: &str, value: &str) -> bool {
    let values: &[&str] = match name {
        "status" => &[
            "in_progress",
            "completed",
            "incomplete",
            "searching",
            "failed",
        ],
        "phase" => &["commentary", "final_answer"],
        _ => return true,
    };
    let value = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'));
    value.is_some_and(|value| values.contains(&value))
}

fn push_member(out: &mut String, name: &str, value: &str) {
    out.push(',');
    json::push_text(out, name);
    out.push(':');
    json::push_json(out, value);
}

/// Appends a message of the user without its images. False, and nothing is appended, if the item is none or has nothing else.
pub(super) fn push_user_message(out: &mut String, item: &StoredItem) -> bool {
    let members = ItemMembers::of(&item.text);
    let is_message = members.text("type").is_none_or(|kind| kind == "message");
    if !is_message || members.text("role").is_none_or(|role| role != "user") {
        return false;
    }
    let start = out.len();
    out.push_str(r#"{"id":"#);
    json::push_text(out, &item.id);
    out.push_str(r#","type":"message""#);
    push_members(out, &members, &[STATUS, ("role", None)]);
    let has_content = push_content(out, &members, false);
    out.push('}');
    if !has_content {
        out.truncate(start);
    }
    has_content
}

/// Appends the content of a message, which is an array of parts even if the client wrote a string. False if it is empty.
fn push_content(out: &mut String, members: &ItemMembers<'_>, with_images: bool) -> bool {
    let is_answer = members.text("role").is_some_and(|role| role == "assistant");
    let kind = if is_answer {
        "output_text"
    } else {
        "input_text"
    };
    out.push_str(r#","content":["#);
    let start = out.len();
    let content = members.get("content").unwrap_or("[]");
    match serde_json::from_str::<Vec<&RawValue>>(content) {
        Ok(parts) => {
            for part in parts {
                let members = ItemMembers::of(part.get());
                if !with_images
                    && members
                        .text("type")
                        .is_some_and(|kind| kind == "input_image")
                {
                    continue;
                }
                if out.len() > start {
                    out.push(',');
                }
                push_part(out, part.get(), &members, kind);
            }
        }
        Err(_) => push_text_part(out, kind, content, &ItemMembers::default()),
    }
    let has_content = out.len() > start;
    out.push(']');
    has_content
}

/// Appends a part. A text has the type of the message's own texts.
fn push_part(out: &mut String, part: &str, members: &ItemMembers<'_>, text_kind: &str) {
    match members.text("type").as_deref() {
        Some("input_text" | "output_text") => {
            let text = members.get("text").unwrap_or(r#""""#);
            push_text_part(out, text_kind, text, members);
        }
        Some("refusal") => {
            out.push_str(r#"{"type":"refusal""#);
            push_members(out, members, &[("refusal", None)]);
            out.push('}');
        }
        Some("input_image") => {
            out.push_str(r#"{"type":"input_image""#);
            push_members(
                out,
                members,
                &[("detail", Some(r#""auto""#)), ("image_url", None)],
            );
            out.push('}');
        }
        _ => json::push_json(out, part),
    }
}

/// Appends a part of this type. `text` is a string as JSON.
fn push_text_part(out: &mut String, kind: &str, text: &str, members: &ItemMembers<'_>) {
    out.push_str(r#"{"type":"#);
    json::push_text(out, kind);
    push_member(out, "text", text);
    if kind == "output_text" {
        let rows = [("annotations", Some("[]")), ("logprobs", Some("[]"))];
        push_members(out, members, &rows);
    }
    out.push('}');
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn listed(text: &str, list: ItemList) -> String {
        let mut out = String::new();
        let item = StoredItem {
            id: "x".to_owned(),
            text: text.to_owned(),
        };
        push_listed(&mut out, &item, list);
        out
    }

    #[test]
    fn a_short_item_is_completed() {
        for (text, expected) in [
            (
                r#"{"role":"user","content":"a","made_up":[1]}"#,
                r#"{"id":"x","type":"message","status":"completed","role":"user","content":[{"type":"input_text","text":"a"}]}"#,
            ),
            (
                r#"{"id":"y","type":"message","role":"assistant","phase":"final_answer","status":"incomplete","content":[{"type":"input_text","text":"a"},{"type":"refusal","refusal":"b","x":1}]}"#,
                r#"{"id":"x","type":"message","status":"incomplete","role":"assistant","content":[{"type":"output_text","text":"a","annotations":[],"logprobs":[]},{"type":"refusal","refusal":"b"}],"phase":"final_answer"}"#,
            ),
            (
                r#"{"role":"assistant","content":null,"phase":"x","status":[1]}"#,
                r#"{"id":"x","type":"message","status":"completed","role":"assistant","content":[]}"#,
            ),
            (
                r#"{"role":"user","content":[{"type":"output_text","text":"a","annotations":[]},{"type":"input_image","image_url":"data:,"}]}"#,
                r#"{"id":"x","type":"message","status":"completed","role":"user","content":[{"type":"input_text","text":"a"},{"type":"input_image","detail":"auto","image_url":"data:,"}]}"#,
            ),
            (
                r#"{"type":"function_call","call_id":"c","namespace":"n","name":"f","arguments":"{}","async":true}"#,
                r#"{"id":"x","type":"function_call","status":"completed","call_id":"c","namespace":"n","name":"f","arguments":"{}"}"#,
            ),
            (
                r#"{"type":"function_call_output","call_id":"c","output":[{"type":"input_text","text":"a"}]}"#,
                r#"{"id":"x","type":"function_call_output","status":"completed","call_id":"c","output":[{"type":"input_text","text":"a"}]}"#,
            ),
            (
                r#"{"type":"reasoning","summary":[],"encrypted_content":"e","content":null}"#,
                r#"{"id":"x","type":"reasoning","summary":[],"encrypted_content":"e"}"#,
            ),
            (
                r#"{"type":"web_search_call"}"#,
                r#"{"id":"x","type":"web_search_call","status":"completed","action":{"type":"search","query":""}}"#,
            ),
            (
                r#"{"type":"compaction","encrypted_content":"e"}"#,
                r#"{"id":"x","type":"compaction","encrypted_content":"e"}"#,
            ),
            (
                r#"{"type":"additional_tools","tools":[]}"#,
                r#"{"id":"x","type":"additional_tools","role":"developer","tools":[]}"#,
            ),
            (
                r#"{"type":"new","id":"y","a":[1,2]}"#,
                r#"{"id":"x","type":"new","a":[1,2]}"#,
            ),
        ] {
            for list in [ItemList::Conversation, ItemList::Input] {
                assert_eq!(listed(text, list), expected, "{list:?}");
            }
        }
    }

    #[test]
    fn custom_calls_have_a_status_only_where_the_schema_has_one() {
        for (text, [start, end]) in [
            (
                r#"{"type":"custom_tool_call","call_id":"c","name":"f","input":"i"}"#,
                [
                    r#"{"id":"x","type":"custom_tool_call""#,
                    r#","call_id":"c","name":"f","input":"i"}"#,
                ],
            ),
            (
                r#"{"type":"custom_tool_call_output","call_id":"c","output":"o"}"#,
                [
                    r#"{"id":"x","type":"custom_tool_call_output""#,
                    r#","call_id":"c","output":"o"}"#,
                ],
            ),
        ] {
            assert_eq!(listed(text, ItemList::Conversation), [start, end].concat());
            let with_status = [start, r#","status":"completed""#, end].concat();
            assert_eq!(listed(text, ItemList::Input), with_status);
        }
    }

    #[test]
    fn what_is_no_object_is_a_message_without_content() {
        for text in ["", "7", "[]", "{\"a\""] {
            assert_eq!(
                listed(text, ItemList::Input),
                r#"{"id":"x","type":"message","status":"completed","content":[]}"#
            );
        }
    }
}
