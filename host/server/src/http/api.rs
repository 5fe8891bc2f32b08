//! The routes of client APIs, which the policy answers.

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, Uri};
use axum::response::Response;

use super::dialect::ApiRoute;
use super::failure::HttpError;
use super::middleware::RequestInfo;
use super::{AppState, json, sse};
use crate::flow::{Caller, Continuation, FlowBody, ParsedRequest, RequestRoute};

/// Lists the parameters that are not honoured.
const IGNORED: HeaderName = HeaderName::from_static("x-airlock-ignored");

/// Reports how the turn that waited for the request's tool results continued.
const TURN: HeaderName = HeaderName::from_static("x-airlock-turn");

/// The most bytes of `IGNORED`. Its names come from the client.
const IGNORED_BYTES: usize = 1024;

/// Serves a request to a route of `API_ROUTES`.
pub(super) async fn serve(
    route: &'static ApiRoute,
    app: AppState,
    info: RequestInfo,
    request: Request,
) -> Result<Response, HttpError> {
    let headers = request.headers();
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let nested = app.flow.is_nested(header);
    let client = request.extensions().get().copied().unwrap_or_default();
    let query = query(request.uri());
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
        route: RequestRoute {
            dialect: route.dialect.name(),
            name: route.name,
            path_parameters: Vec::new(),
            query,
        },
        body,
        memory,
        nested,
    };
    let result = app.flow.start(parsed).await?;
    let mut response = match result.body {
        FlowBody::Stream(stream) => {
            let open = info.metrics.open();
            sse::response(sse::body(stream, route.dialect, open, info.exchange))
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

/// The names and values of a query, decoded. What is not UTF-8 becomes U+FFFD.
fn query(uri: &Uri) -> Vec<(String, String)> {
    let query = uri.query().unwrap_or_default().as_bytes();
    form_urlencoded::parse(query).into_owned().collect()
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
