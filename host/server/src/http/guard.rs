//! Who may call from where: a web page must not reach a gateway on its reader's machine, unless it may.
//!
//! A page can make its own name resolve to 127.0.0.1 (DNS rebinding); then its requests are same-origin for the
//! browser, and only `Host` still tells. A page that asks openly is told by `Origin`.

mod cors;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use axum::body::Body;
use axum::http::header::{HOST, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderValue, Request, Uri, Version};
use axum::response::{IntoResponse as _, Response};

use super::failure::Refusal;
use airlock_base::escape::Escaped;

/// The names and origins from which this gateway may be called.
#[derive(Debug)]
pub(super) struct Guard {
    listen: IpAddr,
    hosts: Vec<String>,
    origins: Vec<String>,
}

impl Guard {
    pub(super) fn new(listen: IpAddr, hosts: &[String], origins: &[String]) -> Self {
        let lower = |names: &[String]| names.iter().map(|name| name.to_ascii_lowercase()).collect();
        Self {
            listen,
            hosts: lower(hosts),
            origins: lower(origins),
        }
    }

    /// Has the request served if it may be, and lets the page that asks read what comes of it.
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

    /// The page's origin, if a page asks and may.
    fn admit<B>(&self, request: &Request<B>) -> Result<Option<HeaderValue>, Refusal> {
        let headers = request.headers();
        let host = named_host(request)?;
        // HTTP/1.0 may name no host. No browser omits it, so no page has sent that.
        if let Some(host) = &host
            && !self.is_ours(host.host())
        {
            let message = format!(
                "The request's Host {} is not a name of this gateway. If it should be, add it to allowed_hosts, without its port.",
                quoted(host.as_str().as_bytes())
            );
            return Err(Refusal::forbidden("host_not_allowed", message));
        }
        let mut named = headers.get_all(ORIGIN).iter();
        let (origin, another) = (named.next(), named.next());
        let Some(origin) = origin else {
            return Ok(None);
        };
        // Of two, one would be told that it may and the other be let in with it.
        if another.is_none() && host.is_some_and(|host| self.may_call(origin, &host)) {
            return Ok(Some(origin.clone()));
        }
        let message = format!(
            "Web pages of this origin {} may not call this gateway. If they should, add it to allowed_origins.",
            quoted(origin.as_bytes())
        );
        Err(Refusal::forbidden("origin_not_allowed", message))
    }

    fn is_ours(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        if is_loopback(&host) || self.hosts.contains(&host) {
            return true;
        }
        // An address cannot be rebound: whoever names it means it. On all addresses means on any of them.
        address(&host).is_some_and(|address| address == self.listen || self.listen.is_unspecified())
    }

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
        // Nothing but scheme and authority, as browsers send it; a name before an @ looks like another host.
        let plain = origin
            .split_once("://")
            .is_some_and(|(_, rest)| rest == authority.as_str() && !rest.contains('@'));
        // Pages on loopback are this machine's own: who serves them could call without a browser just as well.
        plain && (authority == host || is_loopback(authority.host()))
    }
}

/// The host that the request names. Only HTTP/1.0 may name none, and none may name two (RFC 9112 §3.2).
fn named_host<B>(request: &Request<B>) -> Result<Option<Authority>, Refusal> {
    let invalid = |message: &str| Err(Refusal::invalid("invalid_host", message));
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
    // A name before an @ looks like another host.
    let Some(host) = host.filter(|host| !host.as_str().contains('@')) else {
        return invalid("The request's Host is no host name.");
    };
    if target.is_some_and(|target| target != &host) {
        return invalid("The request's Host is not that of its URL.");
    }
    Ok(Some(host))
}

/// Bytes of a header's value that are repeated.
const REPEATED: usize = 256;

/// A header's value as a message repeats it.
fn quoted(value: &[u8]) -> String {
    let value = &value[..value.len().min(REPEATED)];
    format!("{:?}", Escaped(String::from_utf8_lossy(value)))
}

/// Whether a name or an address always means this machine.
fn is_loopback(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host);
    // RFC 6761: no resolver may answer these with anything but loopback.
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
