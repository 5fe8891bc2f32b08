//! A `compaction` item of `input`: the summary of earlier items.

use serde::de;

use super::item_members::ItemMembers;
use crate::compaction;
use crate::prompt::content::ContentPart;
use crate::prompt::conversation::{ConversationMessage, MessageRole};
use crate::prompt::reader::Reader;

/// The text before the summary.
const HEADING: &str = "The conversation before this point was replaced by this summary:\n\n";

/// The message for the model. None for the compaction of another API, which only the model can read. `item` is the item as it was
/// written for the model.
pub(super) fn summary<'de, E: de::Error>(
    reader: &mut Reader<'_>,
    item: &str,
) -> Result<Option<ConversationMessage<'de>>, E> {
    let content = ItemMembers::of(item).text("encrypted_content");
    let Ok(summary) = compaction::decode(&content.unwrap_or_default()) else {
        let message = "not a compaction of this gateway: send it as the response returned it";
        return Err(reader.invalid_member("encrypted_content", message));
    };
    Ok(summary.map(|summary| {
        let text = [HEADING, &summary].concat();
        ConversationMessage::new(MessageRole::User, vec![ContentPart::Text(text.into())])
    }))
}
