//! Authentication by `Authorization: Bearer KEY` or `x-api-key: KEY`, if a key is configured, also on loopback.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderName};
use axum::middleware::Next;
use axum::response::Response;
use subtle::ConstantTimeEq as _;

use super::failure::HttpError;
use airlock_base::secrets::Secret;
use airlock_policy::Client;

/// The header of the key in Anthropic's API.
const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The configured key. None: no key is required.
pub(super) type RequiredKey = Option<Arc<Secret>>;

/// Middleware that requires the key, and identifies the client by it.
pub(super) async fn check(
    State(key): State<RequiredKey>,
    mut request: Request,
    next: Next,
) -> Result<Response, HttpError> {
    has_at_most_one_key(request.headers())?;
    if let Some(key) = key {
        verify(request.headers(), &key)?;
        let client = Client::of_key(key.expose().as_bytes());
        request.extensions_mut().insert(client);
    }
    Ok(next.run(request).await)
}

/// Middleware that requires either of two keys, if the first is configured.
pub(super) async fn check_either(
    State((key, other)): State<(RequiredKey, RequiredKey)>,
    request: Request,
    next: Next,
) -> Result<Response, HttpError> {
    has_at_most_one_key(request.headers())?;
    if let Some(key) = key {
        let other = other.filter(|other| is_presented(request.headers(), other));
        if other.is_none() {
            verify(request.headers(), &key)?;
        }
    }
    Ok(next.run(request).await)
}

/// Refuses a request with two keys: a proxy in front of the gateway may have checked the other one.
fn has_at_most_one_key(headers: &HeaderMap) -> Result<(), HttpError> {
    for name in [AUTHORIZATION, X_API_KEY] {
        if headers.get_all(&name).iter().nth(1).is_some() {
            let message = format!("The request must have at most one `{name}` header field.");
            return Err(HttpError::invalid("repeated_header", &message));
        }
    }
    Ok(())
}

/// Whether the request presents this key.
pub(super) fn is_presented(headers: &HeaderMap, key: &Secret) -> bool {
    verify(headers, key).is_ok()
}

fn verify(headers: &HeaderMap, key: &Secret) -> Result<(), HttpError> {
    let api_key = headers
        .get(X_API_KEY)
        .map(|key| key.as_bytes().trim_ascii());
    let mut given = bearer(headers).into_iter().chain(api_key).peekable();
    if given.peek().is_none() {
        return Err(HttpError::wrong_key(
            "This gateway requires a key: send `Authorization: Bearer KEY` or `x-api-key: KEY`.",
        ));
    }
    // In constant time: the duration must not reveal how much of a guess is right. Two keys must both be right.
    if given.all(|given| bool::from(given.ct_eq(key.expose().as_bytes()))) {
        return Ok(());
    }
    Err(HttpError::wrong_key(
        "The key is wrong. It is the one that this gateway was configured with.",
    ))
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let (scheme, key) = headers.get(AUTHORIZATION)?.as_bytes().split_at_checked(7)?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then(|| key.trim_ascii())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn accepted(authorization: Option<&str>) -> bool {
        let mut headers = HeaderMap::new();
        if let Some(authorization) = authorization {
            headers.insert(AUTHORIZATION, authorization.parse().unwrap());
        }
        verify(&headers, &Secret::new("right")).is_ok()
    }

    #[test]
    fn only_the_exact_key_is_accepted() {
        assert!(accepted(Some("Bearer right")));
        assert!(accepted(Some("bearer  right")));
        for wrong in [
            "Bearer wrong",
            "Bearer righ",
            "Bearer rightx",
            "Bearer ",
            "Bearer",
            "Basic right",
            "right",
            "",
        ] {
            assert!(!accepted(Some(wrong)), "{wrong}");
        }
        assert!(!accepted(None));
    }

    #[test]
    fn the_key_may_be_in_anthropics_header() {
        let accepted = |headers: &[(&str, &str)]| {
            let name = |name: &str| HeaderName::try_from(name).unwrap();
            let headers = headers.iter();
            let headers = headers.map(|(it, value)| (name(it), value.parse().unwrap()));
            verify(&headers.collect(), &Secret::new("right")).is_ok()
        };
        assert!(accepted(&[("x-api-key", "right")]));
        assert!(!accepted(&[("x-api-key", "wrong")]));
        assert!(!accepted(&[("x-api-key", "")]));
        let bearer = ("authorization", "Bearer right");
        assert!(accepted(&[bearer, ("x-api-key", "right")]));
        assert!(!accepted(&[bearer, ("x-api-key", "wrong")]));
        assert!(!accepted(&[
            ("authorization", "Bearer wrong"),
            ("x-api-key", "right")
        ]));
    }
}
