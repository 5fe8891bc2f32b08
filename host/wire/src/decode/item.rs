//! A part of a turn: a message, some reasoning, or what else Codex does.
//!
//! What stands in an item depends on its type, which may stand anywhere in it. So what may count is only found at first,
//! and is read once the type is known: nothing is copied that need not be, and what does not count may be anything.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::report::Phase;
use super::shapes::Text;

/// An item, as far as a turn is told by it.
pub(super) enum Item<'a> {
    AgentMessage {
        id: Cow<'a, str>,
        phase: Option<Phase>,
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

impl<'de> Deserialize<'de> for Item<'de> {
    fn deserialize<D: Deserializer<'de>>(item: D) -> Result<Self, D::Error> {
        item.deserialize_map(Members)
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Type {
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
enum Member {
    Type,
    Id,
    Phase,
    Text,
    Summary,
    #[serde(other)]
    Unknown,
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Item<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an item")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut item_type = None;
        let mut id = Found::Nowhere;
        let mut phase = Found::Nowhere;
        let mut text = Found::Nowhere;
        let mut summary = Found::Nowhere;
        while let Some(member) = members.next_key()? {
            match member {
                Member::Type if item_type.is_some() => {
                    return Err(A::Error::duplicate_field("type"));
                }
                Member::Type => item_type = Some(members.next_value()?),
                Member::Id => id.again(members.next_value()?),
                Member::Phase => phase.again(members.next_value()?),
                Member::Text => text.again(members.next_value()?),
                Member::Summary => summary.again(members.next_value()?),
                Member::Unknown => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(match item_type {
            Some(Type::AgentMessage) => Item::AgentMessage {
                id: id.read::<Text<'_>, _>()?.ok_or_else(no_id)?.0,
                phase: phase
                    .read::<Option<Text<'_>>, _>()?
                    .flatten()
                    .and_then(|Text(name)| Phase::of(&name)),
                text: text.read::<Text<'_>, _>()?.unwrap_or_default().0,
            },
            Some(Type::Reasoning) => Item::Reasoning {
                id: id.read::<Text<'_>, _>()?.ok_or_else(no_id)?.0,
                summary: summary.read()?.unwrap_or_default(),
            },
            Some(Type::ContextCompaction) => Item::ContextCompaction,
            Some(Type::DynamicToolCall) => Item::DynamicToolCall,
            Some(Type::UserMessage) => Item::UserMessage,
            Some(Type::Unknown) => Item::Unknown,
            None => return Err(A::Error::missing_field("type")),
        })
    }
}

fn no_id<E: Error>() -> E {
    E::missing_field("id")
}

/// Where a member was found. Whether it may stand twice depends on whether it counts.
enum Found<'a> {
    Nowhere,
    Once(&'a RawValue),
    Twice,
}

impl<'a> Found<'a> {
    fn again(&mut self, value: &'a RawValue) {
        *self = match self {
            Self::Nowhere => Self::Once(value),
            Self::Once(_) | Self::Twice => Self::Twice,
        };
    }

    fn read<T: Deserialize<'a>, E: Error>(&self) -> Result<Option<T>, E> {
        match self {
            Self::Nowhere => Ok(None),
            Self::Once(value) => match serde_json::from_str(value.get()) {
                Ok(value) => Ok(Some(value)),
                Err(error) => Err(E::custom(error)),
            },
            Self::Twice => Err(E::custom("a member stands twice")),
        }
    }
}
