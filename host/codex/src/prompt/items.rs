//! Checks of the items that a policy writes as history. Codex accepts some items and silently drops them (0.163.0 and 0.169.0),
//! so the gateway refuses these, as the policy's failure.

use std::borrow::Cow;
use std::collections::HashSet;

use serde::Deserialize;
use serde_json::Value;

use super::policy_failure;
use airlock_types::failure::Failure;

/// The types of items that Codex passes on. It drops any other type.
const TYPES: [&str; 11] = [
    "message",
    "reasoning",
    "agent_message",
    "function_call",
    "function_call_output",
    "custom_tool_call",
    "custom_tool_call_output",
    "local_shell_call",
    "web_search_call",
    "image_generation_call",
    "compaction",
];

/// The prefix with which the JSON of items names an attachment.
pub(super) const ATTACHMENT: &str = "attachment:";

/// The members that may have parts: of a `message`, and of a `function_call_output`.
pub(super) const PART_LISTS: [&str; 2] = ["content", "output"];

/// The types of parts that Codex may change.
const PARTS: [&str; 2] = ["input_image", "input_audio"];

/// The check of a history, item by item.
#[derive(Default)]
pub(super) struct HistoryCheck {
    calls: HashSet<String>,
    outputs: HashSet<String>,
}

#[derive(Deserialize)]
struct ItemHead<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(default, borrow)]
    role: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    call_id: Option<Cow<'a, str>>,
}

impl HistoryCheck {
    /// Checks the next item.
    ///
    /// # Errors
    /// Codex would drop the item.
    pub(super) fn push(&mut self, item: &str) -> Result<(), Failure> {
        let head: ItemHead<'_> =
            serde_json::from_str(item).map_err(|error| policy_failure(error.to_string()))?;
        let kind = head.kind.as_ref();
        if !TYPES.contains(&kind) {
            return Err(policy_failure("an item of a type that Codex drops"));
        }
        if kind == "message" && head.role.as_deref() == Some("system") {
            return Err(policy_failure(
                "Codex drops messages of role `system`: write `developer`",
            ));
        }
        if let Some(id) = head.call_id {
            let is_output = kind.ends_with("_output");
            let ids = if is_output {
                &mut self.outputs
            } else {
                &mut self.calls
            };
            ids.insert(id.into_owned());
        }
        Ok(())
    }

    /// Checks that calls and outputs match.
    ///
    /// # Errors
    /// A call has no output, for which Codex would write `aborted`, or an output has no call, which Codex would drop.
    pub(super) fn finish(self) -> Result<(), Failure> {
        if self.calls == self.outputs {
            return Ok(());
        }
        Err(policy_failure(
            "a call without an output, or an output without a call",
        ))
    }
}

/// Whether an item may have parts that `check_parts` must check.
pub(super) fn has_media(item: &str) -> bool {
    PARTS.iter().any(|kind| item.contains(kind))
}

/// Checks an item's parts.
///
/// # Errors
/// An image is not an attachment, which Codex may replace or the model's API refuse; or there is audio, which Codex replaces by
/// text.
pub(super) fn check_parts(item: &Value) -> Result<(), Failure> {
    for part in parts(item) {
        if part["type"] == "input_audio" {
            return Err(policy_failure("audio in an item, which models do not take"));
        }
        if part["type"] == "input_image" && attachment_of(part).is_none() {
            return Err(policy_failure("an image that is not an attachment"));
        }
    }
    Ok(())
}

/// The parts of a message, or of the output of a call.
pub(super) fn parts(item: &Value) -> impl Iterator<Item = &Value> {
    let lists = PART_LISTS
        .iter()
        .filter_map(|member| item[*member].as_array());
    lists.flatten()
}

/// The attachment that a part of a message names.
pub(super) fn attachment_of(part: &Value) -> Option<u32> {
    if part["type"] != "input_image" {
        return None;
    }
    part["image_url"]
        .as_str()?
        .strip_prefix(ATTACHMENT)?
        .parse()
        .ok()
}
