//! `POST /v1/chat/completions`.

use axum::extract::{Extension, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;

use super::failure::{Refusal, json};
use super::record::Received;
use super::{AppState, body, sse};
use crate::flow::{Answer, Continued, Incoming};

pub(super) const IGNORED: HeaderName = HeaderName::from_static("x-airlock-ignored");

/// Whether the turn that waited for the results that the request brings went on, or was built anew.
const TURN: HeaderName = HeaderName::from_static("x-airlock-turn");

/// The name under which policies know this route.
const DIALECT: &str = "chat-completions";

/// Bytes of the header that names what is not honoured. The names come from the client, so there may be any number.
const IGNORED_BYTES: usize = 1024;

pub(super) async fn complete(
    State(app): State<AppState>,
    Extension(received): Extension<Received>,
    request: Request,
) -> Result<Response, Refusal> {
    let headers = request.headers();
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let nested = app.flow.is_nested(header);
    let client = request.extensions().get().copied().unwrap_or_default();
    let body::Text { text: body, memory } = body::text(request, &app.bodies).await?;
    let incoming = Incoming {
        id: received.id,
        arrived: received.arrived,
        key: received.shown,
        client,
        trail: received.trail.clone(),
        dialect: DIALECT,
        body,
        memory,
        nested,
    };
    let reply = app.flow.start(incoming).await?;
    let mut response = match reply.answer {
        Answer::Stream(feed) => {
            let open = received.trail.open();
            streamed(sse::body(feed, open, received.exchange))
        }
        Answer::Whole(body) => json(StatusCode::OK, body),
    };
    if let Some(names) = ignored(&reply.ignored) {
        response.headers_mut().insert(IGNORED, names);
    }
    if let Some(continued) = reply.continued {
        let word = match continued {
            Continued::Resumed => "resumed",
            Continued::Rebuilt => "rebuilt",
        };
        let word = HeaderValue::from_static(word);
        response.headers_mut().insert(TURN, word);
    }
    Ok(response)
}

pub(super) fn streamed(body: axum::body::Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    // Server-sent events are UTF-8 by definition, but some clients decode by this parameter, and as ISO-8859-1 without it.
    let events = HeaderValue::from_static("text/event-stream; charset=utf-8");
    headers.insert(CONTENT_TYPE, events);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // nginx would collect the stream before it passes it on.
    headers.insert(
        HeaderName::from_static("x-accel-buffering"),
        HeaderValue::from_static("no"),
    );
    response
}

/// The names of what is not honoured. A character that has no place in a header becomes a question mark.
fn ignored(names: &[String]) -> Option<HeaderValue> {
    let mut list = String::new();
    for name in names.iter().filter(|name| !name.is_empty()) {
        if list.len() + name.len() > IGNORED_BYTES {
            break;
        }
        if !list.is_empty() {
            list.push_str(", ");
        }
        let plain =
            |character: char| character.is_ascii_alphanumeric() || "_-.[]".contains(character);
        list.extend(
            name.chars()
                .map(|character| if plain(character) { character } else { '?' }),
        );
    }
    HeaderValue::try_from(list)
        .ok()
        .filter(|list| !list.is_empty())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn named(names: &[&str]) -> Option<String> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        ignored(&names).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn the_header_names_what_it_can_and_stays_small() {
        assert_eq!(
            named(&["temperature", "seed"]).as_deref(),
            Some("temperature, seed")
        );
        assert_eq!(
            named(&["a\r\nset-cookie: b", "ü", "", "seed"]).as_deref(),
            Some("a??set-cookie??b, ?, seed")
        );
        assert_eq!(named(&[]), None);
        assert_eq!(named(&["a b"]).as_deref(), Some("a?b"));
        let many = vec!["name"; 5_000];
        assert!(named(&many).unwrap().len() <= IGNORED_BYTES + IGNORED_BYTES / 2);
    }
}
