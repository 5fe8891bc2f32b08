//! What stands in a line, whichever it is, with what it tells of a turn: nearly all lines are read in one pass.
//!
//! That pass needs the method before its parameters, as Codex writes them (0.169.0, all recordings). What is in any way
//! odd is read once more in the way that serde derives, which decides alone what is an error.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::RpcError;
use super::shapes::Text;
use super::told::{Kind, Told};

/// The members of a line.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Envelope<'a> {
    #[serde(borrow)]
    pub(super) id: Option<&'a RawValue>,
    /// Empty when there is none: serde borrows a `Cow`, but not one inside an `Option`.
    #[serde(borrow, default)]
    pub(super) method: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) params: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) result: Option<&'a RawValue>,
    pub(super) error: Option<RpcError>,
    #[serde(default)]
    pub(super) emitted_at_ms: u64,
    /// What the parameters tell, where they have been decoded. Where that is all, `params` is none.
    #[serde(skip)]
    pub(super) told: Option<Told<'a>>,
}

impl<'a> Envelope<'a> {
    /// Reads a line.
    pub(super) fn of(text: &'a str) -> Result<Self, serde_json::Error> {
        let mut envelope = Self::default();
        let told = match in_one_pass(text, &mut envelope) {
            Ok(()) if envelope.told.as_ref().is_none_or(Told::says_all) => return Ok(envelope),
            Ok(()) => envelope.told,
            Err(_) => None,
        };
        let envelope = serde_json::from_str(text)?;
        Ok(Self { told, ..envelope })
    }
}

fn in_one_pass<'a>(text: &'a str, envelope: &mut Envelope<'a>) -> Result<(), serde_json::Error> {
    let mut text = serde_json::Deserializer::from_str(text);
    text.deserialize_map(Members(envelope))?;
    text.end()
}

#[derive(Clone, Copy, Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Member {
    Id,
    Method,
    Params,
    Result,
    Error,
    EmittedAtMs,
    #[serde(other)]
    Unknown,
}

/// Reads the members of a line in one pass. An error may only mean that it takes two.
struct Members<'of, 'a>(&'of mut Envelope<'a>);

impl<'de> Visitor<'de> for Members<'_, 'de> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a line of Codex")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Self(envelope) = self;
        // Those that are known; the unknown come after them, and may stand as often as they like.
        let mut read = [false; Member::Unknown as usize];
        while let Some(member) = members.next_key()? {
            if let Some(read) = read.get_mut(member as usize)
                && std::mem::replace(read, true)
            {
                return Err(A::Error::custom("a member stands twice"));
            }
            match member {
                Member::Id => envelope.id = members.next_value()?,
                Member::Method => Text(envelope.method) = members.next_value()?,
                Member::Params => match Kind::of(&envelope.method) {
                    Some(kind) if kind.may_say_all() => {
                        envelope.told = Some(members.next_value_seed(kind)?);
                    }
                    _ => envelope.params = members.next_value()?,
                },
                Member::Result => envelope.result = members.next_value()?,
                Member::Error => envelope.error = members.next_value()?,
                Member::EmittedAtMs => envelope.emitted_at_ms = members.next_value()?,
                Member::Unknown => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        match (&envelope.told, envelope.id) {
            (Some(_), Some(_)) => Err(A::Error::custom("a request, which is not told")),
            _ => Ok(()),
        }
    }
}
