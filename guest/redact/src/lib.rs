//! An example of a policy: the shipped one, which lets no secret of the model's answer through to the client.
//!
//! In the place of a secret stands what it was: `[redacted api key]`. It knows API keys (`sk-…`), GitHub's tokens, keys
//! of AWS, bearer tokens, JSON web tokens and private keys in PEM. It looks at the answer, streamed or whole, at the
//! candidates of a fan-out and what its panel picks, at the model's reasoning, and at what is told of failures; not at
//! the arguments of calls, which must reach the client's functions as they are.
//!
//! A stream is cut anywhere. `stream` therefore holds back the tail of a text that may still become a secret, and no
//! more: mostly nothing, and never more than some 2 KiB. What is certain to be a secret is replaced at once, however long it
//! goes on; a private key without an end swallows the rest of its message. What comes out does not depend on the cuts.
//!
//! It wraps the shipped reply, and changes the events before that sees them. So the shipped policy knows nothing of it, and
//! everything that it does with text works as ever. What the host does not show to the reply, such as its log or the
//! candidates that a panel compares, is not looked at.

pub mod reply;
pub mod stream;

mod secrets;

use std::cell::RefCell;

use airlock_shipped_policy::bindings::airlock::policy::types::{
    Context, Ending, Event, Model, Problem, Request,
};
use airlock_shipped_policy::bindings::exports::airlock::policy::translate::{
    Closing, GuestReply, Output, Reply as ReplyHandle,
};
use airlock_shipped_policy::bindings::exports::airlock::policy::{
    admit, manifest, prompt, relay, synthesize, translate,
};
use airlock_shipped_policy::panel;

/// What this component exports.
#[derive(Debug)]
pub struct RedactPolicy;

#[cfg(target_arch = "wasm32")]
airlock_shipped_policy::bindings::export!(RedactPolicy with_types_in airlock_shipped_policy::bindings);

impl manifest::Guest for RedactPolicy {
    fn describe() -> manifest::Description {
        manifest::Description {
            name: "redact".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "The shipped policy; secrets in the model's words do not reach the client."
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
    fn render(request: Request) -> Result<prompt::Plan, Problem> {
        airlock_shipped_policy::prompt::render(&request)
    }
}

impl translate::Guest for RedactPolicy {
    type Reply = RedactingReplyResource;

    fn list_models(_dialect: String, models: Vec<Model>) -> String {
        airlock_shipped_policy::models::list(&models)
    }

    fn show_model(_dialect: String, model: Model) -> String {
        airlock_shipped_policy::models::show(&model)
    }
}

/// Any piece may be the beginning of a secret: each is looked at.
impl relay::Guest for RedactPolicy {
    fn offer(_: relay::ReplyBorrow<'_>) -> Option<relay::Pattern> {
        None
    }

    fn relayed(_: relay::ReplyBorrow<'_>, _: Vec<Event>) {}
}

impl synthesize::Guest for RedactPolicy {
    type Panel = airlock_shipped_policy::component::PanelResource;
}

/// A reply behind the handle that the host holds. A component runs one call at a time, so the cell is never borrowed
/// twice.
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
}
