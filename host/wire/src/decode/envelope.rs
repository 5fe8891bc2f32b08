//! The members of a line. The parameters of a notification are decoded in the same pass.
//!
//! One pass requires that the method precedes the parameters, as Codex writes them (0.169.0, all recordings). Any other line is
//! read again by the derived `Deserialize`, which decides what is an error.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::RpcError;
use super::notification::{NotificationKind, ThreadNotification};
use super::shapes::BorrowedText;

/// The members of a JSON-RPC message.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RpcEnvelope<'a> {
    #[serde(borrow)]
    pub(super) id: Option<&'a RawValue>,
    /// Empty if absent, as serde borrows a `Cow`, but not one in an `Option`.
    #[serde(borrow, default)]
    pub(super) method: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) params: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) result: Option<&'a RawValue>,
    pub(super) error: Option<RpcError>,
    #[serde(default)]
    pub(super) emitted_at_ms: u64,
    /// The decoded parameters. With them, `params` is None unless they are needed verbatim.
    #[serde(skip)]
    pub(super) notification: Option<ThreadNotification<'a>>,
}

impl<'a> RpcEnvelope<'a> {
    /// Decodes a line.
    pub(super) fn of(text: &'a str) -> Result<Self, serde_json::Error> {
        let mut envelope = Self::default();
        let notification = match in_one_pass(text, &mut envelope) {
            Ok(())
                if envelope
                    .notification
                    .as_ref()
                    .is_none_or(ThreadNotification::is_self_contained) =>
            {
                return Ok(envelope);
            }
            Ok(()) => envelope.notification,
            Err(_) => None,
        };
        let envelope = serde_json::from_str(text)?;
        Ok(Self {
            notification,
            ..envelope
        })
    }
}

fn in_one_pass<'a>(text: &'a str, envelope: &mut RpcEnvelope<'a>) -> Result<(), serde_json::Error> {
    let mut text = serde_json::Deserializer::from_str(text);
    text.deserialize_map(EnvelopeVisitor(envelope))?;
    text.end()
}

#[derive(Clone, Copy, Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum EnvelopeMember {
    Id,
    Method,
    Params,
    Result,
    Error,
    EmittedAtMs,
    #[serde(other)]
    Unknown,
}

/// Decodes a line in one pass. An error may merely mean that two passes are needed.
struct EnvelopeVisitor<'of, 'a>(&'of mut RpcEnvelope<'a>);

impl<'de> Visitor<'de> for EnvelopeVisitor<'_, 'de> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a line of Codex")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Self(envelope) = self;
        // One flag for each known member. `Unknown` is the last variant, and may be repeated.
        let mut read = [false; EnvelopeMember::Unknown as usize];
        while let Some(member) = members.next_key()? {
            if let Some(read) = read.get_mut(member as usize)
                && std::mem::replace(read, true)
            {
                return Err(A::Error::custom("a duplicate member"));
            }
            match member {
                EnvelopeMember::Id => envelope.id = members.next_value()?,
                EnvelopeMember::Method => BorrowedText(envelope.method) = members.next_value()?,
                EnvelopeMember::Params => match NotificationKind::of(&envelope.method) {
                    Some(kind) if kind.may_be_self_contained() => {
                        envelope.notification = Some(members.next_value_seed(kind)?);
                    }
                    _ => envelope.params = members.next_value()?,
                },
                EnvelopeMember::Result => envelope.result = members.next_value()?,
                EnvelopeMember::Error => envelope.error = members.next_value()?,
                EnvelopeMember::EmittedAtMs => envelope.emitted_at_ms = members.next_value()?,
                EnvelopeMember::Unknown => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        match (&envelope.notification, envelope.id) {
            (Some(_), Some(_)) => Err(A::Error::custom("a request, not a notification")),
            _ => Ok(()),
        }
    }
}
