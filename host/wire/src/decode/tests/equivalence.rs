//! Lines of any order and shape are decoded as by the `reference` decoder. The exception are arrays in place of objects,
//! which a derived `Deserialize` accepts and Codex never writes.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

use super::*;

/// Decodes a line by both decoders, and returns the content that they agree on.
fn decoded_alike(text: &str) -> String {
    let now = describe(text);
    assert_eq!(now, reference::describe(text), "{text}");
    now
}

/// A JSON object with its members in their order, duplicates included.
#[derive(Clone)]
struct Object(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(object: D) -> Result<Self, D::Error> {
        object.deserialize_map(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Object;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Object, A::Error> {
        let mut all = Vec::new();
        while let Some((name, value)) = members.next_entry::<String, &RawValue>()? {
            all.push((json!(name).to_string(), value.to_string()));
        }
        Ok(Object(all))
    }
}

impl Object {
    /// None: it is something else.
    fn of(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    fn text(&self) -> String {
        let member = |(name, value): &(String, String)| format!("{name}:{value}");
        let members: Vec<_> = self.0.iter().map(member).collect();
        format!("{{{}}}", members.join(","))
    }

    fn with(&self, change: impl FnOnce(&mut Vec<(String, String)>)) -> String {
        let mut changed = self.clone();
        change(&mut changed.0);
        changed.text()
    }
}

/// Replacements for any value: all of them valid JSON, and none a complete item, turn or address.
const ODD: &[&str] = &[
    "null",
    "true",
    "-1",
    "7",
    "1.5",
    "18446744073709551616",
    r#""""#,
    r#""x""#,
    r#""\u00e9\n\"\u0000\ud83d\ude00""#,
    "[]",
    r#"["x"]"#,
    r#"[["x"]]"#,
    "{}",
    r#"{"threadId":1}"#,
    r#"{"id":"x","status":"failed","total":{},"type":"userMessage","message":"m"}"#,
    r#" "agentMessage" "#,
    r#""reasoning""#,
    r#""contextCompaction""#,
    r#""dynamicToolCall""#,
    r#""userMessage""#,
    r#""function_call""#,
    r#""commentary""#,
    r#""final_answer""#,
    r#""interrupted""#,
];

/// Members to add to any object, some of them duplicates.
const MORE: &[(&str, &str)] = &[
    (r#""new""#, r#"{"type":[{}],"a":"\\\"}"}"#),
    (r#""id""#, "1"),
    (r#""id""#, "null"),
    (r#""type""#, r#""agentMessage""#),
    (r#""text""#, r#""more""#),
    (r#""summary""#, r#"["a\u0062","c"]"#),
    (r#""turnId""#, r#""other""#),
    (r#""thread\u0049d""#, r#""other""#),
    (r#""turn""#, "null"),
    (r#""item""#, "null"),
    (r#""result""#, "null"),
    (r#""error""#, "null"),
    (r#""error""#, r#"{"code":1}"#),
    (r#""params""#, "null"),
    (r#""method""#, r#""turn\/started""#),
    (r#""method""#, r#""item/completed""#),
    (r#""emittedAtMs""#, "7"),
];

/// Variants of a JSON text, each with one value, at any depth, removed, moved, duplicated or replaced.
fn changed(text: &str) -> Vec<String> {
    let mut all: Vec<String> = ODD.iter().map(|odd| (*odd).to_owned()).collect();
    if text.starts_with('"') {
        let value: String = serde_json::from_str(text).unwrap();
        let escaped = |unit: u16| format!("\\u{unit:04x}");
        let escaped: String = value.encode_utf16().map(escaped).collect();
        all.push(format!("\"{escaped}\""));
    }
    let Some(object) = Object::of(text) else {
        return all;
    };
    all.push(object.with(|members| members.reverse()));
    all.push(object.with(|members| members.sort()));
    for (name, value) in MORE {
        let more = ((*name).to_owned(), (*value).to_owned());
        all.push(object.with(|members| members.push(more.clone())));
        all.push(object.with(|members| members.insert(0, more)));
    }
    for at in 0..object.0.len() {
        all.push(object.with(|members| members[..=at].rotate_right(1)));
        all.push(object.with(|members| members[at..].rotate_left(1)));
        all.push(object.with(|members| drop(members.remove(at))));
        all.push(object.with(|members| members.insert(at, members[at].clone())));
        all.push(object.with(|members| members.push(members[at].clone())));
        all.push(object.with(|members| members[at].0.insert(1, 'x')));
        for value in changed(&object.0[at].1) {
            all.push(object.with(|members| members[at].1 = value));
        }
    }
    all
}

#[test]
fn changed_lines_are_decoded_as_by_the_reference() {
    for text in RECORDED.lines() {
        assert_ne!(decoded_alike(text), "nothing");
        let object = Object::of(text).unwrap();
        for (count, once) in changed(text).iter().enumerate() {
            decoded_alike(once);
            // Of lines with two changes, a sample.
            if count % 500 == 0 {
                changed(once).iter().step_by(7).for_each(|twice| {
                    decoded_alike(twice);
                });
            }
            // The parameters before the method, which takes two passes.
            if let Some(object) = Object::of(once) {
                decoded_alike(&object.with(|members| members.reverse()));
            }
        }
        let value: Value = serde_json::from_str(text).unwrap();
        decoded_alike(&serde_json::to_string_pretty(&value).unwrap());
        for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
            decoded_alike(&text[..end]);
        }
        decoded_alike(&format!("{text}{text}"));
        decoded_alike(&format!(" {text} "));
        // The parameters of one method under each other method.
        for method in METHODS {
            let method = json!(method).to_string();
            let other = |(name, value): &mut (String, String)| {
                if name == "\"method\"" {
                    value.clone_from(&method);
                }
            };
            decoded_alike(&object.with(|members| members.iter_mut().for_each(other)));
        }
    }
}

#[test]
fn the_type_decides_which_members_are_read() {
    let types = [
        "agentMessage",
        "reasoning",
        "contextCompaction",
        "dynamicToolCall",
        "userMessage",
        "plan",
    ];
    let members = [
        r#""id":"i""#,
        r#""id":7"#,
        r#""id":"\u0069""#,
        r#""phase":"commentary""#,
        r#""phase":null"#,
        r#""phase":[]"#,
        r#""text":"t\n""#,
        r#""text":null"#,
        r#""summary":["a","\n"]"#,
        r#""summary":[1]"#,
        r#""summary":null"#,
    ];
    let mut known = 0;
    for kind in types {
        let kind = format!(r#""type":"{kind}""#);
        // Each choice of members, with the type before, between and after them.
        for chosen in 0..1_u32 << members.len() {
            let chosen: Vec<_> = (0..members.len())
                .filter(|at| chosen >> at & 1 == 1)
                .map(|at| members[at])
                .collect();
            for at in [0, chosen.len() / 2, chosen.len()] {
                let mut item = chosen.clone();
                item.insert(at, &kind);
                let item = item.join(",");
                for method in ["item/started", "item/completed"] {
                    let line = format!(
                        r#"{{"method":"{method}","params":{{"threadId":"t","item":{{{item}}}}}}}"#
                    );
                    known += usize::from(!decoded_alike(&line).contains("Other"));
                }
            }
        }
    }
    assert!(known > 10_000, "{known}");
}

#[test]
fn unread_members_may_be_malformed() {
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    for unreadable in [r#""\ud83d""#, "1e999", &deep] {
        let line = |method: &str, params: &str| {
            format!(r#"{{"method":"{method}","params":{{"threadId":"t",{params}}}}}"#)
        };
        // The reference reads all of an item, and reports it verbatim if any of it is malformed.
        let echo = line(
            "item/started",
            &format!(r#""item":{{"type":"userMessage","content":{unreadable}}}"#),
        );
        assert_eq!(describe(&echo), "notification t  0 Echo");
        assert!(reference::describe(&echo).starts_with("notification t  0 Other"));
        // The members that are read must be valid.
        for params in [
            format!(r#""item":{{"type":"agentMessage","id":{unreadable}}}"#),
            format!(r#""item":{{"type":"reasoning","id":"i","summary":[{unreadable}]}}"#),
            format!(r#""item":{{"type":{unreadable}}}"#),
            format!(r#""turnId":{unreadable},"item":{{"type":"userMessage"}}"#),
            format!(r#""turn":{{"id":"u","status":"failed","error":{unreadable}}}"#),
            format!(r#""turn":{{"id":"u","status":"failed","new":{unreadable}}}"#),
            format!(r#""new":{unreadable}"#),
        ] {
            for method in METHODS {
                decoded_alike(&line(method, &params));
            }
        }
    }
}

/// The known notifications, and an unknown one.
const METHODS: [&str; 12] = [
    "item/agentMessage/delta",
    "item/reasoning/summaryTextDelta",
    "item/reasoning/textDelta",
    "item/started",
    "item/completed",
    "thread/tokenUsage/updated",
    "rawResponseItem/completed",
    "rawResponse/completed",
    "error",
    "turn/started",
    "turn/completed",
    "thread/closed",
];

#[test]
fn an_array_is_not_an_item() {
    let line = r#"{"method":"item/started","params":{"threadId":"t","turnId":"u","item":["userMessage"]}}"#;
    let Ok(RpcMessage::ThreadNotification { notification, .. }) =
        super::super::line(line.as_bytes())
    else {
        panic!("not a notification")
    };
    assert!(
        matches!(notification.report, TurnReport::Other),
        "{:?}",
        notification.report
    );
}
