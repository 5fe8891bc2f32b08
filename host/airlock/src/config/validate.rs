//! Validates hosts, origins, URLs and public keys. A host or origin that no request can match is refused, with the
//! spelling that was probably meant.

use std::net::{Ipv6Addr, SocketAddr};

/// Checks a host name as in `Host`, without a port.
pub(super) fn host(text: &str) -> Result<(), String> {
    if is_host(text) {
        return Ok(());
    }
    if text.contains('*') {
        return Err(no_wildcard(text, "host"));
    }
    let (_, rest) = text.split_once("://").unwrap_or(("", text));
    let suggestion = without_port(authority(rest));
    let fault = "a host has no scheme, port or path";
    Err(refusal(text, fault, bracketed(suggestion), "box.example"))
}

/// Checks an origin as browsers send it: `https://chat.example`, with a port only if it is not the scheme's default.
pub(super) fn origin(text: &str) -> Result<(), String> {
    if is_origin(text) {
        return Ok(());
    }
    if text.contains('*') {
        return Err(no_wildcard(text, "origin"));
    }
    if text.eq_ignore_ascii_case("null") {
        return Err(
            "has \"null\", as which any page of any site can present itself; name a page's real origin"
                .to_owned(),
        );
    }
    let (scheme, rest) = text.split_once("://").unwrap_or(("https", text));
    let authority = authority(rest);
    let host = bracketed(without_port(authority)).unwrap_or_default();
    let port = port(authority).filter(|port| !is_default_port(scheme, port));
    let suggestion = match port {
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    };
    let fault = "an origin is scheme and host, with a port only where it is not the usual one";
    let suggestion = is_origin(&suggestion).then_some(suggestion);
    Err(refusal(text, fault, suggestion, "https://chat.example"))
}

/// Checks a public key as minisign writes it.
pub(super) fn public_key(text: &str) -> Result<(), String> {
    match minisign_verify::PublicKey::from_base64(text) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!(
            "has {text:?}, which is not a minisign key; write the second line of minisign.pub, 56 characters that begin with RW"
        )),
    }
}

/// Checks a URL to which a key may be sent: https, or http on loopback.
pub(super) fn url(text: &str) -> Result<(), String> {
    let fault = |fault: &str| {
        Err(format!(
            "has {fault}; write https://tokens.example/codex, or http:// on loopback"
        ))
    };
    let Ok(uri) = text.parse::<hyper::Uri>() else {
        return fault("text that is not a URL");
    };
    let Some(authority) = uri.authority() else {
        return fault("no host");
    };
    if authority.as_str().contains('@') {
        return fault("a name or a password in it");
    }
    let bare = authority.host().trim_matches(['[', ']']);
    let loopback = bare == "localhost"
        || bare
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback());
    match uri.scheme_str() {
        Some("https") => Ok(()),
        Some("http") if loopback => Ok(()),
        Some("http") => fault("a host that is reached without encryption"),
        _ => fault("a scheme other than https"),
    }
}

fn is_host(text: &str) -> bool {
    match text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        // Clients send the shortest form of an address.
        Some(address) => address
            .parse::<Ipv6Addr>()
            .is_ok_and(|parsed| parsed.to_string() == address.to_ascii_lowercase()),
        None => {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            !text.is_empty() && !text.starts_with('.') && text.bytes().all(allowed)
        }
    }
}

fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else {
        return false;
    };
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(allowed);
    // Some programs that show a page from a file send `file://`, without a host.
    let is_file = scheme.eq_ignore_ascii_case("file") && authority.is_empty();
    let host = without_port(authority);
    let fits = match port(authority) {
        None => authority.len() == host.len(),
        Some(port) => {
            !port.starts_with('0') && port.parse::<u16>().is_ok() && !is_default_port(scheme, port)
        }
    };
    is_scheme && (is_file || (is_host(host) && fits))
}

/// Whether the port is the scheme's default, which browsers leave out.
fn is_default_port(scheme: &str, port: &str) -> bool {
    matches!(
        (scheme.to_ascii_lowercase().as_str(), port),
        ("http" | "ws", "80") | ("https" | "wss", "443")
    )
}

/// The authority without its userinfo (RFC 3986, section 3.2), of a URL without its scheme.
fn authority(text: &str) -> &str {
    let end = text.find(['/', '?', '#']).unwrap_or(text.len());
    let authority = &text[..end];
    authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host)
}

fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        // An IPv6 address without brackets has no port.
        Some((host, port)) if is_port(port) && (!host.contains(':') || host.ends_with(']')) => host,
        _ => authority,
    }
}

fn port(authority: &str) -> Option<&str> {
    let port = authority[without_port(authority).len()..].strip_prefix(':')?;
    (!port.is_empty()).then_some(port)
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The host as a request has it: an IPv6 address in brackets. None: the text is not a host.
fn bracketed(host: &str) -> Option<String> {
    if is_host(host) {
        return Some(host.to_owned());
    }
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse::<Ipv6Addr>().ok()?;
    let socket = SocketAddr::from((address, 0)).to_string();
    socket.strip_suffix(":0").map(str::to_owned)
}

fn no_wildcard(text: &str, kind: &str) -> String {
    format!("has {text:?}, but there are no wildcards: name each {kind}")
}

fn refusal(text: &str, fault: &str, suggestion: Option<String>, example: &str) -> String {
    match suggestion {
        Some(suggestion) => {
            format!("has {text:?}, which never matches: {fault}; write {suggestion:?}")
        }
        None if !text.is_ascii() => format!(
            "has {text:?}, which never matches: browsers send such names in ASCII, as xn--…; write that"
        ),
        None => {
            format!("has {text:?}, which never matches: {fault}; write it like {example:?}")
        }
    }
}

#[cfg(test)]
mod tests;
