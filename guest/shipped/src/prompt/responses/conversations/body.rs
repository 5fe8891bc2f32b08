//! The bodies of requests about conversations.

use std::borrow::Cow;

use serde::de::MapAccess;

use crate::prompt::body::{Dialect, RequestBody};
use crate::prompt::parameters::Treatment::Honoured;
use crate::prompt::parameters::{Parameter, Values};
use crate::prompt::reader::Reader;
use crate::prompt::responses::new_items::{NewItem, NewItemsShape};
use crate::prompt::responses::options::MetadataShape;

/// The parameters of all these bodies, of which each route has its own.
const PARAMETERS: &[Parameter] = &[
    Parameter::row(
        "metadata",
        Values::Object,
        Honoured,
        "at most 16 strings, which the conversation repeats",
    ),
    Parameter::row(
        "items",
        Values::Array,
        Honoured,
        "at most 20 items, as in `input` of a response",
    ),
];

/// Requests about conversations.
pub(super) struct ConversationRequest;

impl Dialect for ConversationRequest {
    type Body<'de> = ConversationBody<'de>;
}

/// The body. A member is None if the body does not have it; null is empty.
#[derive(Default)]
pub(super) struct ConversationBody<'de> {
    pub(super) metadata: Option<Vec<(Cow<'de, str>, Cow<'de, str>)>>,
    pub(super) items: Option<Vec<NewItem<'de>>>,
}

impl<'de> RequestBody<'de> for ConversationBody<'de> {
    const PARAMETERS: &'static [Parameter] = PARAMETERS;

    fn honour<A: MapAccess<'de>>(
        &mut self,
        name: &'static str,
        reader: &mut Reader<'_>,
        fields: &mut A,
    ) -> Result<(), A::Error> {
        match name {
            "metadata" => {
                self.metadata = Some(reader.or_default(fields, name, MetadataShape)?);
            }
            "items" => self.items = Some(reader.or_default(fields, name, NewItemsShape)?),
            _ => reader.unknown(fields, name)?,
        }
        Ok(())
    }
}
