//! The Responses API: the stream of events, and the whole Response object.

mod body;
mod call;
mod compaction;
mod events;
mod items;
mod object;
mod stored;
mod stream;
mod warm_up;

pub(super) use body::body;
pub(super) use compaction::{CompactionStream, check_summary};
pub(crate) use stored::queued_response;
pub(super) use stored::{begun_head, failed_whole, succeeded};
pub(super) use stream::ResponsesStream;
pub(crate) use warm_up::warm_up_response;

/// An identifier for the item of this index, made of the response's seed. `prefix` is that of the item's type.
fn item_id(prefix: &str, seed: &str, index: usize) -> String {
    format!("{prefix}_{seed}{index:04x}")
}
