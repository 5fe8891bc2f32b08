//! Conversations in which other items come between calls and results, and items that the policy does not read.

use super::*;

fn opaque(json: &'static str, is_digested: bool) -> OpaqueItem<'static> {
    OpaqueItem {
        json: Cow::Borrowed(json),
        is_digested,
    }
}

fn add_user<'a>(conversation: &mut ConversationBuilder<'a>, content: &'a str) {
    let message = ConversationMessage::new(MessageRole::User, vec![text(content)]);
    conversation.add_message(message);
}

/// A conversation whose last reply consists of reasoning, a text and two calls.
fn replied(reasoning: Option<OpaqueItem<'static>>) -> ConversationBuilder<'static> {
    let mut conversation = ConversationBuilder::default();
    add_user(&mut conversation, "x");
    conversation.start_reply();
    if let Some(item) = reasoning {
        conversation.add_opaque(item);
    }
    conversation.add_call(call("1"), (1, 0)).unwrap();
    let message = ConversationMessage::new(MessageRole::Assistant, vec![text("So:")]);
    conversation.add_message(message);
    conversation.add_call(call("2"), (3, 0)).unwrap();
    conversation
}

fn add_results(conversation: &mut ConversationBuilder<'static>, ids: &[&'static str]) {
    for (index, id) in ids.iter().enumerate() {
        conversation
            .add_result(id, vec![text(id)], (4 + index, 0))
            .unwrap();
    }
}

#[test]
fn a_reply_of_several_items_resumes_one_turn() {
    let reasoning = opaque(r#"{"type":"reasoning","id":"rs_1"}"#, false);
    let mut conversation = replied(Some(reasoning));
    assert!(conversation.check_answered().is_err());
    add_results(&mut conversation, &["2", "1"]);
    conversation.check_answered().unwrap();
    let finished = conversation.finish(&[], true).unwrap();
    let kinds = [
        "message",
        "reasoning",
        "function_call",
        "message",
        "function_call",
    ];
    for (item, kind) in finished.history.iter().zip(kinds) {
        assert!(item.starts_with(&format!(r#"{{"type":"{kind}""#)), "{item}");
    }
    let answered = finished.answered.unwrap();
    let ids: Vec<&str> = answered.results.iter().map(|it| it.call.as_str()).collect();
    assert_eq!(ids, ["1", "2"]);
    assert_eq!(answered.text, text_digest("So:"));

    let mut requested = ConversationBuilder::default();
    add_user(&mut requested, "x");
    let requested = requested.finish(&[], true).unwrap();
    assert_eq!(Some(answered.before), requested.digest);
}

#[test]
fn results_after_other_items_resume_nothing() {
    let mut conversation = replied(None);
    add_results(&mut conversation, &["1"]);
    add_user(&mut conversation, "y");
    add_results(&mut conversation, &["2"]);
    conversation.check_answered().unwrap();
    let finished = conversation.finish(&[], true).unwrap();
    assert_eq!(finished.answered, None);
    assert_eq!(finished.history.len(), 7);

    // The result of an earlier reply is not one of the last reply's.
    let mut conversation = replied(None);
    add_results(&mut conversation, &["1"]);
    conversation.start_reply();
    conversation.add_call(call("3"), (6, 0)).unwrap();
    add_results(&mut conversation, &["2"]);
    assert!(conversation.check_answered().is_err());
    let finished = conversation.finish(&[], true).unwrap();
    assert_eq!(finished.answered, None);
}

#[test]
fn only_digested_items_distinguish_conversations() {
    let digest = |item: Option<OpaqueItem<'static>>| {
        let mut conversation = replied(item);
        add_results(&mut conversation, &["1", "2"]);
        conversation.finish(&[], true).unwrap().digest
    };
    let plain = digest(None);
    assert_eq!(
        digest(Some(opaque(r#"{"type":"reasoning"}"#, false))),
        plain
    );
    let search = digest(Some(opaque(r#"{"type":"web_search_call"}"#, true)));
    assert_ne!(search, plain);
    let other = digest(Some(opaque(r#"{"type":"compaction"}"#, true)));
    assert_ne!(search, other);
}

#[test]
fn the_phase_of_a_message_reaches_the_model() {
    let mut conversation = ConversationBuilder::default();
    conversation.add_message(ConversationMessage {
        phase: Some(Phase::FinalAnswer),
        ..ConversationMessage::new(MessageRole::Assistant, vec![text("a")])
    });
    let finished = conversation.finish(&[], false).unwrap();
    assert_eq!(
        finished.history,
        [
            r#"{"type":"message","role":"assistant","content":[{"type":"output_text","text":"a"}],"phase":"final_answer"}"#
        ]
    );
}
