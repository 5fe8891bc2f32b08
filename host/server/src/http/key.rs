//! Who may call at all: the key, where one is configured. Loopback is no exception.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::Response;
use subtle::ConstantTimeEq as _;

use super::failure::Refusal;
use airlock_base::secrets::Secret;
use airlock_policy::Client;

/// A key, where one is configured.
pub(super) type Key = Option<Arc<Secret>>;

/// Lets in who presents the key, and notes as whom.
pub(super) async fn check(
    State(key): State<Key>,
    mut request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    has_one_at_most(request.headers())?;
    if let Some(key) = key {
        verify(request.headers(), &key)?;
        let client = Client::of_key(key.expose().as_bytes());
        request.extensions_mut().insert(client);
    }
    Ok(next.run(request).await)
}

/// The same where either of two keys opens, and none is asked for unless the first is configured.
pub(super) async fn check_either(
    State((key, other)): State<(Key, Key)>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    has_one_at_most(request.headers())?;
    if let Some(key) = key {
        let other = other.filter(|other| is(request.headers(), other));
        if other.is_none() {
            verify(request.headers(), &key)?;
        }
    }
    Ok(next.run(request).await)
}

/// Refuses a request with two keys: what lies in front of the gateway may have looked at the other.
fn has_one_at_most(headers: &HeaderMap) -> Result<(), Refusal> {
    if headers.get_all(AUTHORIZATION).iter().nth(1).is_none() {
        return Ok(());
    }
    let message = "The request must have just one Authorization header field.";
    Err(Refusal::invalid("repeated_header", message))
}

/// Whether the request presents this key.
pub(super) fn is(headers: &HeaderMap, key: &Secret) -> bool {
    verify(headers, key).is_ok()
}

fn verify(headers: &HeaderMap, key: &Secret) -> Result<(), Refusal> {
    let Some(given) = bearer(headers) else {
        return Err(Refusal::wrong_key(
            "This gateway asks for a key: send `Authorization: Bearer KEY`.",
        ));
    };
    // In constant time: how long it takes must not tell how much of a guess is right.
    if bool::from(given.ct_eq(key.expose().as_bytes())) {
        return Ok(());
    }
    Err(Refusal::wrong_key(
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
    fn only_the_key_itself_opens() {
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
