//! How a request is known to go on where another one's turn waits: by all that the turn depends on.

use super::conversation::AnsweredCalls;
use super::tool_choice::ToolOffer;
use crate::bindings::airlock::policy::types::{Brief, Selection};
use crate::bindings::exports::airlock::policy::prompt::Resume;
use crate::tools::{self, Digest, ToolNotes, seen_name};

#[cfg(test)]
mod tests;

/// What a turn depends on besides the items of its conversation.
pub(super) struct TurnInputs<'a> {
    pub(super) model: Option<&'a Selection>,
    /// The plan's.
    pub(super) instructions: &'a str,
    pub(super) brief: &'a Brief,
    pub(super) offer: &'a ToolOffer<'a>,
}

impl TurnInputs<'_> {
    /// What the translator must know of the tools. `items` is the digest of the whole conversation; `single` lets only
    /// the first call through.
    pub(super) fn tools(&self, items: &str, single: bool) -> ToolNotes {
        let functions = self.offer.functions.iter();
        ToolNotes {
            offered: functions
                .enumerate()
                .map(|(index, it)| it.offered(index))
                .collect(),
            required: self.offer.demand.is_some(),
            single,
            conversation: self.conversation(items),
        }
    }

    /// The turn that waits for these results.
    pub(super) fn resume(&self, answered: AnsweredCalls<'_>) -> Resume {
        let conversation = self.conversation(&answered.before);
        Resume {
            key: tools::key(&conversation, &answered.text, &answered.calls),
            results: answered.results,
        }
    }

    /// The digest of a conversation whose items have this one.
    fn conversation(&self, items: &str) -> String {
        let name = |wish: Option<&Selection>| wish.map_or("", |wish| &wish.name).to_owned();
        let mut digest = Digest::default();
        for part in [
            items,
            &name(self.model),
            &name(self.brief.effort.as_ref()),
            self.brief.summary.as_deref().unwrap_or_default(),
            self.instructions,
            &self.brief.instructions,
            self.brief.output_schema.as_deref().unwrap_or_default(),
            flag(self.offer.demand.is_some()),
        ] {
            digest.push(part);
        }
        for function in &self.offer.functions {
            digest.push(&seen_name(&function.name));
            digest.push(&function.description);
            digest.push(&function.parameters);
            digest.push(flag(function.strict));
        }
        digest.finish()
    }
}

fn flag(flag: bool) -> &'static str {
    if flag { "yes" } else { "no" }
}
