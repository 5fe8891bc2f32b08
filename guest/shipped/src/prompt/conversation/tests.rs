//! The division of a conversation into instructions, history and input.

#![allow(clippy::unwrap_used, reason = "tests")]

mod digests;
mod interleaved;

use std::borrow::Cow;

use super::*;
use crate::bindings::airlock::policy::types::Phase;
use crate::bindings::exports::airlock::policy::prompt::ToolResult;
use crate::tools::{FunctionCall, text_digest, upstream_name};

fn text(text: &str) -> ContentPart<'_> {
    ContentPart::Text(Cow::Borrowed(text))
}

/// A message of a chat: its text and calls, or the result of a call.
enum MessageEntry<'a> {
    Message(ConversationMessage<'a>, Vec<FunctionCall<'a>>),
    ToolResult(Cow<'a, str>, Vec<ContentPart<'a>>),
}

fn of(role: MessageRole, parts: Vec<ContentPart<'_>>) -> MessageEntry<'_> {
    MessageEntry::Message(ConversationMessage::new(role, parts), Vec::new())
}

fn message(role: MessageRole, content: &str) -> MessageEntry<'_> {
    of(role, vec![text(content)])
}

fn calls<'a>(content: &'a str, calls: &[&'a str]) -> MessageEntry<'a> {
    let message = ConversationMessage::new(MessageRole::Assistant, vec![text(content)]);
    MessageEntry::Message(message, calls.iter().copied().map(call).collect())
}

fn call(id: &str) -> FunctionCall<'_> {
    FunctionCall {
        id: Cow::Borrowed(id),
        name: Cow::Borrowed("a.b"),
        arguments: Cow::Borrowed("{\"n\":\n1}"),
    }
}

fn result<'a>(call: &'a str, content: &'a str) -> MessageEntry<'a> {
    MessageEntry::ToolResult(Cow::Borrowed(call), vec![text(content)])
}

/// Adds a message as chat does: results must directly follow their calls.
fn push<'a>(
    conversation: &mut ConversationBuilder<'a>,
    index: usize,
    entry: MessageEntry<'a>,
) -> Result<(), CallMismatch> {
    match entry {
        MessageEntry::ToolResult(call, parts) => conversation.add_result(&call, parts, (index, 0)),
        MessageEntry::Message(message, calls) => {
            conversation.check_answered()?;
            if message.role == MessageRole::Assistant {
                conversation.start_reply();
            }
            conversation.add_message(message);
            let mut calls = calls.into_iter().enumerate();
            calls.try_for_each(|(number, call)| conversation.add_call(call, (index, number)))
        }
    }
}

fn conversation(entries: Vec<MessageEntry<'_>>) -> ConversationBuilder<'_> {
    let mut conversation = ConversationBuilder::default();
    for (index, entry) in entries.into_iter().enumerate() {
        push(&mut conversation, index, entry).unwrap();
    }
    conversation.check_answered().unwrap();
    conversation
}

fn codex_conversation(entries: Vec<MessageEntry<'_>>) -> Option<CodexConversation<'_>> {
    conversation(entries).finish(&[], true)
}

/// The error that these messages lead to, at the last of them or at the end.
fn call_error(entries: Vec<MessageEntry<'_>>) -> CallMismatch {
    let mut conversation = ConversationBuilder::default();
    let mut found = Ok(());
    for (index, entry) in entries.into_iter().enumerate() {
        assert_eq!(found, Ok(()));
        found = push(&mut conversation, index, entry);
    }
    found
        .and_then(|()| conversation.check_answered())
        .unwrap_err()
}

#[test]
fn only_leading_system_messages_are_instructions() {
    let codex_conversation = codex_conversation(vec![
        message(MessageRole::Developer, "a"),
        message(MessageRole::Developer, ""),
        message(MessageRole::Developer, "b"),
        message(MessageRole::User, "c"),
        message(MessageRole::Developer, "d"),
        message(MessageRole::User, "e"),
    ]);
    let item = |role: &str, text: &str| {
        format!(
            r#"{{"type":"message","role":"{role}","content":[{{"type":"input_text","text":"{text}"}}]}}"#
        )
    };
    let codex_conversation = codex_conversation.unwrap();
    assert_eq!(codex_conversation.instructions, "a\n\nb");
    assert_eq!(
        codex_conversation.history,
        [item("user", "c"), item("developer", "d")]
    );
    assert_eq!(codex_conversation.input, [InputItem::Text("e".to_owned())]);
    assert_eq!(codex_conversation.answered, None);
}

#[test]
fn an_empty_assistant_message_ends_the_instructions() {
    let codex_conversation = codex_conversation(vec![
        of(MessageRole::Assistant, Vec::new()),
        message(MessageRole::Developer, "a"),
        message(MessageRole::User, "b"),
    ])
    .unwrap();
    assert_eq!(codex_conversation.instructions, "");
    assert_eq!(codex_conversation.history.len(), 1);
    assert!(
        codex_conversation.history[0].contains(r#""role":"developer""#),
        "{}",
        codex_conversation.history[0]
    );
}

#[test]
fn nothing_to_answer() {
    assert_eq!(codex_conversation(Vec::new()), None);
    assert_eq!(
        codex_conversation(vec![message(MessageRole::Developer, "")]),
        None
    );
    assert_eq!(
        codex_conversation(vec![message(MessageRole::Assistant, "")]),
        None
    );
}

#[test]
fn instructions_can_be_answered_alone() {
    for offers in [false, true] {
        for more in [None, Some(message(MessageRole::Assistant, ""))] {
            let requested = || {
                let mut entries = vec![message(MessageRole::Developer, "a")];
                entries.extend(more.is_some().then(|| message(MessageRole::Assistant, "")));
                conversation(entries)
            };
            let alone = requested().finish(&[], offers).unwrap();
            assert_eq!(alone.instructions, "a");
            assert_eq!(alone.history, [""; 0]);
            assert_eq!(alone.input, []);
            assert_eq!(alone.digest.is_some(), offers);
            assert_eq!(requested().finish_as_history(&[], offers), Some(alone));
        }
    }
    // The turn that answers these is the one that continues when its results arrive.
    let alone = codex_conversation(vec![message(MessageRole::Developer, "a")]).unwrap();
    let further = codex_conversation(vec![
        message(MessageRole::Developer, "a"),
        calls("", &["1"]),
        result("1", "b"),
    ])
    .unwrap();
    assert_eq!(further.instructions, alone.instructions);
    assert_eq!(Some(further.answered.unwrap().before), alone.digest);
}

#[test]
fn input_longer_than_codex_accepts_becomes_history() {
    let fits = "ä".repeat(INPUT_AT_MOST);
    let within = codex_conversation(vec![message(MessageRole::User, &fits)]).unwrap();
    assert_eq!(within.input, [InputItem::Text(fits.clone())]);
    assert_eq!(within.history, [""; 0]);

    let long = format!("{fits}!");
    let beyond = codex_conversation(vec![message(MessageRole::User, &long)]).unwrap();
    assert_eq!(beyond.input, []);
    assert_eq!(beyond.history.len(), 1);
    assert!(beyond.history[0].contains(&long));
}

#[test]
fn as_history_the_last_message_comes_last() {
    let requested = || {
        conversation(vec![
            message(MessageRole::Developer, "a"),
            message(MessageRole::Assistant, "b"),
            of(MessageRole::User, vec![text("c\n"), ContentPart::Image(3)]),
        ])
    };
    let codex_conversation = requested().finish_as_history(&[], true).unwrap();
    assert_eq!(codex_conversation.instructions, "a");
    assert_eq!(codex_conversation.input, []);
    let [earlier, last] = codex_conversation.history.as_slice() else {
        unreachable!("two messages");
    };
    assert_eq!(
        Some(earlier),
        requested().finish(&[], true).unwrap().history.first()
    );
    assert_eq!(
        last,
        r#"{"type":"message","role":"user","content":[{"type":"input_text","text":"c\n"},{"type":"input_image","image_url":"attachment:3"}]}"#
    );
}

#[test]
fn nothing_to_answer_as_history() {
    assert_eq!(
        ConversationBuilder::default().finish_as_history(&[], true),
        None
    );
    for (role, content) in [(MessageRole::Developer, ""), (MessageRole::Assistant, "")] {
        let conversation = conversation(vec![message(role, content)]);
        assert_eq!(conversation.finish_as_history(&[], true), None);
    }
}

#[test]
fn calls_and_results_are_items_in_the_order_of_the_calls() {
    let codex_conversation = codex_conversation(vec![
        message(MessageRole::User, "x"),
        calls("", &["1", "2"]),
        result("2", "b"),
        MessageEntry::ToolResult(Cow::Borrowed("1"), vec![text("a"), ContentPart::Image(0)]),
        calls("So:", &["3"]),
        result("3", ""),
    ])
    .unwrap();
    assert_eq!(codex_conversation.input, []);
    let seen = upstream_name("a.b");
    let call = |id: &str| {
        format!(
            r#"{{"type":"function_call","call_id":"{id}","name":"{seen}","arguments":"{{\"n\":\n1}}"}}"#
        )
    };
    let expected = [
        r#"{"type":"message","role":"user","content":[{"type":"input_text","text":"x"}]}"#.to_owned(),
        call("1"),
        call("2"),
        r#"{"type":"function_call_output","call_id":"1","output":[{"type":"input_text","text":"a"},{"type":"input_image","image_url":"attachment:0","detail":"high"}]}"#.to_owned(),
        r#"{"type":"function_call_output","call_id":"2","output":"b"}"#.to_owned(),
        r#"{"type":"message","role":"assistant","content":[{"type":"output_text","text":"So:"}]}"#.to_owned(),
        call("3"),
        r#"{"type":"function_call_output","call_id":"3","output":""}"#.to_owned(),
    ];
    assert_eq!(codex_conversation.history, expected);
    let answered = codex_conversation.answered.unwrap();
    assert_eq!(answered.text, text_digest("So:"));
    let results = [ToolResult {
        call: "3".to_owned(),
        output: vec![InputItem::Text(String::new())],
    }];
    assert_eq!(answered.results, results);
}

#[test]
fn calls_and_results_must_match() {
    let user = || message(MessageRole::User, "x");
    for (entries, message) in [
        (vec![user(), result("1", "a")], 1),
        (vec![user(), calls("", &["1"]), result("2", "a")], 2),
        (
            vec![
                user(),
                calls("", &["1"]),
                result("1", "a"),
                result("1", "a"),
            ],
            3,
        ),
        (
            vec![
                user(),
                calls("", &["1"]),
                result("1", "a"),
                user(),
                result("1", "a"),
            ],
            4,
        ),
        (
            vec![
                user(),
                calls("", &["1"]),
                result("1", "a"),
                calls("", &["2"]),
                result("1", "a"),
            ],
            4,
        ),
    ] {
        let error = call_error(entries);
        assert!(!error.kind.is_of_call(), "{error:?}");
        assert_eq!(error.position, (message, 0));
    }
    for (entries, call) in [
        (vec![calls("", &["1", "2"])], (0, 0)),
        (vec![calls("", &["1", "2"]), result("1", "a")], (0, 1)),
        (
            vec![calls("", &["1", "2"]), result("2", "a"), user()],
            (0, 0),
        ),
        (vec![user(), calls("", &["1"]), calls("", &["2"])], (1, 0)),
        (vec![user(), calls("", &["1", "1"])], (1, 1)),
        (
            vec![
                user(),
                calls("", &["1"]),
                result("1", "a"),
                calls("", &["2", "1", "2"]),
            ],
            (3, 2),
        ),
        // The first call of this id has its result, the second has none.
        (
            vec![
                user(),
                calls("", &["1"]),
                result("1", "a"),
                calls("", &["1"]),
            ],
            (3, 0),
        ),
    ] {
        let error = call_error(entries);
        assert!(error.kind.is_of_call(), "{error:?}");
        assert_eq!(error.position, call);
    }
}

#[test]
fn repeated_ids_are_distinct_upstream_and_unchanged_for_the_client() {
    let codex_conversation = codex_conversation(vec![
        message(MessageRole::User, "x"),
        calls("", &["1"]),
        result("1", "a"),
        calls("", &["1", "2"]),
        result("2", "b"),
        result("1", "c"),
    ])
    .unwrap();
    let items: Vec<serde_json::Value> = codex_conversation.history[1..]
        .iter()
        .map(|item| serde_json::from_str(item).unwrap())
        .collect();
    let ids: Vec<&str> = items
        .iter()
        .map(|item| item["call_id"].as_str().unwrap())
        .collect();
    let second = ids[2];
    assert_eq!(ids, ["1", "1", second, "2", second, "2"]);
    assert!(second.starts_with("call_"), "{second}");
    assert_eq!(items[4]["output"], "c");
    // The waiting turn knows the ids that its model gave.
    let answered = codex_conversation.answered.unwrap();
    let known: Vec<&str> = answered.calls.iter().map(|call| &*call.id).collect();
    assert_eq!(known, ["1", "2"]);
    let results: Vec<&str> = answered.results.iter().map(|it| it.call.as_str()).collect();
    assert_eq!(results, ["1", "2"]);
}
