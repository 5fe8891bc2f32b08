//! The shapes of items that are not of the conversation itself: references, tools, and the request to compact it.

use std::borrow::Cow;

use serde::de;

use crate::prompt::members::read_members;
use crate::prompt::options::NonEmptyString;
use crate::prompt::reader::Reader;
use crate::prompt::responses::tools::{ClientTool, ClientTools};
use crate::prompt::shape::JsonShape;

/// A `compaction_trigger` item.
pub(super) struct CompactionTriggerItem;

impl<'de> JsonShape<'de> for CompactionTriggerItem {
    type Value = ();
    const EXPECTED: &'static str = "an item object";

    fn object<A: de::MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<(), A::Error> {
        read_members!(reader, fields, {
            "type" | "id" => skip(),
        });
        Ok(())
    }
}

/// An item that refers to a stored one. Yields the identifier.
pub(super) struct ReferenceItem;

impl<'de> JsonShape<'de> for ReferenceItem {
    type Value = Cow<'de, str>;
    const EXPECTED: &'static str = "an item object";

    fn object<A: de::MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<Self::Value, A::Error> {
        let mut id = None;
        read_members!(reader, fields, {
            "type" => skip(),
            "id" => value(id, NonEmptyString),
        });
        id.ok_or_else(|| reader.invalid_member("id", "required: the identifier of a stored item"))
    }
}

/// An `additional_tools` item.
pub(super) struct AdditionalToolsItem;

impl<'de> JsonShape<'de> for AdditionalToolsItem {
    type Value = Vec<ClientTool<'de>>;
    const EXPECTED: &'static str = "an item object";

    fn object<A: de::MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<Self::Value, A::Error> {
        let mut all = ClientTools::default();
        let mut tools = None;
        read_members!(reader, fields, {
            "type" | "id" | "role" => skip(),
            "tools" => run {
                // Of a duplicate member the last one counts.
                all = ClientTools::default();
                tools = Some(reader.field(&mut fields, "tools", all.shape())?);
            },
        });
        match tools {
            Some(()) => Ok(all.tools),
            None => Err(reader.invalid_member("tools", "required: an array of tools")),
        }
    }
}
