//! The items of the model's output as Codex passes them on (`rawResponseItem/completed`, Codex 0.169), as far as they have
//! something that Codex's own notifications lack.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::bindings::airlock::policy::types::Notification;

/// A completed item of the model's output.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ModelItem {
    Reasoning {
        /// The model's id.
        id: Option<String>,
        encrypted_content: Option<String>,
    },
    Message {
        /// The model's id.
        id: Option<String>,
        /// Annotations of the text, each a JSON object on one line.
        annotations: Vec<String>,
    },
}

#[derive(Deserialize)]
struct ModelItemParams<'a> {
    #[serde(borrow)]
    item: ModelItemObject<'a>,
}

#[derive(Deserialize)]
struct ModelItemObject<'a> {
    r#type: String,
    id: Option<String>,
    role: Option<String>,
    encrypted_content: Option<String>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawContentPart<'a> {
    #[serde(borrow, default)]
    annotations: Vec<&'a RawValue>,
}

impl ModelItem {
    /// The item of a notification. None if it has no such item, or another.
    pub(super) fn of(notification: &Notification) -> Option<Self> {
        if notification.method != "rawResponseItem/completed" {
            return None;
        }
        let ModelItemParams { item } = serde_json::from_str(&notification.params).ok()?;
        match (item.r#type.as_str(), item.role.as_deref()) {
            ("reasoning", _) => Some(Self::Reasoning {
                id: item.id,
                encrypted_content: item.encrypted_content,
            }),
            ("message", Some("assistant")) => Some(Self::Message {
                id: item.id,
                annotations: annotations(item.content),
            }),
            _ => None,
        }
    }
}

/// The annotations of all parts of a message's content.
fn annotations(content: Option<&RawValue>) -> Vec<String> {
    let parts: Vec<RawContentPart<'_>> = content
        .and_then(|content| serde_json::from_str(content.get()).ok())
        .unwrap_or_default();
    let annotations = parts.iter().flat_map(|part| &part.annotations);
    annotations
        .filter_map(|annotation| crate::json::object_to_line(annotation.get()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(item: &str) -> Option<ModelItem> {
        ModelItem::of(&Notification {
            method: "rawResponseItem/completed".to_owned(),
            params: format!(r#"{{"threadId":"t","turnId":"u","item":{item}}}"#),
        })
    }

    #[test]
    fn items_have_what_notifications_lack() {
        let reasoning = r#"{"type":"reasoning","id":"rs_1","summary":[],"content":null,"encrypted_content":"gA=="}"#;
        assert_eq!(
            item(reasoning),
            Some(ModelItem::Reasoning {
                id: Some("rs_1".to_owned()),
                encrypted_content: Some("gA==".to_owned()),
            })
        );
        let message = r#"{"type":"message","role":"assistant","content":[{"type":"output_text","text":"a","annotations":[{"type": "url_citation","url":"u"}, 7]},{"type":"output_text","text":"b"}]}"#;
        assert_eq!(
            item(message),
            Some(ModelItem::Message {
                id: None,
                annotations: vec![r#"{"type":"url_citation","url":"u"}"#.to_owned()],
            })
        );
    }

    #[test]
    fn other_items_are_ignored() {
        for other in [
            r#"{"type":"message","role":"user","content":[]}"#,
            r#"{"type":"function_call","name":"f","arguments":"{}","call_id":"1"}"#,
            r#"{"id":"rs_1"}"#,
            "7",
        ] {
            assert_eq!(item(other), None, "{other}");
        }
        assert_eq!(
            ModelItem::of(&Notification {
                method: "item/completed".to_owned(),
                params: r#"{"item":{"type":"reasoning"}}"#.to_owned(),
            }),
            None
        );
        let odd = item(r#"{"type":"message","role":"assistant","content":"text"}"#);
        assert_eq!(
            odd,
            Some(ModelItem::Message {
                id: None,
                annotations: Vec::new(),
            })
        );
    }
}
