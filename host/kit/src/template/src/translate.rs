//! Turns what Codex reports into chat completions: the answer's text, streamed and whole.

use std::cell::RefCell;

use crate::Policy;
use crate::bindings::airlock::policy::types::{
    Context, Ending, Event, EventKind, Model, Phase, Problem, ProblemKind, Shortfall, Usage,
};
use crate::bindings::exports::airlock::policy::translate::{
    Closing, Frame, Guest, GuestReply, Handoff, Reply as ReplyHandle, Output,
};
use crate::json::quote;

impl Guest for Policy {
    type Reply = Reply;

    fn list_models(_dialect: String, models: Vec<Model>) -> String {
        let models: Vec<_> = models.iter().map(|model| object(&model.id)).collect();
        format!(r#"{{"object":"list","data":[{}]}}"#, models.join(","))
    }

    fn show_model(_dialect: String, model: Model) -> String {
        object(&model.id)
    }
}

fn object(id: &str) -> String {
    format!(
        r#"{{"id":{},"object":"model","created":0,"owned_by":"codex"}}"#,
        quote(id)
    )
}

/// One response. The host drops its frames where the client wants no stream, so both forms are always told.
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
    /// Whether a frame has left.
    begun: bool,
    /// Whether text has left that is void now. A stream cannot take it back.
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
        let mut told = Output {
            frames: Vec::new(),
            handoff: None,
        };
        // Source 0 is the answer. Others are candidates, of which nothing is shown.
        for event in events.into_iter().filter(|event| event.source == 0) {
            match event.kind {
                EventKind::Text(text) if text.phase != Some(Phase::Commentary) => {
                    state.push(text.message, &text.text);
                    told.frames.push(state.delta(&text.text));
                }
                EventKind::Usage(usage) => state.usage = Some(usage),
                EventKind::Restarted(void) => {
                    let before = state.messages.len();
                    state.messages.retain(|(number, _)| !void.contains(number));
                    state.void = state.void || state.messages.len() < before;
                }
                // What it told is void, and another answer follows.
                EventKind::Settled(_) => {
                    state.void = state.void || !state.messages.is_empty();
                    state.messages.clear();
                }
                EventKind::Other(notification)
                    if notification.method == "rawResponseItem/completed"
                        && notification.params.contains("\"function_call\"") =>
                {
                    // Calls of the client's functions are not passed on: the turn ends here.
                    told.handoff = Some(Handoff {
                        source: 0,
                        key: None,
                    });
                    return told;
                }
                _ => {}
            }
        }
        told
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

    /// A piece of the answer. The first one says who speaks.
    fn delta(&mut self, text: &str) -> Frame {
        let role = if self.begun {
            ""
        } else {
            r#""role":"assistant","#
        };
        self.begun = true;
        let delta = format!(r#"{{{role}"content":{}}}"#, quote(text));
        self.chunk(&delta, "null")
    }

    fn chunk(&self, delta: &str, reason: &str) -> Frame {
        let choice = format!(r#"{{"index":0,"delta":{delta},"finish_reason":{reason}}}"#);
        frame(format!(
            r#"{},"choices":[{choice}]}}"#,
            self.heading("chat.completion.chunk")
        ))
    }

    fn heading(&self, kind: &str) -> String {
        format!(
            r#"{{"id":{},"object":"{kind}","created":{},"model":{}"#,
            quote(&self.id),
            self.created,
            quote(&self.model)
        )
    }

    fn finish(mut self, ending: Ending) -> Closing {
        let reason = match ending {
            Ending::Completed => "\"stop\"",
            Ending::Incomplete(Shortfall::MaxOutputTokens) => "\"length\"",
            Ending::Incomplete(Shortfall::ContentFilter) => "\"content_filter\"",
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
            frames.push(self.chunk("{}", reason));
        }
        frames.push(frame("[DONE]".to_owned()));
        Closing {
            frames,
            body: Ok(self.body(reason)),
        }
    }

    /// The whole response.
    fn body(&self, reason: &str) -> String {
        let texts: Vec<_> = self
            .messages
            .iter()
            .map(|(_, text)| text.as_str())
            .collect();
        let message = format!(
            r#"{{"role":"assistant","content":{}}}"#,
            quote(&texts.join("\n\n"))
        );
        let usage = self.usage.map(|usage| {
            format!(
                r#","usage":{{"prompt_tokens":{},"completion_tokens":{},"total_tokens":{}}}"#,
                usage.input,
                usage.output,
                usage.input.saturating_add(usage.output)
            )
        });
        format!(
            r#"{},"choices":[{{"index":0,"message":{message},"finish_reason":{reason}}}]{}}}"#,
            self.heading("chat.completion"),
            usage.unwrap_or_default()
        )
    }
}

fn frame(data: String) -> Frame {
    Frame { event: None, data }
}

/// A stream that fails says why in a frame of its own.
fn error(problem: &Problem) -> Frame {
    let code = problem.code.as_deref().map_or("null".to_owned(), quote);
    frame(format!(
        r#"{{"error":{{"message":{},"type":"server_error","param":null,"code":{code}}}}}"#,
        quote(&problem.message)
    ))
}

fn failed(problem: Problem) -> Closing {
    Closing {
        frames: vec![error(&problem), frame("[DONE]".to_owned())],
        body: Err(problem),
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
    use crate::json::Value;

    fn reply() -> Reply {
        Reply::new(Context {
            id: "req_1".to_owned(),
            arrived: 1_700_000_000_000,
            dialect: "chat-completions".to_owned(),
            model: "a-model".to_owned(),
            notes: String::new(),
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
            }),
        )
    }

    fn finish(reply: Reply, ending: Ending) -> Closing {
        reply.0.into_inner().finish(ending)
    }

    /// What a client finds at this path of a JSON text.
    fn at(json: &str, path: &[&str]) -> Option<String> {
        let mut value = Value::read(json)?;
        for name in path {
            value = match (&value, *name) {
                (Value::List(list), "0") => list.first()?.clone(),
                (value, name) => value.get(name)?.clone(),
            };
        }
        value.text().map(str::to_owned)
    }

    #[test]
    fn the_answer_is_told_in_pieces_and_as_a_whole() {
        let reply = reply();
        let told = reply.feed(vec![text(0, "Hel"), text(1, "not this"), text(0, "lo\n")]);
        let pieces: Vec<_> = told
            .frames
            .iter()
            .map(|frame| at(&frame.data, &["choices", "0", "delta", "content"]).unwrap())
            .collect();
        assert_eq!(pieces, ["Hel", "lo\n"]);
        assert!(told.frames.iter().all(|frame| !frame.data.contains('\n')));
        let closing = finish(reply, Ending::Completed);
        let body = closing.body.unwrap();
        let content = at(&body, &["choices", "0", "message", "content"]);
        assert_eq!(content.as_deref(), Some("Hello\n"));
        assert_eq!(closing.frames.len(), 2);
        assert_eq!(closing.frames[1].data, "[DONE]");
    }

    #[test]
    fn what_is_void_is_forgotten_and_a_stream_says_so() {
        let reply = reply();
        reply.feed(vec![
            text(0, "wrong"),
            event(0, EventKind::Restarted(vec![0])),
            text(0, "right"),
        ]);
        let closing = finish(reply, Ending::Completed);
        let content = at(
            &closing.body.unwrap(),
            &["choices", "0", "message", "content"],
        );
        assert_eq!(content.as_deref(), Some("right"));
        assert!(closing.frames[0].data.starts_with(r#"{"error""#));
    }

    #[test]
    fn a_call_of_a_function_ends_the_turn() {
        let reply = reply();
        let call = Notification {
            method: "rawResponseItem/completed".to_owned(),
            params: r#"{"item":{"type":"function_call"}}"#.to_owned(),
        };
        let told = reply.feed(vec![event(0, EventKind::Other(call))]);
        assert_eq!(told.handoff.map(|it| it.key), Some(None));
        let problem = finish(reply, Ending::HandedOff).body.unwrap_err();
        assert_eq!(problem.kind, ProblemKind::Unsupported);
    }

    #[test]
    fn models_are_listed_by_their_ids() {
        let list = Policy::list_models(String::new(), Vec::new());
        assert_eq!(list, r#"{"object":"list","data":[]}"#);
    }
}
