//! The ids of calls: the client's, and those that Codex and the model get in their place.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::tools::Digest;

/// The most characters of a `call_id` that the Responses API accepts; a longer one is its 400
/// `string_above_max_length`.
const AT_MOST: usize = 64;

/// Hexadecimal digits of the digest in a generated id.
const DIGITS: usize = 40;

/// Assigns the ids of a conversation's calls, in their order.
///
/// A call keeps the client's id if the API accepts it and no earlier call has it. Any other gets an id that depends
/// only on the client's id and the calls before it: a conversation that is continued begins with the same items, so
/// that the model's cache applies.
#[derive(Default)]
pub(super) struct CallIds<'de> {
    latest: BTreeMap<Cow<'de, str>, LatestCall>,
    /// The generated ids.
    generated: BTreeSet<String>,
}

/// The last call with an id.
struct LatestCall {
    /// Its number in the conversation.
    number: usize,
    /// How many ids were generated for it and for earlier calls with the same id.
    count: u32,
}

impl<'de> CallIds<'de> {
    /// The id upstream of the call of this number, if it is not the client's.
    #[allow(clippy::ptr_arg, reason = "a clone of it still borrows from the body")]
    pub(super) fn assign(&mut self, id: &Cow<'de, str>, number: usize) -> Option<String> {
        let mut count = 0;
        if let Some(latest) = self.latest.get_mut(id) {
            latest.number = number;
            count = latest.count;
        } else {
            let latest = LatestCall { number, count };
            self.latest.insert(id.clone(), latest);
            if is_taken_upstream(id) && !self.generated.contains(id.as_ref()) {
                return None;
            }
        }
        let generated = loop {
            count += 1;
            let generated = generated_id(id, count);
            if !self.latest.contains_key(generated.as_str())
                && self.generated.insert(generated.clone())
            {
                break generated;
            }
        };
        if let Some(latest) = self.latest.get_mut(id) {
            latest.count = count;
        }
        Some(generated)
    }

    /// The number of the last call with this id.
    pub(super) fn latest(&self, id: &str) -> Option<usize> {
        self.latest.get(id).map(|latest| latest.number)
    }
}

/// Whether the Responses API accepts the id.
fn is_taken_upstream(id: &str) -> bool {
    !id.is_empty() && id.len() <= AT_MOST && id.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The generated id of this number for a client's `id`.
fn generated_id(id: &str, number: u32) -> String {
    let mut digest = Digest::default();
    digest.push(id);
    digest.push(&number.to_string());
    let digest = digest.finish();
    ["call_", digest.get(..DIGITS).unwrap_or(&digest)].concat()
}

#[cfg(test)]
mod tests;
