//! One reply: the answer's text, streamed or whole.

use std::cell::RefCell;

use crate::bindings::airlock::policy::types::{
    Context, Ending, Event, EventKind, Problem, ProblemKind, Shortfall, Text, Usage,
};
use crate::bindings::exports::airlock::policy::translate::{
    Closing, Frame, GuestReply, Output, Reply as ReplyHandle,
};
use crate::dialect::{self, Heading};
use crate::misbehaviour::{Instruction, Misbehaviour, StampedCall};
use crate::problem;
use crate::render::Notes;

/// The turn whose text is the answer.
const ANSWER: u32 = 0;

/// A flood's frames.
const FLOOD: usize = 64;

/// Bytes of each of them, and of a giant before it grows.
const LARGE: usize = 1 << 20;

/// A reply behind the handle that the host holds.
#[derive(Debug)]
pub struct Reply(RefCell<State>);

#[derive(Debug)]
struct State {
    notes: Notes,
    heading: Heading,
    /// The answer so far, by message. In a stream only the last message, without text.
    messages: Vec<(u32, String)>,
    usage: Option<Usage>,
    /// Text that was streamed has become void.
    spoiled: bool,
    /// The flood or the giant frame was sent, which happens once.
    exaggerated: bool,
}

impl GuestReply for Reply {
    fn new(context: Context) -> Self {
        let notes = Notes::read(&context.notes);
        let state = State {
            heading: Heading::of(&context),
            messages: Vec::new(),
            usage: None,
            spoiled: false,
            exaggerated: false,
            notes,
        };
        state.misbehave(StampedCall::Open);
        Self(RefCell::new(state))
    }

    fn feed(&self, events: Vec<Event>) -> Output {
        let mut state = self.0.borrow_mut();
        let mut frames = Vec::new();
        for event in events.into_iter().filter(|event| event.source == ANSWER) {
            state.receive(event.kind, &mut frames);
        }
        Output {
            frames,
            handoff: None,
            complete: false,
            #[cfg(not(feature = "earlier"))]
            head: None,
        }
    }

    fn finish(reply: ReplyHandle, ending: Ending) -> Closing {
        let state = reply.into_inner::<Self>().0.into_inner();
        state.misbehave(StampedCall::Finish);
        state.close(ending)
    }

    fn keep_alive(&self) -> Vec<Frame> {
        Vec::new()
    }
}

impl State {
    fn misbehave(&self, call: StampedCall) {
        if let Some(instruction) = self.notes.instruction {
            instruction.happen_at(call);
        }
    }

    fn receive(&mut self, kind: EventKind, frames: &mut Vec<Frame>) {
        match kind {
            EventKind::Text(text) => {
                self.misbehave(StampedCall::Feed);
                self.append_text(&text, frames);
            }
            EventKind::Usage(usage) => self.usage = Some(usage),
            EventKind::Restarted(void) => {
                let is_void = |(number, _): &(u32, String)| void.contains(number);
                self.spoiled |= self.notes.streaming && self.messages.iter().any(is_void);
                self.messages.retain(|message| !is_void(message));
            }
            // The answer came to nothing, and another follows.
            EventKind::Settled(_) => {
                self.spoiled |= self.notes.streaming && !self.messages.is_empty();
                self.messages.clear();
            }
            EventKind::Opened(_)
            | EventKind::Reasoning(_)
            | EventKind::Other(_)
            | EventKind::Picked(_) => {}
        }
    }

    fn append_text(&mut self, text: &Text, frames: &mut Vec<Frame>) {
        let last = self.messages.last().map(|(number, _)| *number);
        let before = match last {
            None => self.notes.greeting.as_str(),
            Some(number) if number == text.message => "",
            Some(_) => "\n\n",
        };
        let piece = [before, &text.text].concat();
        if last != Some(text.message) {
            self.messages.push((text.message, String::new()));
        }
        if self.notes.streaming {
            if !self.spoiled {
                frames.push(self.heading.piece(&piece));
                self.exaggerate(frames);
            }
        } else if let Some((_, whole)) = self.messages.last_mut() {
            whole.push_str(&piece);
        }
    }

    /// Sends a flood or a giant frame, if the request demands it.
    fn exaggerate(&mut self, frames: &mut Vec<Frame>) {
        let Some(Instruction {
            misbehaviour,
            call: StampedCall::Feed,
        }) = self.notes.instruction
        else {
            return;
        };
        if std::mem::replace(&mut self.exaggerated, true) {
            return;
        }
        match misbehaviour {
            Misbehaviour::Flood => {
                frames.extend((0..FLOOD).map(|_| self.heading.piece(&"x".repeat(LARGE))));
            }
            Misbehaviour::Giant => frames.push(giant()),
            Misbehaviour::Trap | Misbehaviour::Loop | Misbehaviour::Stack | Misbehaviour::Slow => {}
        }
    }

    fn close(self, ending: Ending) -> Closing {
        let reason = match ending {
            _ if self.spoiled => Err(upstream(
                "stream_restarted",
                "the model's stream broke and was told anew; send the request again",
            )),
            Ending::Completed => Ok("stop"),
            Ending::Incomplete(Shortfall::MaxOutputTokens) => Ok("length"),
            Ending::Incomplete(Shortfall::ContentFilter) => Ok("content_filter"),
            Ending::Failed(problem) => Err(problem),
            Ending::Interrupted | Ending::HandedOff => Err(upstream(
                "turn_interrupted",
                "the turn was interrupted; send the request again",
            )),
        };
        let texts = self.messages.iter().map(|(_, text)| text.as_str());
        match (reason, self.notes.streaming) {
            (Ok(reason), true) => Closing {
                frames: vec![self.heading.end(reason), dialect::done()],
                body: Ok(String::new()),
                #[cfg(not(feature = "earlier"))]
                object: None,
            },
            (Ok(reason), false) => Closing {
                frames: Vec::new(),
                body: Ok(self
                    .heading
                    .whole(&texts.collect::<String>(), reason, self.usage)),
                #[cfg(not(feature = "earlier"))]
                object: None,
            },
            (Err(problem), streaming) => Closing {
                frames: if streaming {
                    vec![dialect::error(&problem), dialect::done()]
                } else {
                    Vec::new()
                },
                body: Err(problem),
                #[cfg(not(feature = "earlier"))]
                object: None,
            },
        }
    }
}

/// A frame that doubles until there is no more memory.
fn giant() -> Frame {
    let mut data = "x".repeat(LARGE);
    // Native tests have too much memory for this.
    while data.len() < 1 << 30 && data.try_reserve_exact(data.len()).is_ok() {
        data.extend_from_within(..);
    }
    Frame {
        event: None,
        data,
        number: None,
    }
}

fn upstream(code: &str, message: &str) -> Problem {
    problem(ProblemKind::Upstream, code, message)
}
