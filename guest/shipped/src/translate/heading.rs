//! The attributes of a response that do not change: they identify it in every object.

use crate::bindings::airlock::policy::types::Context;
use crate::stored_response;

/// The turn whose text is the answer. Other turns are those of a fan-out.
pub(super) const ANSWER: u32 = 0;

/// The attributes of a response that do not change.
#[derive(Clone, Debug)]
pub(super) struct Heading {
    /// The request's id as the host made it: `req_…`.
    pub(super) request: String,
    /// The text from which the response's identifiers are made: the request's seed, or its id where there is no seed.
    pub(super) seed: String,
    /// Unix seconds.
    pub(super) created: u64,
    pub(super) model: String,
    /// The index of the choice that is written, if the response has several.
    pub(super) choice: Option<u32>,
}

impl Heading {
    pub(super) fn of(context: &Context) -> Self {
        Self {
            request: context.id.clone(),
            seed: stored_response::seed(&context.id, &context.seed).to_owned(),
            created: context.arrived / 1000,
            model: context.model.clone(),
            choice: None,
        }
    }

    /// The request's id without its prefix.
    pub(super) fn request_name(&self) -> &str {
        self.request.strip_prefix("req_").unwrap_or(&self.request)
    }
}
