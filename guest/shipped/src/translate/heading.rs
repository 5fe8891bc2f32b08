//! The fields with which every object of a response begins.

use crate::bindings::airlock::policy::types::Context;

/// The turn whose text is the answer. Other turns are those of a fan-out.
pub(super) const ANSWER: u32 = 0;

/// The fields with which every object of a response begins.
#[derive(Debug)]
pub(super) struct Heading {
    pub(super) id: String,
    /// Unix seconds.
    pub(super) created: u64,
    pub(super) model: String,
}

impl Heading {
    pub(super) fn of(context: &Context) -> Self {
        let name = context.id.strip_prefix("req_").unwrap_or(&context.id);
        Self {
            id: format!("chatcmpl-{name}"),
            created: context.arrived / 1000,
            model: context.model.clone(),
        }
    }
}
