//! Authentication by `Authorization: Bearer KEY`, if a key is configured, also on loopback.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::Response;
use subtle::ConstantTimeEq as _;

use super::failure::HttpError;
use airlock_base::secrets::Secret;
use airlock_policy::Client;

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
    if headers.get_all(AUTHORIZATION).iter().nth(1).is_none() {
        return Ok(());
    }
    let message = "The request must have just one Authorization header field.";
    Err(HttpError::invalid("repeated_header", message))
}

/// Whether the request presents this key.
pub(super) fn is_presented(headers: &HeaderMap, key: &Secret) -> bool {
    verify(headers, key).is_ok()
}

fn verify(headers: &HeaderMap, key: &Secret) -> Result<(), HttpError> {
    let Some(given) = bearer(headers) else {
        return Err(HttpError::wrong_key(
            "This gateway requires a key: send `Authorization: Bearer KEY`.",
        ));
    };
    // In constant time: the duration must not reveal how much of a guess is right.
    if bool::from(given.ct_eq(key.expose().as_bytes())) {
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
}
