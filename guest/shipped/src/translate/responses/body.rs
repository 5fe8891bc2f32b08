//! A response as one JSON body: the Response object at its end.

use super::call::ResponseCall;
use super::item_id;
use super::items::{push_message, push_reasoning};
use super::object::{COMPLETED, INCOMPLETE, ResponseStatus, ResponseTemplate};
use crate::notes::ResponsesNotes;
use crate::tools::FunctionCall;
use crate::translate::airlock_object::AirlockObject;
use crate::translate::collected_answer::{AnswerItem, CollectedAnswer};
use crate::translate::ending::ReplyEnd;
use crate::translate::heading::Heading;

/// The least bytes of a body besides its texts.
const BODY_OVERHEAD: usize = 2048;

/// The response with this answer and these calls.
pub(in crate::translate) fn body(
    heading: &Heading,
    notes: &ResponsesNotes,
    answer: &CollectedAnswer,
    calls: &[FunctionCall<'static>],
    end: &ReplyEnd<'_>,
) -> String {
    let status = ResponseStatus::ended(end);
    let ids: Vec<String> = answer
        .items
        .iter()
        .enumerate()
        .map(|(index, item)| output_id(item, &heading.seed, index))
        .collect();
    let calls: Vec<ResponseCall> = calls
        .iter()
        .zip(answer.items.len()..)
        .map(|(call, index)| ResponseCall::of(call, &notes.renamed_tools, &heading.seed, index))
        .collect();
    let airlock = end.airlock.as_ref().map_or(0, AirlockObject::json_length);
    let mut out = String::with_capacity(answer.text.json_length() + airlock + BODY_OVERHEAD);
    ResponseTemplate::new(heading, notes).push(&mut out, &status, |out| {
        push_output(
            out,
            answer,
            &ids,
            &calls,
            notes.encrypted_reasoning,
            status.incomplete_item(answer),
        );
    });
    out
}

/// The id of an item: the model's if Codex reported one.
pub(super) fn output_id(item: &AnswerItem, seed: &str, index: usize) -> String {
    let (id, prefix) = match item {
        AnswerItem::Message(message) => (&message.id, "msg"),
        AnswerItem::Reasoning(reasoning) => (&reasoning.id, "rs"),
    };
    id.clone().unwrap_or_else(|| item_id(prefix, seed, index))
}

/// Appends all items of the output. `incomplete` is the index of an item that the model did not complete.
pub(super) fn push_output(
    out: &mut String,
    answer: &CollectedAnswer,
    ids: &[String],
    calls: &[ResponseCall],
    encrypted: bool,
    incomplete: Option<usize>,
) {
    for (index, (item, id)) in answer.items.iter().zip(ids).enumerate() {
        if index > 0 {
            out.push(',');
        }
        match item {
            AnswerItem::Message(message) => {
                let text = answer.text.message(message.number);
                let status = if incomplete == Some(index) {
                    INCOMPLETE
                } else {
                    COMPLETED
                };
                push_message(out, id, message, text, status);
            }
            AnswerItem::Reasoning(reasoning) => push_reasoning(out, id, reasoning, encrypted),
        }
    }
    for (index, call) in calls.iter().enumerate() {
        if index > 0 || !answer.items.is_empty() {
            out.push(',');
        }
        call.push_item(out, true);
    }
}
