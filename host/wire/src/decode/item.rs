//! Items of a turn: messages, reasoning, and other steps of Codex.
//!
//! An item's members depend on its type, which may follow them. So the first pass only finds the raw members; those that the
//! type has are deserialized afterwards. Nothing else is copied, and other members may be any JSON.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::report::MessagePhase;
use super::shapes::BorrowedText;

/// The items for which there are reports.
pub(super) enum ThreadItem<'a> {
    AgentMessage {
        id: Cow<'a, str>,
        phase: Option<MessagePhase>,
        text: Cow<'a, str>,
    },
    Reasoning {
        id: Cow<'a, str>,
        summary: Vec<String>,
    },
    ContextCompaction,
    DynamicToolCall,
    UserMessage,
    Unknown,
}

impl<'de> Deserialize<'de> for ThreadItem<'de> {
    fn deserialize<D: Deserializer<'de>>(item: D) -> Result<Self, D::Error> {
        item.deserialize_map(ItemVisitor)
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum ItemType {
    AgentMessage,
    Reasoning,
    ContextCompaction,
    DynamicToolCall,
    UserMessage,
    #[serde(other)]
    Unknown,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum ItemMember {
    Type,
    Id,
    Phase,
    Text,
    Summary,
    #[serde(other)]
    Unknown,
}

struct ItemVisitor;

impl<'de> Visitor<'de> for ItemVisitor {
    type Value = ThreadItem<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an item")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut item_type = None;
        let mut id = MemberValue::Missing;
        let mut phase = MemberValue::Missing;
        let mut text = MemberValue::Missing;
        let mut summary = MemberValue::Missing;
        while let Some(member) = members.next_key()? {
            match member {
                ItemMember::Type if item_type.is_some() => {
                    return Err(A::Error::duplicate_field("type"));
                }
                ItemMember::Type => item_type = Some(members.next_value()?),
                ItemMember::Id => id.set(members.next_value()?),
                ItemMember::Phase => phase.set(members.next_value()?),
                ItemMember::Text => text.set(members.next_value()?),
                ItemMember::Summary => summary.set(members.next_value()?),
                ItemMember::Unknown => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(match item_type {
            Some(ItemType::AgentMessage) => ThreadItem::AgentMessage {
                id: id.read::<BorrowedText<'_>, _>()?.ok_or_else(no_id)?.0,
                phase: phase
                    .read::<Option<BorrowedText<'_>>, _>()?
                    .flatten()
                    .and_then(|BorrowedText(name)| MessagePhase::of(&name)),
                text: text.read::<BorrowedText<'_>, _>()?.unwrap_or_default().0,
            },
            Some(ItemType::Reasoning) => ThreadItem::Reasoning {
                id: id.read::<BorrowedText<'_>, _>()?.ok_or_else(no_id)?.0,
                summary: summary.read()?.unwrap_or_default(),
            },
            Some(ItemType::ContextCompaction) => ThreadItem::ContextCompaction,
            Some(ItemType::DynamicToolCall) => ThreadItem::DynamicToolCall,
            Some(ItemType::UserMessage) => ThreadItem::UserMessage,
            Some(ItemType::Unknown) => ThreadItem::Unknown,
            None => return Err(A::Error::missing_field("type")),
        })
    }
}

fn no_id<E: Error>() -> E {
    E::missing_field("id")
}

/// A member's raw value. A duplicate is an error only if the item's type has the member.
enum MemberValue<'a> {
    Missing,
    Once(&'a RawValue),
    Twice,
}

impl<'a> MemberValue<'a> {
    fn set(&mut self, value: &'a RawValue) {
        *self = match self {
            Self::Missing => Self::Once(value),
            Self::Once(_) | Self::Twice => Self::Twice,
        };
    }

    fn read<T: Deserialize<'a>, E: Error>(&self) -> Result<Option<T>, E> {
        match self {
            Self::Missing => Ok(None),
            Self::Once(value) => match serde_json::from_str(value.get()) {
                Ok(value) => Ok(Some(value)),
                Err(error) => Err(E::custom(error)),
            },
            Self::Twice => Err(E::custom("a duplicate member")),
        }
    }
}
