//! Requests that are messages of a WebSocket, and the members that they alone have.

use std::borrow::Cow;

use serde::de::{self, MapAccess};

use crate::bindings::airlock::policy::types::{Problem, Request, Transport};
use crate::notes::WebSocketNotes;
use crate::prompt::problems::missing;
use crate::prompt::reader::Reader;
use crate::prompt::shape::{JsonShape, Scalar, StringShape};

/// The `type` of a request.
const CREATE: &str = "response.create";

/// The most characters of a `stream_id`, as in OpenAI's API.
const STREAM_ID_AT_MOST: usize = 256;

/// What a request has because it is a message of a WebSocket.
#[derive(Default)]
pub(super) struct WebSocketMessage<'de> {
    /// Whether the request is one.
    pub(super) is_message: bool,
    /// Whether it has a `type`.
    has_type: bool,
    /// The client's name for the events of the response, which each of them repeats.
    stream_id: Option<Cow<'de, str>>,
}

impl<'de> WebSocketMessage<'de> {
    pub(super) fn of(request: &Request) -> Self {
        Self {
            is_message: request.transport == Transport::Websocket,
            ..Self::default()
        }
    }

    /// Reads one of the members. Over HTTP they have no effect.
    pub(super) fn read<A: MapAccess<'de>>(
        &mut self,
        name: &'static str,
        reader: &mut Reader<'_>,
        fields: &mut A,
    ) -> Result<(), A::Error> {
        match name {
            _ if !self.is_message => {
                let text = reader.nullable(fields, name, StringShape)?;
                text.map_or(Ok(()), |_| reader.ignore(name))?;
            }
            "type" => self.has_type = reader.or_default(fields, name, CreateEventShape)?,
            _ => self.stream_id = reader.nullable(fields, name, StreamIdShape)?,
        }
        Ok(())
    }

    /// Checks that a message has its type.
    pub(super) fn check(&self) -> Result<(), Problem> {
        if self.is_message && !self.has_type {
            let message = "on a WebSocket, each message is a request of the type `response.create`";
            return Err(missing("type", message));
        }
        Ok(())
    }

    /// The notes for the reply. None if it goes over HTTP.
    pub(super) fn notes(&self) -> Option<WebSocketNotes> {
        self.is_message.then(|| WebSocketNotes {
            stream_id: self.stream_id.clone().map(Cow::into_owned),
        })
    }
}

/// `type`. Its value is true, as there is one.
struct CreateEventShape;

impl<'de> JsonShape<'de> for CreateEventShape {
    type Value = bool;
    const EXPECTED: &'static str = "a string";
    const IS_SCALAR: bool = true;

    fn scalar<E: de::Error>(self, reader: &mut Reader<'_>, scalar: Scalar<'de>) -> Result<bool, E> {
        match scalar {
            Scalar::Text(text) if text == CREATE => Ok(true),
            Scalar::Text(_) => {
                let message = "only `response.create` is supported; to end a response early, close the WebSocket";
                Err(reader.invalid(message))
            }
            other => Err(reader.wrong(Self::EXPECTED, other.kind())),
        }
    }
}

/// `stream_id`.
struct StreamIdShape;

impl<'de> JsonShape<'de> for StreamIdShape {
    type Value = Cow<'de, str>;
    const EXPECTED: &'static str = "a string";
    const IS_SCALAR: bool = true;

    fn scalar<E: de::Error>(
        self,
        reader: &mut Reader<'_>,
        scalar: Scalar<'de>,
    ) -> Result<Self::Value, E> {
        let Scalar::Text(text) = scalar else {
            return Err(reader.wrong(Self::EXPECTED, scalar.kind()));
        };
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        if (1..=STREAM_ID_AT_MOST).contains(&text.len()) && text.bytes().all(is_name) {
            return Ok(text);
        }
        let message = format!(
            "must have 1 to {STREAM_ID_AT_MOST} characters: ASCII letters, digits, `_`, `.` and `-`"
        );
        Err(reader.invalid(&message))
    }
}
