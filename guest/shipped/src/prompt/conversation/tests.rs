//! Where each message goes.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

fn message(role: Role, text: &str) -> Message<'_> {
    Message {
        role,
        parts: vec![Part::Text(Cow::Borrowed(text))],
    }
}

fn talk(messages: Vec<Message<'_>>) -> Option<Talk> {
    let mut conversation = Conversation::default();
    for message in messages {
        conversation.push(message);
    }
    conversation.finish()
}

#[test]
fn only_leading_system_messages_are_instructions() {
    let talk = talk(vec![
        message(Role::Developer, "a"),
        message(Role::Developer, ""),
        message(Role::Developer, "b"),
        message(Role::User, "c"),
        message(Role::Developer, "d"),
        message(Role::User, "e"),
    ]);
    let item = |role: &str, text: &str| {
        format!(
            r#"{{"type":"message","role":"{role}","content":[{{"type":"input_text","text":"{text}"}}]}}"#
        )
    };
    let expected = Talk {
        instructions: "a\n\nb".to_owned(),
        history: vec![item("user", "c"), item("developer", "d")],
        input: vec![InputItem::Text("e".to_owned())],
    };
    assert_eq!(talk, Some(expected));
}

#[test]
fn a_silent_assistant_does_not_turn_later_system_text_into_instructions() {
    let talk = talk(vec![
        Message {
            role: Role::Assistant,
            parts: Vec::new(),
        },
        message(Role::Developer, "a"),
        message(Role::User, "b"),
    ])
    .unwrap();
    assert_eq!(talk.instructions, "");
    assert_eq!(talk.history.len(), 1);
    assert!(
        talk.history[0].contains(r#""role":"developer""#),
        "{}",
        talk.history[0]
    );
}

#[test]
fn nobody_to_answer() {
    assert_eq!(talk(Vec::new()), None);
    assert_eq!(talk(vec![message(Role::Developer, "a")]), None);
    assert_eq!(talk(vec![message(Role::Assistant, "")]), None);
}

#[test]
fn input_longer_than_codex_takes_travels_as_history() {
    let fits = "ä".repeat(INPUT_AT_MOST);
    let within = talk(vec![message(Role::User, &fits)]).unwrap();
    assert_eq!(within.input, [InputItem::Text(fits.clone())]);
    assert_eq!(within.history, [""; 0]);

    let long = format!("{fits}!");
    let beyond = talk(vec![message(Role::User, &long)]).unwrap();
    assert_eq!(beyond.input, []);
    assert_eq!(beyond.history.len(), 1);
    assert!(beyond.history[0].contains(&long));
}

#[test]
fn as_history_the_last_message_stands_at_its_end() {
    let asked = || {
        let mut conversation = Conversation::default();
        conversation.push(message(Role::Developer, "a"));
        conversation.push(message(Role::Assistant, "b"));
        conversation.push(Message {
            role: Role::User,
            parts: vec![Part::Text(Cow::Borrowed("c\n")), Part::Image(3)],
        });
        conversation
    };
    let talk = asked().finish_as_history().unwrap();
    assert_eq!(talk.instructions, "a");
    assert_eq!(talk.input, []);
    let [earlier, last] = talk.history.as_slice() else {
        unreachable!("two messages");
    };
    assert_eq!(Some(earlier), asked().finish().unwrap().history.first());
    assert_eq!(
        last,
        r#"{"type":"message","role":"user","content":[{"type":"input_text","text":"c\n"},{"type":"input_image","image_url":"attachment:3"}]}"#
    );
}

#[test]
fn nobody_to_answer_as_history() {
    assert_eq!(Conversation::default().finish_as_history(), None);
    for (role, text) in [(Role::Developer, "a"), (Role::Assistant, "")] {
        let mut conversation = Conversation::default();
        conversation.push(message(role, text));
        assert_eq!(conversation.finish_as_history(), None);
    }
}
