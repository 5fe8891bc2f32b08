//! The client's functions: their names for the client and the model, and the key of a turn that waits for their
//! results.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::json;

/// The most characters of a function's name upstream.
const NAME_AT_MOST: usize = 64;

/// Hexadecimal digits of the digest in a replaced name.
const NAME_DIGEST: usize = 8;

/// The most bytes of arguments that are normalized, over all calls of one comparison: parsing takes long, and parsed
/// values take many times the memory of their text.
const NORMALIZED_AT_MOST: usize = 512 * 1024;

/// The largest whole number that JavaScript represents exactly. Clients in JavaScript write it without a fraction.
const SAFE_INTEGER: f64 = 9_007_199_254_740_992.0;

/// Names that Codex (0.169) reserves for its own tools: it would not pass on a call of one, or refuse the tool.
const RESERVED: &[&str] = &["exec_command", "mcp", "request_user_input", "shell_command"];

/// The prefix of the names of MCP servers' tools.
const RESERVED_PREFIX: &str = "mcp__";

/// The attributes of a request's tools that `translate` needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ToolNotes {
    /// The functions that the model may call.
    pub(crate) offered: Vec<OfferedTool>,
    /// The answer must be a call.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) required: bool,
    /// Only the first of several calls reaches the client.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) single: bool,
    /// The digest of all inputs of the turn, by which a later request is recognized as its continuation.
    pub(crate) conversation: String,
}

/// A function that the model may call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct OfferedTool {
    /// The client's name.
    pub(crate) name: String,
    /// The tool's path in the request, unless it is the element of `tools` with the index among the offered functions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<String>,
    /// The schema that the arguments of every call must satisfy, if the client set `strict`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) strict: Option<String>,
}

/// A call with the client's name and id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FunctionCall<'a> {
    pub(crate) id: Cow<'a, str>,
    pub(crate) name: Cow<'a, str>,
    /// As the model wrote them, usually JSON.
    pub(crate) arguments: Cow<'a, str>,
}

impl ToolNotes {
    /// The function with this name upstream.
    pub(crate) fn by_upstream_name(&self, upstream: &str) -> Option<&OfferedTool> {
        self.offered
            .iter()
            .find(|offered| upstream_name(&offered.name) == upstream)
    }
}

/// The name upstream of a function that the client calls `name`. A name that Codex would refuse is replaced,
/// deterministically, and distinct names stay distinct.
pub(crate) fn upstream_name(name: &str) -> Cow<'_, str> {
    let known = |character: char| character.is_ascii_alphanumeric() || "_-".contains(character);
    let fits = !name.is_empty() && name.len() <= NAME_AT_MOST && name.chars().all(known);
    if fits && !is_reserved(name) {
        return Cow::Borrowed(name);
    }
    let plain = name
        .chars()
        .map(|character| if known(character) { character } else { '_' });
    let plain: String = plain.take(NAME_AT_MOST - NAME_DIGEST - 3).collect();
    // A name must not look like an MCP server's tool.
    let mut upstream = if plain.starts_with(RESERVED_PREFIX) {
        ["x_", &plain].concat()
    } else {
        plain
    };
    upstream.push('_');
    upstream.extend(hex(&Sha256::digest(name)).chars().take(NAME_DIGEST));
    Cow::Owned(upstream)
}

fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name) || name.starts_with(RESERVED_PREFIX)
}

/// A digest of a sequence of parts. Each part's length is digested too: `ab`, `c` differs from `a`, `bc`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Digest(Sha256);

impl Digest {
    pub(crate) fn push(&mut self, part: &str) {
        self.0.update((part.len() as u64).to_le_bytes());
        self.0.update(part);
    }

    /// Hexadecimal digits.
    pub(crate) fn finish(self) -> String {
        hex(&self.0.finalize())
    }
}

/// The digest of a text that arrives in pieces, independent of where it is cut.
#[derive(Clone, Debug, Default)]
pub(crate) struct TextDigest(Sha256);

impl TextDigest {
    pub(crate) fn update(&mut self, piece: &str) {
        self.0.update(piece);
    }

    /// Hexadecimal digits.
    pub(crate) fn finish(self) -> String {
        hex(&self.0.finalize())
    }
}

/// The [`TextDigest`] of a complete text.
#[cfg(test)]
pub(crate) fn text_digest(text: &str) -> String {
    let mut digest = TextDigest::default();
    digest.update(text);
    digest.finish()
}

/// The key of a turn that has written a text and made these calls. `conversation` and `text` are digests. Arguments
/// are normalized first, because clients serialize them again.
pub(crate) fn key(conversation: &str, text: &str, calls: &[FunctionCall<'_>]) -> String {
    let mut digest = Digest::default();
    digest.push(conversation);
    digest.push(text);
    let mut normalizer = ArgumentNormalizer::default();
    for call in calls {
        digest.push(&call.id);
        digest.push(&call.name);
        digest.push(&normalizer.normalize(&call.arguments));
    }
    digest.finish()
}

/// Normalizes the arguments of calls for comparison: no whitespace, members sorted by name, whole numbers without a
/// fraction. What is no JSON, or exceeds the budget, stays as it is. The result for a call depends only on the calls
/// before it.
#[derive(Debug)]
pub(crate) struct ArgumentNormalizer {
    /// Bytes that may still be parsed.
    remaining: usize,
}

impl Default for ArgumentNormalizer {
    fn default() -> Self {
        Self {
            remaining: NORMALIZED_AT_MOST,
        }
    }
}

impl ArgumentNormalizer {
    pub(crate) fn normalize<'a>(&mut self, arguments: &'a str) -> Cow<'a, str> {
        let Some(remaining) = self.remaining.checked_sub(arguments.len()) else {
            self.remaining = 0;
            return Cow::Borrowed(arguments);
        };
        self.remaining = remaining;
        match json::value(arguments) {
            Ok(mut arguments) => {
                normalize_numbers(&mut arguments);
                Cow::Owned(arguments.to_string())
            }
            Err(_) => Cow::Borrowed(arguments),
        }
    }
}

/// Writes whole numbers as integers. A value nests at most 127 levels.
fn normalize_numbers(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            let float = number.as_f64().unwrap_or_default();
            if float.fract() == 0.0 && float.abs() <= SAFE_INTEGER {
                #[expect(clippy::cast_possible_truncation, reason = "it is whole and fits")]
                let whole = float as i64;
                *number = whole.into();
            }
        }
        Value::Array(values) => values.iter_mut().for_each(normalize_numbers),
        Value::Object(members) => members.values_mut().for_each(normalize_numbers),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests;
