//! The members of an item that was parsed before, each as JSON.

use std::borrow::Cow;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The members of a JSON object in their order.
#[derive(Default)]
pub(super) struct ItemMembers<'a>(Vec<(Cow<'a, str>, &'a str)>);

impl<'a> ItemMembers<'a> {
    /// The members of an object. Anything else has none.
    pub(super) fn of(object: &'a str) -> Self {
        serde_json::from_str(object).unwrap_or_default()
    }

    /// The members, each with its name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &'a str)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), *value))
    }

    /// The value of this member. Of a duplicate member the last one counts, as in other JSON parsers.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        let mut members = self.0.iter().rev();
        let (_, value) = members.find(|(other, _)| other == name)?;
        (*value != "null").then_some(*value)
    }

    /// The value of this member, if it is a string.
    pub(super) fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        let text: Text<'a> = serde_json::from_str(self.get(name)?).ok()?;
        Some(text.0)
    }
}

/// A string, borrowed if it has no escape.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for ItemMembers<'de> {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        source.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = ItemMembers<'de>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let mut members = ItemMembers::default();
        while let Some((Text(name), value)) = fields.next_entry::<Text<'de>, &'de RawValue>()? {
            members.0.push((name, value.get()));
        }
        Ok(members)
    }
}
