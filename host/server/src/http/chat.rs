//! `POST /v1/chat/completions`.

use axum::extract::{Extension, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;

use super::failure::HttpError;
use super::middleware::RequestInfo;
use super::{AppState, json, sse};
use crate::flow::{Caller, Continuation, FlowBody, ParsedRequest};

/// Lists the parameters that are not honoured.
const IGNORED: HeaderName = HeaderName::from_static("x-airlock-ignored");

/// Reports how the turn that waited for the request's tool results continued.
const TURN: HeaderName = HeaderName::from_static("x-airlock-turn");

/// The name of this route's dialect for policies.
const DIALECT: &str = "chat-completions";

/// The most bytes of `IGNORED`. Its names come from the client.
const IGNORED_BYTES: usize = 1024;

/// Serves a completion.
pub(super) async fn complete(
    State(app): State<AppState>,
    Extension(info): Extension<RequestInfo>,
    request: Request,
) -> Result<Response, HttpError> {
    let headers = request.headers();
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let nested = app.flow.is_nested(header);
    let client = request.extensions().get().copied().unwrap_or_default();
    let (body, memory) = app.bodies.read_json_text(request).await?;
    let caller = Caller {
        canary_key: info.shown_id,
        client,
        metrics: info.metrics.clone(),
    };
    let parsed = ParsedRequest {
        id: info.id,
        arrived: info.arrived,
        caller,
        dialect: DIALECT,
        body,
        memory,
        nested,
    };
    let result = app.flow.start(parsed).await?;
    let mut response = match result.body {
        FlowBody::Stream(stream) => {
            let open = info.metrics.open();
            sse::response(sse::body(stream, open, info.exchange))
        }
        FlowBody::Json(body) => json::response(StatusCode::OK, body),
    };
    if let Some(names) = ignored(&result.ignored_parameters) {
        response.headers_mut().insert(IGNORED, names);
    }
    if let Some(continuation) = result.continuation {
        let value = HeaderValue::from_static(match continuation {
            Continuation::Resumed => "resumed",
            Continuation::Rebuilt => "rebuilt",
        });
        response.headers_mut().insert(TURN, value);
    }
    Ok(response)
}

/// The value of `IGNORED`. Characters that are unusual in a parameter's name become question marks. None: it would be empty.
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
