//! The digests of a conversation, by which a continuation is recognized.

use super::*;

#[test]
fn only_results_at_the_end_can_resume_a_turn() {
    let codex_conversation = codex_conversation(vec![
        message(MessageRole::User, "x"),
        calls("", &["1"]),
        result("1", "a"),
        message(MessageRole::User, "y"),
    ])
    .unwrap();
    assert_eq!(codex_conversation.answered, None);
    assert_eq!(codex_conversation.input, [InputItem::Text("y".to_owned())]);
}

#[test]
fn the_digest_before_the_calls_equals_that_of_the_earlier_conversation() {
    let requested = || vec![message(MessageRole::User, "x")];
    let then = |mut entries: Vec<MessageEntry<'static>>, more: [MessageEntry<'static>; 2]| {
        entries.extend(more);
        entries
    };
    let first = || then(requested(), [calls("", &["1"]), result("1", "a")]);
    let second = || then(first(), [calls("b", &["2"]), result("2", "c")]);
    for (earlier, later) in [(requested(), first()), (first(), second())] {
        let earlier = codex_conversation(earlier).unwrap().digest;
        let later = codex_conversation(later).unwrap();
        assert_eq!(Some(later.answered.unwrap().before), earlier);
        assert_ne!(later.digest, earlier);
    }
    // The digest is the same as input and as history.
    let as_history = conversation(requested())
        .finish_as_history(&[], true)
        .unwrap();
    assert_eq!(
        as_history.digest,
        codex_conversation(requested()).unwrap().digest
    );
}

#[test]
fn only_conversations_with_functions_have_a_digest() {
    let finishes: [fn(ConversationBuilder<'static>, bool) -> Option<CodexConversation<'static>>;
        2] = [
        |conversation, offers| conversation.finish(&[], offers),
        |conversation, offers| conversation.finish_as_history(&[], offers),
    ];
    let requested = || vec![message(MessageRole::User, "x")];
    let all = || {
        vec![
            message(MessageRole::User, "x"),
            calls("", &["1"]),
            result("1", "a"),
        ]
    };
    let gone_on = || {
        let mut entries = all();
        entries.push(message(MessageRole::User, "y"));
        entries
    };
    for finish in finishes {
        for (entries, same) in [(requested(), requested()), (gone_on(), gone_on())] {
            let plain = finish(conversation(entries), false).unwrap();
            assert_eq!((plain.digest, plain.answered), (None, None));
            let offers = finish(conversation(same), true).unwrap();
            assert!(offers.digest.is_some_and(|digest| !digest.is_empty()));
        }
        // Results at the end may resume a turn, whatever is offered now; its key depends on the messages before them.
        let plain = finish(conversation(all()), false).unwrap();
        let offers = finish(conversation(all()), true).unwrap();
        assert_eq!(plain.digest, None);
        assert_eq!(plain.answered, offers.answered);
        let before = finish(conversation(requested()), true).unwrap().digest;
        assert_eq!(plain.answered.map(|answered| answered.before), before);
        assert_eq!(plain.history, offers.history);
    }
}
