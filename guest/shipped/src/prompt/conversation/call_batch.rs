//! The calls of one assistant's message, and their results.

use super::chat_message::{ChatMessage, ToolMessageError, into_input};
use crate::bindings::exports::airlock::policy::prompt::ToolResult;
use crate::prompt::content::ContentPart;
use crate::tools::{FunctionCall, text_digest};

/// Calls that all have results.
#[derive(Debug, PartialEq)]
pub(in crate::prompt) struct AnsweredCalls<'de> {
    /// The digest of the conversation before the calls.
    pub(in crate::prompt) before: String,
    /// The digest of the text beside the calls.
    pub(in crate::prompt) text: String,
    pub(in crate::prompt) calls: Vec<FunctionCall<'de>>,
    /// In the order of the calls.
    pub(in crate::prompt) results: Vec<ToolResult>,
}

/// An assistant's message with calls, and the results that have followed.
pub(super) struct CallBatch<'de> {
    /// The message's index in the request, from 0.
    pub(super) index: usize,
    /// The message without its calls.
    pub(super) message: ChatMessage<'de>,
    pub(super) calls: Vec<FunctionCall<'de>>,
    /// For each call its id upstream, if that is not the client's.
    upstream_ids: Vec<Option<String>>,
    /// For each call its result, if that has come.
    results: Vec<Option<Vec<ContentPart<'de>>>>,
}

impl<'de> CallBatch<'de> {
    pub(super) fn new(
        index: usize,
        message: ChatMessage<'de>,
        calls: Vec<FunctionCall<'de>>,
        upstream_ids: Vec<Option<String>>,
    ) -> Self {
        Self {
            index,
            message,
            upstream_ids,
            results: calls.iter().map(|_| None).collect(),
            calls,
        }
    }

    /// Adds the result of the call at `index`. False if it has one, or there is no such call.
    pub(super) fn add_result(&mut self, call: usize, parts: Vec<ContentPart<'de>>) -> bool {
        match self.results.get_mut(call) {
            Some(result) if result.is_none() => {
                *result = Some(parts);
                true
            }
            Some(_) | None => false,
        }
    }

    /// # Errors
    ///
    /// If a call has no result.
    pub(super) fn check_answered(&self) -> Result<(), ToolMessageError> {
        match self.results.iter().position(Option::is_none) {
            None => Ok(()),
            Some(call) => Err(ToolMessageError::Call(
                self.index,
                call,
                "a call without a result: a message of role `tool` with this `tool_call_id` must follow, before any other message",
            )),
        }
    }

    /// The calls, each with its id upstream.
    pub(super) fn calls_upstream(&self) -> impl Iterator<Item = (&str, &FunctionCall<'de>)> {
        let calls = self.calls.iter().zip(&self.upstream_ids);
        calls.map(|(call, upstream)| (upstream.as_deref().unwrap_or(&call.id), call))
    }

    /// The results in the order of the calls, each with its call's ids: upstream, and the client's.
    pub(super) fn results(&self) -> impl Iterator<Item = ([&str; 2], &[ContentPart<'de>])> {
        self.calls_upstream()
            .zip(&self.results)
            .filter_map(|((id, call), result)| Some(([id, &call.id], result.as_deref()?)))
    }

    /// `before` is the digest of the conversation before the calls.
    pub(super) fn into_answered(self, before: String) -> AnsweredCalls<'de> {
        let text = match self.message.parts.as_slice() {
            [part] => text_digest(part.text()),
            parts => {
                let texts: Vec<&str> = parts.iter().map(ContentPart::text).collect();
                text_digest(&texts.concat())
            }
        };
        let results = self
            .calls
            .iter()
            .zip(self.results)
            .filter_map(|(call, result)| {
                let (call, output) = (call.id.clone().into_owned(), into_input(result?));
                Some(ToolResult { call, output })
            })
            .collect();
        AnsweredCalls {
            before,
            text,
            calls: self.calls,
            results,
        }
    }
}
