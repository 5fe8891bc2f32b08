//! The policy of the limit: compiled natively, or in the least sandbox.

use std::sync::Arc;

use airlock_shipped_policy::bindings::airlock::policy::types::{
    Context, Ending, Event, InputItem, Request, Transport,
};
use airlock_shipped_policy::bindings::exports::airlock::policy::prompt::Action;
use airlock_shipped_policy::bindings::exports::airlock::policy::translate::Frame;
use airlock_shipped_policy::{prompt, translate};
use anyhow::{Context as _, Result, anyhow, bail};

use super::sandbox::{CompiledPolicy, Sandbox};

/// The request, as a value of either side: the native types and those of the sandbox differ.
macro_rules! request {
    ($request:ident, $transport:ident, $body:expr) => {
        $request {
            id: "req_limit".to_owned(),
            arrived: 0,
            dialect: airlock_shipped_policy::DIALECT.to_owned(),
            body: $body,
            attachments: Vec::new(),
            settings: "{}".to_owned(),
            nested: false,
            route: "POST /v1/chat/completions".to_owned(),
            path_parameters: Vec::new(),
            query: Vec::new(),
            seed: String::new(),
            transport: $transport::Http,
            has_store: true,
            loaded: None,
        }
    };
}

/// The part of a plan that the limit uses, from either side's type.
macro_rules! rendered_plan {
    ($item:ident, $plan:expr, $brief:expr) => {{
        let input = $brief.input.into_iter().filter_map(|item| match item {
            $item::Text(text) => Some(text),
            $item::Attachment(_) => None,
        });
        RenderedPlan {
            streaming: $plan.streaming,
            model: $plan.model.map(|model| model.name).unwrap_or_default(),
            instructions: $plan.instructions,
            history: $plan.history,
            input: input.collect(),
            notes: $plan.notes,
        }
    }};
}

pub(crate) use {rendered_plan, request};

/// Where the policy runs.
#[derive(Clone)]
pub(crate) enum Policy {
    Native,
    Sandboxed(Arc<CompiledPolicy>),
}

/// The part of a plan that the limit uses.
pub(crate) struct RenderedPlan {
    pub(crate) streaming: bool,
    pub(crate) model: String,
    pub(crate) instructions: String,
    /// Each item is JSON.
    pub(crate) history: Vec<String>,
    pub(crate) input: Vec<String>,
    /// The policy's own.
    pub(crate) notes: String,
}

/// The policy's state for one request.
#[expect(
    clippy::large_enum_variant,
    reason = "a program has only one of the two"
)]
pub(crate) enum Session {
    Native(Option<translate::ReplyTranslator>),
    Sandboxed(Box<Sandbox>),
}

impl Policy {
    /// Renders a request.
    pub(crate) fn render(&self, body: String) -> Result<(Session, RenderedPlan)> {
        let compiled = match self {
            Self::Native => return Ok((Session::Native(None), rendered(body)?)),
            Self::Sandboxed(compiled) => compiled,
        };
        let mut sandbox = Box::new(to_anyhow(compiled.sandbox())?);
        let plan = to_anyhow(sandbox.render(body))?;
        Ok((Session::Sandboxed(sandbox), plan))
    }
}

fn rendered(body: String) -> Result<RenderedPlan> {
    let rendered = prompt::render(&request!(Request, Transport, body));
    let action = rendered.map_err(|problem| anyhow!("{}", problem.message))?;
    let Action::Run(mut plan) = action else {
        return Err(anyhow!("a chat completion needs a turn"));
    };
    let brief = plan.briefs.pop().context("no brief")?;
    Ok(rendered_plan!(InputItem, plan, brief))
}

impl Session {
    /// Opens the reply.
    pub(crate) fn open(&mut self, model: String, notes: String) -> Result<()> {
        let context = Context {
            id: "req_limit".to_owned(),
            arrived: 0,
            dialect: airlock_shipped_policy::DIALECT.to_owned(),
            model,
            notes,
            seed: String::new(),
        };
        match self {
            Self::Native(reply) => *reply = Some(translate::ReplyTranslator::new(&context)),
            Self::Sandboxed(sandbox) => to_anyhow(sandbox.open(context))?,
        }
        Ok(())
    }

    /// Feeds events, and writes their frames.
    pub(crate) fn feed(&mut self, events: Vec<Event>, text: &mut String) -> Result<()> {
        match self {
            Self::Native(Some(reply)) => {
                write(text, data(reply.feed(events).frames));
                Ok(())
            }
            Self::Native(None) => bail!("no reply"),
            Self::Sandboxed(sandbox) => to_anyhow(sandbox.feed(events, text)),
        }
    }

    /// Finishes the reply, and writes its last frames. Returns the whole answer, or the problem of the request.
    pub(crate) fn finish(self, text: &mut String) -> Result<Result<String>> {
        match self {
            Self::Native(reply) => {
                let closing = reply.context("no reply")?.finish(Ending::Completed);
                write(text, data(closing.frames));
                let body = closing.body;
                Ok(body.map_err(|problem| anyhow!("{}", problem.message)))
            }
            Self::Sandboxed(sandbox) => to_anyhow(sandbox.finish(text)),
        }
    }
}

/// wasmtime has errors of its own.
pub(crate) fn to_anyhow<T>(outcome: wasmtime::Result<T>) -> Result<T> {
    outcome.map_err(|error| anyhow!("{error:#}"))
}

fn data(frames: Vec<Frame>) -> impl Iterator<Item = String> {
    frames.into_iter().map(|frame| frame.data)
}

/// Writes the data of frames as server-sent events.
pub(crate) fn write(text: &mut String, frames: impl Iterator<Item = String>) {
    for data in frames {
        text.extend(["data: ", &data, "\n\n"]);
    }
}
