//! Responses that the host stores: the formats of stored objects, and the head of a response.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::bindings::airlock::policy::types::StoredItem;

/// The format of a stored response. Its head is `{"response": …}` with the Response object, its items are input items of the
/// Responses API: those of the request, then those of the output.
pub(crate) const RESPONSE_FORMAT: &str = "airlock.responses.1";

/// The most bytes of a key or an item's identifier that the host takes.
pub(crate) const ID_AT_MOST: usize = 256;

/// The text from which a request's identifiers are made: its seed, or its id where there is none.
pub(crate) fn seed<'a>(request: &'a str, seed: &'a str) -> &'a str {
    if seed.is_empty() {
        request.strip_prefix("req_").unwrap_or(request)
    } else {
        seed
    }
}

/// The response's identifier, by which it is stored.
pub(crate) fn response_id(seed: &str) -> String {
    ["resp_", seed].concat()
}

/// The head of a response. `response` is the object as one line of JSON.
pub(crate) fn head(response: &str) -> String {
    [r#"{"response":"#, response, "}"].concat()
}

/// What the policy reads of a head.
#[derive(Debug)]
pub(crate) struct ResponseHead<'a> {
    /// The Response object, as one line of JSON.
    pub(crate) response: &'a str,
    pub(crate) status: String,
    pub(crate) background: bool,
    /// Whether it is in the store; otherwise in the memory of its connection.
    pub(crate) store: bool,
    /// The identifier of its conversation.
    pub(crate) conversation: Option<String>,
    /// The number of items in its output.
    pub(crate) output: usize,
}

#[derive(Deserialize)]
struct HeadObject<'a> {
    #[serde(borrow)]
    response: &'a RawValue,
}

#[derive(Deserialize)]
struct ResponseObject<'a> {
    status: String,
    background: bool,
    store: bool,
    #[serde(default)]
    conversation: Option<ConversationObject>,
    #[serde(borrow)]
    output: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct ConversationObject {
    id: String,
}

#[derive(Deserialize)]
struct IdentifiedItem {
    id: String,
}

impl<'a> ResponseHead<'a> {
    /// Parses what [`head`] wrote.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let head: HeadObject<'a> = serde_json::from_str(text).ok()?;
        let response = head.response.get();
        let object: ResponseObject<'a> = serde_json::from_str(response).ok()?;
        Some(Self {
            response,
            status: object.status,
            background: object.background,
            store: object.store,
            conversation: object.conversation.map(|conversation| conversation.id),
            output: object.output.len(),
        })
    }
}

/// The items of a response's output, which are input items of the next request.
pub(crate) fn output_items(response: &str) -> Vec<StoredItem> {
    let object = serde_json::from_str::<ResponseObject<'_>>(response);
    let output = object.map(|object| object.output).unwrap_or_default();
    let item = |item: &RawValue| {
        let text = item.get();
        let IdentifiedItem { mut id } = serde_json::from_str(text).ok()?;
        // Some models' identifiers are longer than a key may be. Such an item cannot be referred to.
        id.truncate(id.floor_char_boundary(ID_AT_MOST));
        Some(StoredItem {
            id,
            text: text.to_owned(),
        })
    };
    output.into_iter().filter_map(item).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const RESPONSE: &str = r#"{"id":"resp_1","status":"completed","output":[{"id":"msg_1","type":"message","content":[{"text":"\"]"}]},{"id":"fc_1"}],"store":true,"background":false,"conversation":{"id":"conv_1"}}"#;

    #[test]
    fn a_long_identifier_of_the_model_is_cut() {
        let long = "é".repeat(200);
        let response = RESPONSE.replace("msg_1", &long);
        let items = output_items(&response);
        assert_eq!((items[0].id.len(), items[1].id.as_str()), (256, "fc_1"));
        assert!(items[0].text.contains(&long));
    }

    #[test]
    fn a_head_has_the_response_as_it_is() {
        let text = head(RESPONSE);
        let head = ResponseHead::parse(&text).unwrap();
        assert_eq!(head.response, RESPONSE);
        assert_eq!(head.status, "completed");
        assert_eq!((head.background, head.store, head.output), (false, true, 2));
        assert_eq!(head.conversation.as_deref(), Some("conv_1"));
        for wrong in [
            "",
            "{}",
            r#"{"response":7}"#,
            r#"{"response":{"status":1}}"#,
        ] {
            assert!(ResponseHead::parse(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn the_output_is_items_with_their_ids() {
        let items = output_items(RESPONSE);
        let ids: Vec<&str> = items.iter().map(|item| item.id.as_str()).collect();
        assert_eq!(ids, ["msg_1", "fc_1"]);
        assert_eq!(
            items[0].text,
            r#"{"id":"msg_1","type":"message","content":[{"text":"\"]"}]}"#
        );
        assert_eq!(output_items("{}"), []);
    }

    #[test]
    fn identifiers_are_made_of_the_seed() {
        assert_eq!(seed("req_7", "5eed"), "5eed");
        assert_eq!(seed("req_7", ""), "7");
        assert_eq!(response_id(seed("7", "")), "resp_7");
    }
}
