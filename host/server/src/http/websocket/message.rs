//! Messages of a WebSocket: their texts, the ends that they mean, and sending.

use axum::body::Bytes;
use axum::extract::ws::{Message, WebSocket, close_code};
use futures_util::SinkExt as _;
use futures_util::stream::SplitSink;
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::error::ProtocolError;

use airlock_types::wit::Frame;

/// The sending half of a socket.
pub(super) type Sink = SplitSink<WebSocket, Message>;

/// Why a socket ends.
pub(super) enum SocketEnd {
    /// The client is gone.
    Left,
    /// The client has begun the closing handshake.
    Closed,
    /// With this code and reason.
    Close(u16, &'static str),
}

/// The text of a message. None: a ping or pong.
pub(super) fn text_of(
    message: Option<Result<Message, axum::Error>>,
) -> Result<Option<String>, SocketEnd> {
    match message {
        Some(Ok(Message::Text(text))) => Ok(Some(text.as_str().to_owned())),
        Some(Ok(Message::Binary(_))) => Err(SocketEnd::Close(
            close_code::UNSUPPORTED,
            "send requests as text messages",
        )),
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(None),
        Some(Ok(Message::Close(_))) => Err(SocketEnd::Closed),
        None => Err(SocketEnd::Left),
        Some(Err(error)) => Err(broken(error)),
    }
}

/// The end of a socket whose client has broken the protocol or a limit of it, or is gone (RFC 6455, section 7.4.1).
fn broken(error: axum::Error) -> SocketEnd {
    tracing::debug!(%error, "a WebSocket broke");
    match error.into_inner().downcast_ref::<tungstenite::Error>() {
        Some(tungstenite::Error::Capacity(_)) => SocketEnd::Close(
            close_code::SIZE,
            "the message is larger than limits.body_bytes",
        ),
        Some(tungstenite::Error::Utf8(_)) => {
            SocketEnd::Close(close_code::INVALID, "the message is not UTF-8")
        }
        Some(tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => {
            SocketEnd::Left
        }
        Some(tungstenite::Error::Protocol(_)) => {
            SocketEnd::Close(close_code::PROTOCOL, "a frame breaks RFC 6455")
        }
        _ => SocketEnd::Left,
    }
}

/// Sends a ping.
pub(super) async fn ping(sink: &mut Sink) -> Result<(), SocketEnd> {
    send(sink, Message::Ping(Bytes::new())).await
}

/// Sends a message.
pub(super) async fn send(sink: &mut Sink, message: Message) -> Result<(), SocketEnd> {
    sink.send(message).await.map_err(|_| SocketEnd::Left)
}

/// Sends frames, each as a message.
pub(super) async fn send_frames(sink: &mut Sink, frames: Vec<Frame>) -> Result<(), SocketEnd> {
    for frame in frames {
        let fed = sink.feed(Message::text(frame.data)).await;
        fed.map_err(|_| SocketEnd::Left)?;
    }
    sink.flush().await.map_err(|_| SocketEnd::Left)
}
