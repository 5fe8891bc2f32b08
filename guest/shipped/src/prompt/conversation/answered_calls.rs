//! The calls of the conversation's last reply, once all have results: what a turn that waits for them is found by.

use super::message::into_input;
use super::{ConversationItem, PlacedCall};
use crate::bindings::airlock::policy::types::InputItem;
use crate::bindings::exports::airlock::policy::prompt::ToolResult;
use crate::prompt::content::ContentPart;
use crate::tools::{FunctionCall, TextDigest};

/// Calls that all have results.
#[derive(Debug, PartialEq)]
pub(in crate::prompt) struct AnsweredCalls<'de> {
    /// The digest of the conversation before the reply with the calls.
    pub(in crate::prompt) before: String,
    /// The digest of the reply's text.
    pub(in crate::prompt) text: String,
    pub(in crate::prompt) calls: Vec<FunctionCall<'de>>,
    /// In the order of the calls.
    pub(in crate::prompt) results: Vec<ToolResult>,
}

/// Whether the conversation ends with the results of the reply that begins at this item.
pub(super) fn ends_with_results(reply: usize, items: &[ConversationItem<'_>]) -> bool {
    let is_result = |item: &&ConversationItem<'_>| matches!(item, ConversationItem::Result(..));
    let results = items.iter().rev().take_while(is_result).count();
    let written = items.get(reply..items.len() - results).unwrap_or_default();
    let is_call = |item: &&ConversationItem<'_>| matches!(item, ConversationItem::Call(_));
    // Results of earlier replies would be too many.
    results > 0 && results == written.iter().filter(is_call).count()
}

/// Collects an answered reply while its items are written.
#[derive(Default)]
pub(super) struct AnsweredReply {
    before: String,
    text: TextDigest,
    /// The numbers of the calls.
    calls: Vec<usize>,
    /// The results with the numbers of their calls, in the order of the calls.
    results: Vec<(usize, Vec<InputItem>)>,
}

impl AnsweredReply {
    /// `before` is the digest of the conversation before the reply.
    pub(super) fn new(before: String) -> Self {
        Self {
            before,
            ..Self::default()
        }
    }

    /// Adds the reply's next item, or the next result.
    pub(super) fn push(&mut self, item: ConversationItem<'_>) {
        match item {
            ConversationItem::Message(message) => {
                let texts = message.parts.iter().map(ContentPart::text);
                texts.for_each(|text| self.text.update(text));
            }
            ConversationItem::Call(call) => self.calls.push(call),
            ConversationItem::Result(call, parts) => self.results.push((call, into_input(parts))),
            ConversationItem::Opaque(_) => {}
        }
    }

    /// `calls` are the conversation's. None if a result is not of one of the reply's calls.
    pub(super) fn finish(self, calls: Vec<PlacedCall<'_>>) -> Option<AnsweredCalls<'_>> {
        let own = self.results.iter().map(|(call, _)| call);
        if !own.eq(&self.calls) {
            return None;
        }
        let first = self.calls.first().copied().unwrap_or_default();
        let calls: Vec<FunctionCall<'_>> = calls
            .into_iter()
            .skip(first)
            .map(|placed| placed.call)
            .collect();
        let results = calls.iter().zip(self.results);
        let results = results.map(|(call, (_, output))| ToolResult {
            call: call.id.clone().into_owned(),
            output,
        });
        Some(AnsweredCalls {
            before: self.before,
            text: self.text.finish(),
            results: results.collect(),
            calls,
        })
    }
}
