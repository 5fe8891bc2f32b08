//! An example policy: the shipped one, with secrets removed from the model's answer.
//!
//! A secret is replaced by its kind: `[redacted api key]`. The policy recognizes API keys (`sk-…`), GitHub tokens,
//! AWS keys, bearer tokens, JSON web tokens and private keys in PEM. It scans the answer, streamed or whole, the
//! candidates of a fan-out and the panel's `extra`, the model's reasoning, the annotations of messages, and the messages
//! of failures; not the arguments of calls, which must reach the client's functions unchanged.
//!
//! A stream may be cut anywhere. `stream` therefore holds back the end of a text that may become a secret, usually
//! nothing and at most about 2 KiB. A recognized secret is replaced at once, whatever its length; a private key
//! without an end removes the rest of its message. The output does not depend on the cuts.
//!
//! It wraps the shipped translator and changes the events before that gets them, so the shipped policy needs no
//! change. What the host does not pass to the reply, such as its log or the candidates that a panel compares, is not
//! scanned.

pub mod reply;
pub mod stream;

mod secrets;

use std::cell::RefCell;

use airlock_shipped_policy::bindings::airlock::policy::types::{
    Context, Ending, Event, Model, Problem, Request,
};
use airlock_shipped_policy::bindings::exports::airlock::policy::translate::{
    Closing, Frame, GuestReply, Output, Reply as ReplyHandle,
};
use airlock_shipped_policy::bindings::exports::airlock::policy::{
    admit, manifest, prompt, relay, synthesize, translate,
};
use airlock_shipped_policy::panel;

/// The exports of this component.
#[derive(Debug)]
pub struct RedactPolicy;

#[cfg(target_arch = "wasm32")]
airlock_shipped_policy::bindings::export!(RedactPolicy with_types_in airlock_shipped_policy::bindings);

impl manifest::Guest for RedactPolicy {
    fn describe() -> manifest::Description {
        manifest::Description {
            name: "redact".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "The shipped policy; secrets in the model's text do not reach the client."
                .to_owned(),
            ..airlock_shipped_policy::manifest::describe(&panel::strategies())
        }
    }
}

impl admit::Guest for RedactPolicy {
    fn decide(load: admit::Load) -> admit::Admission {
        airlock_shipped_policy::admit::decide(load)
    }
}

impl prompt::Guest for RedactPolicy {
    fn render(request: Request) -> Result<prompt::Action, Problem> {
        airlock_shipped_policy::prompt::render(&request)
    }
}

impl translate::Guest for RedactPolicy {
    type Reply = RedactingReplyResource;

    fn list_models(dialect: String, models: Vec<Model>) -> String {
        airlock_shipped_policy::models::list(&dialect, &models)
    }

    fn show_model(dialect: String, model: Model) -> String {
        airlock_shipped_policy::models::show(&dialect, &model)
    }
}

/// No patterns: each piece is scanned, because it may begin a secret.
impl relay::Guest for RedactPolicy {
    fn offer(_: relay::ReplyBorrow<'_>) -> Option<relay::Pattern> {
        None
    }

    fn relayed(_: relay::ReplyBorrow<'_>, _: Vec<Event>) {}
}

impl synthesize::Guest for RedactPolicy {
    type Panel = airlock_shipped_policy::component::PanelResource;
}

/// The WIT resource `reply`. A component runs one call at a time, so the cell is never borrowed twice.
#[derive(Debug)]
pub struct RedactingReplyResource(RefCell<reply::RedactingTranslator>);

impl GuestReply for RedactingReplyResource {
    fn new(context: Context) -> Self {
        Self(RefCell::new(reply::RedactingTranslator::new(&context)))
    }

    fn feed(&self, events: Vec<Event>) -> Output {
        self.0.borrow_mut().feed(events)
    }

    fn finish(reply: ReplyHandle, ending: Ending) -> Closing {
        reply.into_inner::<Self>().0.into_inner().finish(ending)
    }

    fn keep_alive(&self) -> Vec<Frame> {
        self.0.borrow_mut().keep_alive()
    }
}
