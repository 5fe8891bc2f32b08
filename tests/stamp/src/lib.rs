//! A small policy for proofs, independent of the shipped one: each of its frames and whole answers carries a stamp.
//!
//! It implements chat completions in their simplest form: `model`, `messages` (only the user's last one is used), `stream` and
//! `parallel_calls`. The stamp is ten bytes that occur exactly once in the component. A test that patches them has a policy of
//! the same size and speed with another digest.
//!
//! `stamp:MISBEHAVIOUR:CALL` in a request's text makes the policy misbehave in that call. The misbehaviours are `trap`, `loop`,
//! `stack` (endless recursion), `slow` (some milliseconds more), and only in `feed` also `flood` (64 frames of 1 MiB, once) and
//! `giant` (one frame as large as memory allows). The calls are `render`, `decide`, `open`, `feed`, `finish`, `panel` and
//! `models`; for the last, the marker is in the description of a model.
//!
//! The feature `earlier` builds the policy for the earlier world of `host/policy/fixtures`. With the feature `wasi` it uses every
//! interface of WASI if a request has `stamp:outside`, and its answer begins with the results.

pub mod bindings;
pub mod misbehaviour;

mod dialect;
#[cfg(feature = "wasi")]
mod outside;
mod panel;
mod render;
mod reply;

use std::cell::Cell;
use std::hint::black_box;

use bindings::airlock::policy::types::{Model, Problem, ProblemKind, Request};
#[cfg(not(feature = "earlier"))]
use bindings::exports::airlock::policy::manifest;
use bindings::exports::airlock::policy::{admit, prompt, synthesize, translate};
use misbehaviour::{Instruction, StampedCall};

pub use panel::Panel;
pub use reply::Reply;

/// The only dialect that it implements.
const DIALECT: &str = "chat-completions";

/// The placeholder of the stamp. Nothing else in the component may contain these bytes.
#[used]
static STAMP: [u8; 10] = *b"STAMP-0000";

/// The exports of this component.
#[derive(Debug)]
pub struct Policy;

thread_local! {
    /// The request's instruction, for `decide`, which receives nothing of the request.
    static INSTRUCTION: Cell<Option<Instruction>> = const { Cell::new(None) };
}

/// The stamp of the patched component, which the compiler must not know.
pub fn stamp() -> String {
    String::from_utf8_lossy(black_box(&STAMP)).into_owned()
}

#[cfg(not(feature = "earlier"))]
impl manifest::Guest for Policy {
    fn describe() -> manifest::Description {
        manifest::Description {
            name: "stamp".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "Chat completions in their simplest form, each with a stamp, for proofs."
                .to_owned(),
            dialects: vec![DIALECT.to_owned()],
            strategies: vec!["first".to_owned()],
            settings: vec![manifest::Setting {
                name: "greeting".to_owned(),
                summary: "What each answer begins with.".to_owned(),
                takes: manifest::Takes::Text,
                default: Some("\"\"".to_owned()),
            }],
        }
    }
}

impl admit::Guest for Policy {
    fn decide(load: admit::Load) -> admit::Admission {
        if let Some(instruction) = INSTRUCTION.get() {
            instruction.happen_at(StampedCall::Decide);
        }
        if load.waiting == 0 && load.running.saturating_add(load.wanted) <= load.capacity {
            return admit::Admission::Run;
        }
        if load.wanted <= load.capacity && load.waiting < load.room {
            return admit::Admission::Wait;
        }
        admit::Admission::Refuse(Problem {
            retry_after_seconds: Some(1),
            ..problem(
                ProblemKind::Overloaded,
                "gateway_busy",
                "the gateway is busy: try again in a moment",
            )
        })
    }
}

impl prompt::Guest for Policy {
    fn render(request: Request) -> Result<prompt::Action, Problem> {
        let (plan, instruction) = render::render(&request)?;
        INSTRUCTION.set(instruction);
        if let Some(instruction) = instruction {
            instruction.happen_at(StampedCall::Render);
        }
        Ok(prompt::Action::Run(plan))
    }
}

impl translate::Guest for Policy {
    type Reply = Reply;

    fn list_models(_dialect: String, models: Vec<Model>) -> String {
        dialect::list(&models.iter().map(described).collect::<Vec<_>>())
    }

    fn show_model(_dialect: String, model: Model) -> String {
        described(&model)
    }
}

impl synthesize::Guest for Policy {
    type Panel = Panel;
}

fn described(model: &Model) -> String {
    if let Some(instruction) = Instruction::in_text(&model.description) {
        instruction.happen_at(StampedCall::Models);
    }
    dialect::model(&model.id)
}

fn problem(kind: ProblemKind, code: &str, message: &str) -> Problem {
    Problem {
        kind,
        code: Some(code.to_owned()),
        message: message.to_owned(),
        param: None,
        retry_after_seconds: None,
    }
}

#[cfg(test)]
mod tests;
