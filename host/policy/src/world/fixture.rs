//! An older version of the world, for tests: without `manifest` and without `longest-wait` in `load`. It shows that a
//! version is one implementation of `World` over frozen WIT.

use std::borrow::Borrow as _;
use std::future::ready;
use std::sync::{Arc, OnceLock};

use self::bindings::exports::airlock::policy::{admit, prompt, synthesize, translate};
use super::world_impl::world_impl;
use super::{Call, Exports, StoreMut, World};
use crate::sandbox::Sandbox;
use airlock_types::wit::exports::relay;
use airlock_types::wit::{
    Action, Admission, Closing, Context, Description, Ending, Event, Frame, Handoff,
    ImmediateResponse, Load, Message, Model, Outcome, Output, Pattern, Plan, Problem, Request,
    Resume, ToolResult, Verdict,
};
use wasmtime::component::{self, InstancePre, ResourceAny};

/// The version of the fixture's package.
pub(super) const VERSION: &str = "0.1.0-draft";

#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    reason = "bindgen-generated code; the documentation is in wit/"
)]
mod bindings {
    wasmtime::component::bindgen!({
        world: "policy",
        path: "fixtures/wit-0.1",
        exports: { default: async },
        with: { "airlock:policy/types@0.1.0-draft": airlock_types::wit::types },
        additional_derives: [PartialEq],
    });
}

world_impl!(
    VERSION,
    { admit, prompt, translate, synthesize },
    |_| -> wasmtime::Result<_> { Ok(None) },
    |_, _| ready(Ok(None)),
    outcome
);

impl From<Load> for admit::Load {
    fn from(load: Load) -> Self {
        let Load {
            wanted,
            running,
            waiting,
            capacity,
            room,
            longest_wait: _,
        } = load;
        Self {
            wanted,
            running,
            waiting,
            capacity,
            room,
        }
    }
}

impl From<admit::Admission> for Admission {
    fn from(admission: admit::Admission) -> Self {
        match admission {
            admit::Admission::Run => Self::Run,
            admit::Admission::Wait => Self::Wait,
            admit::Admission::Refuse(problem) => Self::Refuse(problem),
        }
    }
}

impl From<prompt::Action> for Action {
    fn from(action: prompt::Action) -> Self {
        match action {
            prompt::Action::Run(plan) => Self::Run(plan.into()),
            prompt::Action::Respond(body) => Self::Respond(ImmediateResponse {
                body,
                frames: Vec::new(),
                changes: Vec::new(),
            }),
        }
    }
}

impl From<prompt::Plan> for Plan {
    fn from(plan: prompt::Plan) -> Self {
        Self {
            streaming: plan.streaming,
            model: plan.model,
            instructions: plan.instructions,
            history: plan.history,
            tools: plan.tools,
            resume: plan.resume.map(Into::into),
            briefs: plan.briefs,
            notes: plan.notes,
            ignored: plan.ignored,
            raw_items: plan.raw_items,
            object: None,
            background: None,
            lock: None,
        }
    }
}

impl From<prompt::Resume> for Resume {
    fn from(resume: prompt::Resume) -> Self {
        let results = resume.results.into_iter().map(|result| ToolResult {
            call: result.call,
            output: result.output,
        });
        Self {
            key: resume.key,
            results: results.collect(),
        }
    }
}

impl From<translate::Frame> for Frame {
    fn from(frame: translate::Frame) -> Self {
        Self {
            event: frame.event,
            data: frame.data,
            number: frame.number,
        }
    }
}

impl From<translate::Output> for Output {
    fn from(output: translate::Output) -> Self {
        Self {
            frames: output.frames.into_iter().map(Into::into).collect(),
            handoff: output.handoff.map(|handoff| Handoff {
                source: handoff.source,
                key: handoff.key,
            }),
            complete: output.complete,
            head: None,
        }
    }
}

impl From<translate::Closing> for Closing {
    fn from(closing: translate::Closing) -> Self {
        Self {
            frames: closing.frames.into_iter().map(Into::into).collect(),
            body: closing.body,
            object: None,
        }
    }
}

fn outcome(outcome: &Outcome) -> synthesize::Outcome {
    let messages = outcome.messages.iter();
    let messages = messages.map(|Message { phase, text }| synthesize::Message {
        phase: *phase,
        text: text.clone(),
    });
    synthesize::Outcome {
        ending: outcome.ending.clone(),
        messages: messages.collect(),
    }
}

impl From<synthesize::Verdict> for Verdict {
    fn from(verdict: synthesize::Verdict) -> Self {
        match verdict {
            synthesize::Verdict::Wait(until) => Self::Wait(until),
            synthesize::Verdict::Show(brief) => Self::Show(brief),
            synthesize::Verdict::Consult(brief) => Self::Consult(brief),
            synthesize::Verdict::Pick(choice) => Self::Pick(choice),
            synthesize::Verdict::Fail(problem) => Self::Fail(problem),
        }
    }
}
