//! The `encrypted_content` of a compaction that this gateway made: a summary of earlier items.
//!
//! It is `airlock.1.` and the base64url (RFC 4648, section 5, without padding) of the summary. It is neither secret nor
//! authenticated: a client could send any text as a message.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de;

use crate::prompt::content::ContentPart;
use crate::prompt::conversation::{ConversationMessage, MessageRole};
use crate::prompt::reader::{PathSegment, Reader};

/// The prefix of this version of the encoding.
const PREFIX: &str = "airlock.1.";

/// The text before the summary.
const HEADING: &str = "The conversation before this point was replaced by this summary:\n\n";

/// The message for the model. None for the compaction of another API, which only the model can read. `item` is the item as it was
/// written for the model, whose last member is `encrypted_content`.
pub(super) fn summary<'de, E: de::Error>(
    reader: &mut Reader<'_>,
    item: &str,
) -> Result<Option<ConversationMessage<'de>>, E> {
    // A quote within a string is escaped, so these are the name and the beginning of the value.
    let [before, after] = [r#","encrypted_content":""#, r#""}"#];
    let content = item.rsplit_once(before).map(|(_, rest)| rest);
    let Some(encoded) = content.and_then(|content| content.strip_prefix(PREFIX)) else {
        return Ok(None);
    };
    let decoded = URL_SAFE_NO_PAD.decode(encoded.strip_suffix(after).unwrap_or(encoded));
    let Some(summary) = decoded.ok().and_then(|bytes| String::from_utf8(bytes).ok()) else {
        let steps = [PathSegment::Key("encrypted_content")];
        let message = "not a compaction of this gateway: send it as the response returned it";
        return Err(reader.invalid_at(&steps, message));
    };
    let text = [HEADING, &summary].concat();
    let parts = vec![ContentPart::Text(text.into())];
    Ok(Some(ConversationMessage::new(MessageRole::User, parts)))
}
