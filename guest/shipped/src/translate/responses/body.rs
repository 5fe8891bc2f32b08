//! A response as one JSON body: the Response object at its end.

use super::call::ResponseCall;
use super::compaction;
use super::item_id;
use super::items::{push_message, push_reasoning, reasoning_length};
use super::object::{COMPLETED, INCOMPLETE, ResponseStatus, ResponseTemplate};
use crate::json;
use crate::notes::ResponsesNotes;
use crate::tools::FunctionCall;
use crate::translate::collected_answer::{AnswerItem, CollectedAnswer};
use crate::translate::ending::ReplyEnd;
use crate::translate::heading::Heading;

/// The most bytes of an item of the output besides its texts, unless its id is long.
const ITEM_OVERHEAD: usize = 256;

/// The response with this answer and these calls.
pub(in crate::translate) fn body(
    heading: &Heading,
    notes: &ResponsesNotes,
    answer: &CollectedAnswer,
    calls: &[FunctionCall<'static>],
    end: &ReplyEnd<'_>,
) -> String {
    if let Some(compaction) = &notes.compaction {
        return compaction::body(heading, notes, compaction, answer, end);
    }
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
    let template = ResponseTemplate::new(heading, notes);
    let output = output_length(answer, &calls, notes.encrypted_reasoning);
    let mut out = String::with_capacity(template.length(&status) + output);
    template.push(&mut out, &status, |out| {
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
    let id = id.clone().filter(|id| !id.is_empty());
    id.unwrap_or_else(|| item_id(prefix, seed, index))
}

/// Bytes of all items of the output, or a few more.
pub(super) fn output_length(
    answer: &CollectedAnswer,
    calls: &[ResponseCall],
    encrypted: bool,
) -> usize {
    let items = answer.items.iter().map(|item| match item {
        AnswerItem::Message(message) => message.annotations.iter().map(|it| it.len() + 1).sum(),
        AnswerItem::Reasoning(reasoning) => reasoning_length(reasoning, encrypted),
    });
    let calls_length = calls.iter().map(|call| json::text_length(&call.input));
    let count = answer.items.len() + calls.len();
    answer.text.json_length()
        + items.sum::<usize>()
        + calls_length.sum::<usize>()
        + count * ITEM_OVERHEAD
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
