//! What every object of a response begins with.

use crate::bindings::airlock::policy::types::Context;

/// The turn whose text is the answer. Others are those of a fan-out.
pub(super) const ANSWER: u32 = 0;

/// What every object of a response begins with.
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
