//! Checks `Host` and `Origin`, so that only allowed web pages reach a gateway on their reader's machine.
//!
//! A cross-origin request of a page has its `Origin`. A page whose own name resolves to 127.0.0.1 (DNS rebinding) is
//! same-origin for the browser; only `Host` reveals it.

mod cors; // CORS headers
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use axum::body::Body;
use axum::http::header::{HOST, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderValue, Request, Uri, Version};
use axum::response::{IntoResponse as _, Response};

use super::failure::HttpError;
use airlock_base::escape::Escaped;

/// The allowed hosts and web origins.
#[derive(Debug)]
pub(super) struct OriginGuard {
    listen: IpAddr,
    hosts: Vec<String>,
    origins: Vec<String>,
}

impl OriginGuard {
    /// A guard of a gateway on this address, with further hosts and origins.
    pub(super) fn new(listen: IpAddr, hosts: &[String], origins: &[String]) -> Self {
        let lower = |names: &[String]| names.iter().map(|name| name.to_ascii_lowercase()).collect();
        Self {
            listen,
            hosts: lower(hosts),
            origins: lower(origins),
        }
    }

    /// Serves the request if it is allowed, and adds the CORS headers with which its page may read the response.
    pub(super) async fn pass<F: Future<Output = Response>>(
        &self,
        request: Request<Body>,
        serve: impl FnOnce(Request<Body>) -> F,
    ) -> Response {
        let origin = match self.admit(&request) {
            Ok(origin) => origin,
            Err(refusal) => return refusal.into_response(),
        };
        let Some(origin) = origin else {
            return serve(request).await;
        };
        let mut response = match cors::preflight(&request) {
            Some(answer) => answer,
            None => serve(request).await,
        };
        cors::expose(response.headers_mut(), origin);
        response
    }

    /// The origin of the page that sent the request. None: no page did.
    ///
    /// # Errors
    /// `invalid_host`, `host_not_allowed` or `origin_not_allowed`.
    fn admit<B>(&self, request: &Request<B>) -> Result<Option<HeaderValue>, HttpError> {
        let headers = request.headers();
        let host = named_host(request)?;
        // HTTP/1.0 may omit Host. Browsers always send it, so no page is behind such a request.
        if let Some(host) = &host
            && !self.is_ours(host.host())
        {
            let message = format!(
                "The request's Host {} is not a name of this gateway. If it should be, add it to allowed_hosts, without its port.",
                quoted(host.as_str().as_bytes())
            );
            return Err(HttpError::forbidden("host_not_allowed", message));
        }
        let mut named = headers.get_all(ORIGIN).iter();
        let (origin, another) = (named.next(), named.next());
        let Some(origin) = origin else {
            return Ok(None);
        };
        // Of two origins, only one would be checked.
        if another.is_none() && host.is_some_and(|host| self.may_call(origin, &host)) {
            return Ok(Some(origin.clone()));
        }
        let message = format!(
            "Web pages of this origin {} may not call this gateway. If they should, add it to allowed_origins.",
            quoted(origin.as_bytes())
        );
        Err(HttpError::forbidden("origin_not_allowed", message))
    }

    /// Whether the host is a name or an address of this gateway.
    fn is_ours(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        if is_loopback(&host) || self.hosts.contains(&host) {
            return true;
        }
        // DNS rebinding needs a name, so an address is safe. An unspecified listen address stands for all of them.
        address(&host).is_some_and(|address| address == self.listen || self.listen.is_unspecified())
    }

    /// Whether a page of this origin may call.
    fn may_call(&self, origin: &HeaderValue, host: &Authority) -> bool {
        let Ok(origin) = origin.to_str() else {
            return false;
        };
        let origin = origin.to_ascii_lowercase();
        if self.origins.contains(&origin) {
            return true;
        }
        let Ok(uri) = origin.parse::<Uri>() else {
            return false;
        };
        let (Some("http" | "https"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return false;
        };
        // Only a scheme and an authority, as browsers send it. A name before an @ would look like another host.
        let plain = origin
            .split_once("://")
            .is_some_and(|(_, rest)| rest == authority.as_str() && !rest.contains('@'));
        // Pages on loopback are served by this machine's own processes, which could call without a browser too.
        plain && (authority == host || is_loopback(authority.host()))
    }
}

/// The host of the request. None: HTTP/1.0 without `Host`. Two are refused (RFC 9112 §3.2).
fn named_host<B>(request: &Request<B>) -> Result<Option<Authority>, HttpError> {
    let invalid = |message: &str| Err(HttpError::invalid("invalid_host", message));
    let target = request.uri().authority();
    let mut named = request.headers().get_all(HOST).iter();
    let host = match (named.next(), named.next()) {
        (Some(host), None) => Authority::try_from(host.as_bytes()).ok(),
        (None, _) if request.version() < Version::HTTP_11 => match target {
            Some(target) => Some(target.clone()),
            None => return Ok(None),
        },
        (None, _) => return invalid("The request must have a Host header field."),
        (Some(_), Some(_)) => return invalid("The request must have just one Host header field."),
    };
    // A name before an @ would look like another host.
    let Some(host) = host.filter(|host| !host.as_str().contains('@')) else {
        return invalid("The request's Host is not a host name.");
    };
    if target.is_some_and(|target| target != &host) {
        return invalid("The request's Host is not that of its URL.");
    }
    Ok(Some(host))
}

/// The most bytes of a header's value that a message repeats.
const QUOTED_BYTES: usize = 256;

/// A header's value, escaped for a message.
fn quoted(value: &[u8]) -> String {
    let value = &value[..value.len().min(QUOTED_BYTES)];
    format!("{:?}", Escaped(String::from_utf8_lossy(value)))
}

/// Whether a name or an address always means this machine.
fn is_loopback(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host);
    // RFC 6761: resolvers answer these with loopback only.
    name == "localhost"
        || name.ends_with(".localhost")
        || address(host).is_some_and(|address| address.is_loopback())
}

fn address(host: &str) -> Option<IpAddr> {
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    bare.parse::<IpAddr>()
        .ok()
        .map(|address| address.to_canonical())
}
