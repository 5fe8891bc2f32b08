//! The routes of client APIs, which the policy answers.

use axum::body::HttpBody as _;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request};
use axum::http::{HeaderName, HeaderValue, StatusCode, Uri};
use axum::response::Response;

use super::dialect::{ApiRoute, Dialect};
use super::failure::HttpError;
use super::middleware::RequestInfo;
use super::{AppState, json, sse};
use crate::flow::{Caller, Continuation, FlowBody, ObjectClient, ParsedRequest, RequestRoute};
use airlock_base::memory::MemoryShare;
use airlock_store::Owner;

/// Lists the parameters that are not honoured.
const IGNORED: HeaderName = HeaderName::from_static("x-airlock-ignored");

/// Reports how the turn that waited for the request's tool results continued.
const TURN: HeaderName = HeaderName::from_static("x-airlock-turn");

/// The most parameters of a query.
const QUERY_PAIRS: usize = 64;

/// The owner of stored objects: there is one API key at most, and all its clients share them.
const OWNER: &str = "default";

/// The most bytes of `IGNORED`. Its names come from the client.
const IGNORED_BYTES: usize = 1024;

/// Serves a request to a route of `API_ROUTES`.
pub(super) async fn serve(
    route: &'static ApiRoute,
    app: AppState,
    info: RequestInfo,
    parameters: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
) -> Result<Response, HttpError> {
    let Ok(parameters) = parameters else {
        return Err(HttpError::invalid("invalid_path", "The path is not UTF-8."));
    };
    let headers = request.headers();
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let nested = app.flow.is_nested(header);
    let client = request.extensions().get().copied().unwrap_or_default();
    let query = query(request.uri())?;
    let (body, memory) = if route.requires_body || !request.body().is_end_stream() {
        app.bodies.read_json_text(request).await?
    } else {
        ("{}".to_owned(), MemoryShare::default())
    };
    let caller = Caller {
        canary_key: info.shown_id.clone(),
        client,
        metrics: info.metrics.clone(),
    };
    let parsed = ParsedRequest {
        id: info.id.clone(),
        arrived: info.arrived,
        caller,
        route: RequestRoute {
            dialect: route.dialect.name(),
            name: route.name,
            path_parameters: parameters
                .iter()
                .map(|(_, value)| value.to_owned())
                .collect(),
            query,
        },
        body,
        memory,
        nested,
        objects: ObjectClient {
            owner: owner(),
            connection: None,
        },
    };
    let result = app.flow.start(parsed).await?;
    let mut response = response(result.body, route.dialect, &app, info);
    add_headers(
        &mut response,
        &result.ignored_parameters,
        result.continuation,
    );
    Ok(response)
}

/// The response with this body, without its headers.
fn response(body: FlowBody, dialect: Dialect, app: &AppState, info: RequestInfo) -> Response {
    match body {
        FlowBody::Stream(stream) => {
            let open = info.metrics.open();
            sse::response(sse::body(stream, dialect, open, info.exchange))
        }
        FlowBody::Log(reader) => {
            let heartbeat = app.flow.heartbeat();
            sse::response(sse::log_body(reader, dialect, heartbeat, info.exchange))
        }
        FlowBody::Frames(frames) => sse::response(sse::whole_body(&frames)),
        FlowBody::Json(body) => json::response(StatusCode::OK, body),
    }
}

/// Adds the headers of what is ignored, and of how a turn continued.
fn add_headers(response: &mut Response, ignored_parameters: &[String], turn: Option<Continuation>) {
    if let Some(names) = ignored(ignored_parameters) {
        response.headers_mut().insert(IGNORED, names);
    }
    if let Some(continuation) = turn {
        let value = HeaderValue::from_static(match continuation {
            Continuation::Resumed => "resumed",
            Continuation::Rebuilt => "rebuilt",
        });
        response.headers_mut().insert(TURN, value);
    }
}

/// The owner of the objects of all requests.
pub(super) fn owner() -> Owner {
    Owner::new(OWNER)
}

/// The names and values of a query, decoded. What is not UTF-8 becomes U+FFFD.
///
/// # Errors
/// There are more than [`QUERY_PAIRS`].
fn query(uri: &Uri) -> Result<Vec<(String, String)>, HttpError> {
    let query = uri.query().unwrap_or_default().as_bytes();
    let pairs: Vec<_> = form_urlencoded::parse(query)
        .into_owned()
        .take(QUERY_PAIRS + 1)
        .collect();
    if pairs.len() > QUERY_PAIRS {
        let message = format!("The query has more than {QUERY_PAIRS} parameters.");
        return Err(HttpError::invalid("invalid_query", &message));
    }
    Ok(pairs)
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
