//! A sign-in as server-sent events. The body owns it: when the client leaves, the sign-in ends.

use std::time::Duration;

use axum::body::{Body, Bytes};
use tokio::time::timeout;

use crate::http::listen::HttpExchange;
use crate::http::sse::{HEARTBEAT, pieces};
use airlock_codex::account::{SignInEvent, SignInStream};

/// The sign-in's events, and a comment when none has come for `heartbeat`.
pub(super) fn body(mut flow: SignInStream, heartbeat: Duration, exchange: HttpExchange) -> Body {
    pieces(exchange, async move |slot| {
        loop {
            let piece = match timeout(heartbeat, flow.next()).await {
                Ok(Some(event)) => encode(&event),
                Ok(None) => return,
                Err(_) => Bytes::from_static(HEARTBEAT.as_bytes()),
            };
            slot.put(piece).await;
        }
    })
}

fn encode(event: &SignInEvent) -> Bytes {
    // Strings always serialise.
    let data = airlock_wire::sse::json(event).unwrap_or_default();
    format!("data: {data}\n\n").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_what_the_documents_say() {
        let code = SignInEvent::DeviceCode {
            url: "https://auth.openai.com/codex/device".to_owned(),
            code: "AB-1".to_owned(),
            expires: 7,
        };
        assert_eq!(
            encode(&code),
            "data: {\"type\":\"device_code\",\"url\":\"https://auth.openai.com/codex/device\",\"code\":\"AB-1\",\"expires\":7}\n\n"
        );
        let log = SignInEvent::Log {
            message: "a\u{2028}b\u{85}".to_owned(),
        };
        assert_eq!(
            encode(&log),
            "data: {\"type\":\"log\",\"message\":\"a\\u2028b\\u0085\"}\n\n"
        );
        let text = "{\"type\":\"error\",\"reason\":\"url_not_allowed\",\"message\":\"no\"}";
        let error = serde_json::from_str::<SignInEvent>(text);
        assert!(error.is_ok_and(|error| encode(&error) == format!("data: {text}\n\n")));
    }
}
