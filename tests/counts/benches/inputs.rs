//! The inputs of the measured functions.

use airlock_shipped_policy::bindings::airlock::policy::types::{
    Context, Event, EventKind, Request, Text, Transport,
};
use airlock_shipped_policy::bindings::exports::airlock::policy::prompt::{Action, Plan};
use airlock_shipped_policy::prompt;
use airlock_shipped_policy::translate::ReplyTranslator;

/// Codex's line for one word of an answer.
pub(crate) const DELTA: &[u8] = br#"{"method":"item/agentMessage/delta","params":{"threadId":"01a1fc0c-59a5-7b42-ad52-bb118be20df7","turnId":"01a1fc0c-59be-7d53-b01b-92c67cef909c","itemId":"msg_resp_000002_0","delta":" word"},"emittedAtMs":1795230030363}"#;

/// The line that ends a turn.
pub(crate) const COMPLETED: &[u8] = br#"{"method":"turn/completed","params":{"threadId":"01a1fc0c-59a5-7b42-ad52-bb118be20df7","turn":{"id":"01a1fc0c-59be-7d53-b01b-92c67cef909c","rootTurnId":"01a1fc0c-59be-7d53-b01b-92c67cef909c","items":[],"itemsView":"notLoaded","status":"completed","error":null,"startedAt":1795230030,"completedAt":1795230031,"durationMs":571}},"emittedAtMs":1795230030394}"#;

/// A frame of an answer, without its name.
pub(crate) const FRAME: &str = r#"{"id":"chatcmpl-01a1fc0c59a57b42ad52bb118be20df7","object":"chat.completion.chunk","created":1795230030,"model":"gpt-5.5","choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}]}"#;

/// The JSON before and after the text in such a frame.
pub(crate) const AROUND: [&str; 2] = [
    r#"{"id":"chatcmpl-01a1fc0c59a57b42ad52bb118be20df7","object":"chat.completion.chunk","created":1795230030,"model":"gpt-5.5","choices":[{"index":0,"delta":{"content":"#,
    r#"},"finish_reason":null}]}"#,
];

/// Writes a piece by a pattern, as the host does without the policy.
pub(crate) fn relay([before, after]: [&str; 2]) -> String {
    airlock_wire::sse::piece(before, " word", after).unwrap()
}

/// A valid request of about this many bytes.
pub(crate) fn request(bytes: usize) -> Request {
    let filler = "All work and no play. ".repeat(bytes / 22);
    let request = Request {
        id: "req_counts".to_owned(),
        arrived: 0,
        dialect: "chat-completions".to_owned(),
        body: format!(
            r#"{{"model":"default","stream":true,"messages":[{{"role":"user","content":"{filler}"}}]}}"#
        ),
        attachments: Vec::new(),
        settings: r#"{"strict":false}"#.to_owned(),
        nested: false,
        route: "POST /v1/chat/completions".to_owned(),
        path_parameters: Vec::new(),
        query: Vec::new(),
        seed: String::new(),
        transport: Transport::Http,
        has_store: true,
        loaded: None,
    };
    prompt::render(&request).unwrap();
    request
}

/// The plan of a request.
pub(crate) fn plan(request: &Request) -> Plan {
    match prompt::render(request).unwrap() {
        Action::Run(plan) => plan,
        other => unreachable!("a plan is expected, not {other:?}"),
    }
}

/// A reply that has begun, and the next events. It is boxed as in the component, whose resource is never moved.
pub(crate) type Begun = (Box<ReplyTranslator>, Vec<Event>);

/// A reply that has begun, and this many pieces of text for it.
pub(crate) fn reply(events: usize) -> Begun {
    let mut reply = Box::new(ReplyTranslator::new(&Context {
        id: "req_counts".to_owned(),
        arrived: 0,
        dialect: "chat-completions".to_owned(),
        model: "gpt-test".to_owned(),
        notes: plan(&request(1 << 10)).notes,
        seed: String::new(),
    }));
    let first = reply.feed(vec![event()]);
    assert!(!first.frames.is_empty());
    (reply, vec![event(); events])
}

fn event() -> Event {
    Event {
        source: 0,
        at: 0,
        kind: EventKind::Text(Text {
            message: 0,
            phase: None,
            text: " word".to_owned(),
            item: None,
        }),
    }
}

/// Writes frames as one piece.
pub(crate) fn encode(frames: &[&str]) -> String {
    airlock_wire::sse::events(frames.iter().map(|data| (None, *data)))
}
