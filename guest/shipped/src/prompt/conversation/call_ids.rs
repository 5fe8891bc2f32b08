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
    /// The index of its message, and its index among that message's calls.
    position: (usize, usize),
    /// How many ids were generated for it and for earlier calls with the same id.
    count: u32,
}

impl<'de> CallIds<'de> {
    /// The id upstream of the call at `position`, if it is not the client's. The outer None: another call of the same
    /// message has this id.
    #[allow(clippy::ptr_arg, reason = "a clone of it still borrows from the body")]
    pub(super) fn assign(
        &mut self,
        id: &Cow<'de, str>,
        position: (usize, usize),
    ) -> Option<Option<String>> {
        let mut count = 0;
        if let Some(latest) = self.latest.get_mut(id) {
            if latest.position.0 == position.0 {
                return None;
            }
            latest.position = position;
            count = latest.count;
        } else {
            let latest = LatestCall { position, count };
            self.latest.insert(id.clone(), latest);
            if is_taken_upstream(id) && !self.generated.contains(id.as_ref()) {
                return Some(None);
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
        Some(Some(generated))
    }

    /// The position of the last call with this id: the index of its message, and its index among that message's
    /// calls.
    pub(super) fn latest(&self, id: &str) -> Option<(usize, usize)> {
        self.latest.get(id).map(|latest| latest.position)
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
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    /// The ids upstream of calls with these ids, each in a message of its own.
    fn upstream(ids: &[&'static str]) -> Vec<String> {
        let mut known = CallIds::default();
        let assign = |(message, id): (usize, &&'static str)| {
            let generated = known.assign(&Cow::Borrowed(*id), (message, 0)).unwrap();
            generated.unwrap_or_else(|| (*id).to_owned())
        };
        ids.iter().enumerate().map(assign).collect()
    }

    #[test]
    fn ids_that_the_api_accepts_are_unchanged() {
        let longest: &str = &"x".repeat(AT_MOST);
        let ids = [
            "call_1",
            "f:0",
            "functions.f:0",
            "~",
            longest.to_owned().leak(),
        ];
        assert_eq!(upstream(&ids), ids);
    }

    #[test]
    fn other_ids_are_replaced_and_stay_distinct() {
        let beginning = "x".repeat(AT_MOST);
        let ids = ["a", "b", "bb"].map(|end| &*format!("{beginning}{end}").leak());
        let others = [
            "a\nb",
            "a b",
            "a\u{0}b",
            "\u{e9}",
            "\u{2028}",
            &*"y".repeat(1324).leak(),
        ];
        let ids = [&ids[..], &others].concat();
        let generated = upstream(&ids);
        assert_eq!(generated, upstream(&ids));
        for id in &generated {
            assert!(id.starts_with("call_") && is_taken_upstream(id), "{id}");
        }
        assert_eq!(BTreeSet::from_iter(&generated).len(), ids.len());
        assert_eq!(
            generated[3],
            "call_3409cbed263a1441a5827699869edad68b7c8872"
        );
    }

    #[test]
    fn a_repeated_id_is_replaced_depending_on_earlier_calls_alone() {
        let ids = ["f:0", "f:0", "g", "f:0"];
        let all = upstream(&ids);
        assert_eq!((all[0].as_str(), all[2].as_str()), ("f:0", "g"));
        assert_eq!(BTreeSet::from_iter(&all).len(), 4);
        for end in 0..ids.len() {
            assert_eq!(upstream(&ids[..end]), all[..end]);
        }
        // Long ones that are repeated too.
        let long: &'static str = "z".repeat(65).leak();
        let all = upstream(&[long, long]);
        assert_ne!(all[0], all[1]);
    }

    #[test]
    fn generated_ids_do_not_collide_with_the_clients() {
        let second: &'static str = generated_id("f:0", 1).leak();
        let third: &'static str = generated_id("f:0", 2).leak();
        for ids in [
            ["f:0", "f:0", second, third],
            [second, "f:0", "f:0", third],
            ["f:0", second, "f:0", third],
            ["f:0", "f:0", "f:0", second],
        ] {
            assert_eq!(BTreeSet::from_iter(upstream(&ids)).len(), 4, "{ids:?}");
        }
    }

    #[test]
    fn an_id_repeated_in_one_message_is_refused() {
        let mut known = CallIds::default();
        let id = Cow::Borrowed("f:0");
        assert_eq!(known.assign(&id, (1, 0)), Some(None));
        assert_eq!(known.assign(&id, (1, 1)), None);
        assert!(matches!(known.assign(&id, (2, 0)), Some(Some(_))));
        assert_eq!(known.latest("f:0"), Some((2, 0)));
        assert_eq!(known.latest("g"), None);
    }
}
