//! The `encrypted_content` of a compaction that this gateway makes: a summary of earlier items.
//!
//! It is `airlock.1.` and the base64url (RFC 4648, section 5, without padding) of the summary. It is neither secret nor
//! authenticated: a client could send any text as a message.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The prefix of this version of the encoding.
const PREFIX: &str = "airlock.1.";

/// The `encrypted_content` of a summary: ASCII without quotes.
pub(crate) fn encode(summary: &str) -> String {
    let mut content = String::from(PREFIX);
    URL_SAFE_NO_PAD.encode_string(summary, &mut content);
    content
}

/// The summary in an `encrypted_content`. The error is for one that looks like this gateway's, and is not.
pub(crate) fn decode(content: &str) -> Result<Option<String>, NotASummary> {
    let Some(encoded) = content.strip_prefix(PREFIX) else {
        return Ok(None);
    };
    let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| NotASummary)?;
    String::from_utf8(bytes).map(Some).map_err(|_| NotASummary)
}

/// An `encrypted_content` with this gateway's prefix cannot be decoded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotASummary;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_survives_a_round_trip() {
        for summary in ["", "a", "\"\u{0}\u{2028}\u{1f600}\n"] {
            let content = encode(summary);
            assert!(content.bytes().all(|byte| byte.is_ascii_graphic()));
            assert_eq!(decode(&content), Ok(Some(summary.to_owned())));
        }
        assert_eq!(encode("a summary"), "airlock.1.YSBzdW1tYXJ5");
        assert_eq!(decode("gAAAA"), Ok(None));
        assert_eq!(decode("airlock.1.YSBzdW1tYXJ5="), Err(NotASummary));
        assert_eq!(decode("airlock.1._w"), Err(NotASummary));
    }
}
