//! Recognizes a request that continues a turn which waits for results: by a digest of all inputs of that turn.

use super::conversation::AnsweredCalls;
use super::tool_choice::ToolOffer;
use crate::bindings::airlock::policy::types::{Brief, Selection};
use crate::bindings::exports::airlock::policy::prompt::Resume;
use crate::tools::{self, Digest, ToolNotes, upstream_name};

#[cfg(test)]
mod tests;

/// The inputs of a turn besides the items of its conversation.
pub(super) struct TurnInputs<'a> {
    pub(super) model: Option<&'a Selection>,
    /// The plan's instructions.
    pub(super) instructions: &'a str,
    pub(super) brief: &'a Brief,
    pub(super) offer: &'a ToolOffer<'a>,
    /// Whether Codex passes on each item as the model made it, which is settled when the turn starts.
    pub(super) raw_items: bool,
}

impl TurnInputs<'_> {
    /// The notes for the translator. `items` is the digest of the whole conversation; with `single` only the first
    /// call reaches the client.
    pub(super) fn tools(&self, items: &str, single: bool) -> ToolNotes {
        let functions = self.offer.functions.iter();
        ToolNotes {
            offered: functions
                .enumerate()
                .map(|(index, it)| it.offered(index))
                .collect(),
            required: self.offer.call_instructions.is_some(),
            single,
            conversation: self.conversation(items),
        }
    }

    /// The key of the turn that waits for these results, and the results.
    pub(super) fn resume(&self, answered: AnsweredCalls<'_>) -> Resume {
        let conversation = self.conversation(&answered.before);
        Resume {
            key: tools::key(&conversation, &answered.text, &answered.calls),
            results: answered.results,
        }
    }

    /// The digest of a turn's inputs. `items` is the digest of its conversation's items.
    fn conversation(&self, items: &str) -> String {
        let name = |selection: Option<&Selection>| {
            selection.map_or("", |selection| &selection.name).to_owned()
        };
        let mut digest = Digest::default();
        for part in [
            items,
            &name(self.model),
            &name(self.brief.effort.as_ref()),
            self.brief.summary.as_deref().unwrap_or_default(),
            self.instructions,
            &self.brief.instructions,
            self.brief.output_schema.as_deref().unwrap_or_default(),
            flag(self.offer.call_instructions.is_some()),
        ] {
            digest.push(part);
        }
        if let Some(verbosity) = &self.brief.verbosity {
            digest.push("verbosity");
            digest.push(verbosity);
        }
        if self.raw_items {
            digest.push("raw items");
        }
        for function in &self.offer.functions {
            digest.push(&upstream_name(&function.name));
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
