//! Translates Codex's events into chat completions: the answer's text, streamed and whole.

use std::cell::RefCell;

use serde_json::{Value, json};

use crate::Policy;
use crate::bindings::airlock::policy::types::{
    Context, Ending, Event, EventKind, Model, Phase, Problem, ProblemKind, Shortfall, Usage,
};
use crate::bindings::exports::airlock::policy::translate::{
    Closing, Frame, Guest, GuestReply, Handoff, Reply as ReplyHandle, Output,
};

impl Guest for Policy {
    type Reply = Reply;

    fn list_models(_dialect: String, models: Vec<Model>) -> String {
        let models: Vec<_> = models.iter().map(|model| object(&model.id)).collect();
        one_line(&json!({"object": "list", "data": models}))
    }

    fn show_model(_dialect: String, model: Model) -> String {
        one_line(&object(&model.id))
    }
}

fn object(id: &str) -> Value {
    json!({"id": id, "object": "model", "created": 0, "owned_by": "codex"})
}

/// JSON without the characters at which some clients end a line. serde_json does not escape three of them.
fn one_line(value: &Value) -> String {
    let mut text = value.to_string();
    for (character, escape) in [
        ('\u{85}', r"\u0085"),
        ('\u{2028}', r"\u2028"),
        ('\u{2029}', r"\u2029"),
    ] {
        if text.contains(character) {
            text = text.replace(character, escape);
        }
    }
    text
}

/// One response, as a stream and as a body. The host drops the frames if the client does not request a stream.
#[derive(Debug)]
pub struct Reply(RefCell<State>);

#[derive(Debug)]
struct State {
    id: String,
    created: u64,
    model: String,
    /// The answer's messages, with their numbers.
    messages: Vec<(u32, String)>,
    usage: Option<Usage>,
    /// Whether a frame was sent.
    begun: bool,
    /// Whether void text was sent. A stream cannot take it back.
    void: bool,
}

impl GuestReply for Reply {
    fn new(context: Context) -> Self {
        Self(RefCell::new(State {
            id: context.id,
            created: context.arrived / 1000,
            model: context.model,
            messages: Vec::new(),
            usage: None,
            begun: false,
            void: false,
        }))
    }

    fn feed(&self, events: Vec<Event>) -> Output {
        let mut state = self.0.borrow_mut();
        let mut output = Output {
            frames: Vec::new(),
            handoff: None,
            complete: false,
            head: None,
        };
        // Source 0 is the answer. Other sources are candidates, which are not shown.
        for event in events.into_iter().filter(|event| event.source == 0) {
            match event.kind {
                EventKind::Text(text) if text.phase != Some(Phase::Commentary) => {
                    state.push(text.message, &text.text);
                    output.frames.push(state.delta(&text.text));
                }
                EventKind::Usage(usage) => state.usage = Some(usage),
                EventKind::Restarted(void) => {
                    let before = state.messages.len();
                    state.messages.retain(|(number, _)| !void.contains(number));
                    state.void = state.void || state.messages.len() < before;
                }
                // The text so far is void, and another answer follows.
                EventKind::Settled(_) => {
                    state.void = state.void || !state.messages.is_empty();
                    state.messages.clear();
                }
                EventKind::Other(notification)
                    if notification.method == "rawResponseItem/completed"
                        && notification.params.contains("\"function_call\"") =>
                {
                    // Calls of the client's functions are not passed on: the turn ends here.
                    output.handoff = Some(Handoff {
                        source: 0,
                        key: None,
                    });
                    return output;
                }
                _ => {}
            }
        }
        output
    }

    fn keep_alive(&self) -> Vec<Frame> {
        // A comment suffices in this dialect.
        Vec::new()
    }

    fn finish(reply: ReplyHandle, ending: Ending) -> Closing {
        reply.into_inner::<Self>().0.into_inner().finish(ending)
    }
}

impl State {
    fn push(&mut self, message: u32, text: &str) {
        match self.messages.last_mut() {
            Some((number, before)) if *number == message => before.push_str(text),
            _ => self.messages.push((message, text.to_owned())),
        }
    }

    /// A frame with a piece of the answer. The first frame has the role.
    fn delta(&mut self, text: &str) -> Frame {
        let mut delta = json!({"content": text});
        if !self.begun {
            delta["role"] = "assistant".into();
        }
        self.begun = true;
        self.chunk(delta, None)
    }

    fn chunk(&self, delta: Value, reason: Option<&str>) -> Frame {
        frame(&json!({
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
            "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
        }))
    }

    fn finish(mut self, ending: Ending) -> Closing {
        let reason = match ending {
            Ending::Completed => "stop",
            Ending::Incomplete(Shortfall::MaxOutputTokens) => "length",
            Ending::Incomplete(Shortfall::ContentFilter) => "content_filter",
            Ending::Failed(mut problem) => {
                // Then it is a field of Codex's request, which no client has written.
                if problem.code.as_deref() == Some("upstream_bad_request") {
                    problem.param = None;
                }
                return failed(problem);
            }
            Ending::Interrupted => return failed(upstream("the turn was interrupted")),
            Ending::HandedOff => return failed(no_functions()),
        };
        let mut frames = Vec::new();
        if self.void {
            frames.push(error(&upstream(
                "the answer began anew; send the request again",
            )));
        } else {
            if !self.begun {
                frames.push(self.delta(""));
            }
            frames.push(self.chunk(json!({}), Some(reason)));
        }
        frames.push(done());
        Closing {
            frames,
            body: Ok(self.body(reason)),
            object: None,
        }
    }

    /// The whole response.
    fn body(&self, reason: &str) -> String {
        let texts: Vec<_> = self
            .messages
            .iter()
            .map(|(_, text)| text.as_str())
            .collect();
        let message = json!({"role": "assistant", "content": texts.join("\n\n")});
        let mut body = json!({
            "id": self.id,
            "object": "chat.completion",
            "created": self.created,
            "model": self.model,
            "choices": [{"index": 0, "message": message, "finish_reason": reason}],
        });
        if let Some(usage) = self.usage {
            body["usage"] = json!({
                "prompt_tokens": usage.input,
                "completion_tokens": usage.output,
                "total_tokens": usage.input.saturating_add(usage.output),
            });
        }
        one_line(&body)
    }
}

fn frame(data: &Value) -> Frame {
    Frame {
        event: None,
        data: one_line(data),
        number: None,
    }
}

/// The last frame of each stream.
fn done() -> Frame {
    Frame {
        event: None,
        data: "[DONE]".to_owned(),
        number: None,
    }
}

/// The frame of an error, with which a stream that fails ends.
fn error(problem: &Problem) -> Frame {
    frame(&json!({
        "error": {
            "message": problem.message,
            "type": "server_error",
            "param": null,
            "code": problem.code,
        }
    }))
}

fn failed(problem: Problem) -> Closing {
    Closing {
        frames: vec![error(&problem), done()],
        body: Err(problem),
        object: None,
    }
}

fn upstream(message: &str) -> Problem {
    Problem {
        kind: ProblemKind::Upstream,
        code: None,
        message: message.to_owned(),
        param: None,
        retry_after_seconds: None,
    }
}

fn no_functions() -> Problem {
    Problem {
        kind: ProblemKind::Unsupported,
        code: Some("no_functions".to_owned()),
        message: "this policy passes no calls of functions on; leave `tools` out".to_owned(),
        ..upstream("")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::airlock::policy::types::{Notification, Text};

    fn reply() -> Reply {
        Reply::new(Context {
            id: "req_1".to_owned(),
            arrived: 1_700_000_000_000,
            dialect: "chat-completions".to_owned(),
            model: "a-model".to_owned(),
            notes: String::new(),
            seed: String::new(),
        })
    }

    fn event(source: u32, kind: EventKind) -> Event {
        Event {
            source,
            at: 0,
            kind,
        }
    }

    fn text(source: u32, text: &str) -> Event {
        let text = text.to_owned();
        let message = 0;
        let phase = None;
        event(
            source,
            EventKind::Text(Text {
                message,
                phase,
                text,
                item: None,
            }),
        )
    }

    fn finish(reply: Reply, ending: Ending) -> Closing {
        reply.0.into_inner().finish(ending)
    }

    fn parsed(json: &str) -> Value {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn the_answer_is_sent_in_pieces_and_as_a_whole() {
        let reply = reply();
        let texts = ["Hel", "lo\n \u{2028}"];
        let output = reply.feed(vec![text(0, texts[0]), text(1, "not this"), text(0, texts[1])]);
        let pieces: Vec<_> = output
            .frames
            .iter()
            .map(|frame| parsed(&frame.data)["choices"][0]["delta"]["content"].clone())
            .collect();
        assert_eq!(pieces, texts);
        for frame in &output.frames {
            assert!(!frame.data.contains(['\n', '\u{2028}']));
        }
        let closing = finish(reply, Ending::Completed);
        let body = parsed(&closing.body.unwrap());
        assert_eq!(body["choices"][0]["message"]["content"], texts.concat());
        assert_eq!(closing.frames.len(), 2);
        assert_eq!(closing.frames[1].data, "[DONE]");
    }

    #[test]
    fn void_text_is_dropped_and_a_stream_ends_with_an_error() {
        let reply = reply();
        reply.feed(vec![
            text(0, "wrong"),
            event(0, EventKind::Restarted(vec![0])),
            text(0, "right"),
        ]);
        let closing = finish(reply, Ending::Completed);
        let body = parsed(&closing.body.unwrap());
        assert_eq!(body["choices"][0]["message"]["content"], "right");
        assert!(closing.frames[0].data.starts_with(r#"{"error""#));
    }

    #[test]
    fn a_call_of_a_function_ends_the_turn() {
        let reply = reply();
        let call = Notification {
            method: "rawResponseItem/completed".to_owned(),
            params: r#"{"item":{"type":"function_call"}}"#.to_owned(),
        };
        let output = reply.feed(vec![event(0, EventKind::Other(call))]);
        assert_eq!(output.handoff.map(|it| it.key), Some(None));
        let problem = finish(reply, Ending::HandedOff).body.unwrap_err();
        assert_eq!(problem.kind, ProblemKind::Unsupported);
    }

    #[test]
    fn models_are_listed_by_their_ids() {
        let list = Policy::list_models(String::new(), Vec::new());
        assert_eq!(parsed(&list), json!({"object": "list", "data": []}));
    }
}
