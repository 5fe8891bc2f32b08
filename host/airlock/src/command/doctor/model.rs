//! Whether the model's server can be reached: DNS, TCP and TLS. No request and no credential is sent.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use hyper::Uri;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::Finding;
use airlock_base::environment::Environment;
use airlock_codex::certificates;

/// The deadline of each step: DNS, TCP, TLS.
const STEP: Duration = Duration::from_secs(5);

/// A server to reach.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ModelServer {
    host: String,
    port: u16,
    secure: bool,
}

/// Connects once to the server of this base URL, or to the proxy that Codex would use for it.
pub(super) async fn check(base_url: &str, environment: &Environment) -> Finding {
    let Some(server) = ModelServer::of(base_url) else {
        return Finding::Fail(format!(
            "{base_url:?} is not the URL of a model's server; correct base_url of its provider"
        ));
    };
    let began = Instant::now();
    let proxy = proxy(&server, environment);
    let reached = match &proxy {
        Some((_, proxy)) => proxy.connect().await.map(drop),
        None => server.reach(environment).await,
    };
    let ms = began.elapsed().as_millis();
    match (reached, proxy) {
        (Ok(()), None) => Finding::Pass(format!("{server} is reached, in {ms} ms")),
        (Ok(()), Some((name, proxy))) => Finding::Pass(format!(
            "{proxy}, the proxy of {name}, is reached, in {ms} ms; {server} behind it was not tried"
        )),
        (Err(fault), None) => Finding::Fail(format!("{server} cannot be reached: {fault}")),
        (Err(fault), Some((name, proxy))) => Finding::Fail(format!(
            "{proxy}, the proxy of {name}, cannot be reached: {fault}, or correct that variable"
        )),
    }
}

impl std::fmt::Display for ModelServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { host, port, .. } = self;
        match host.contains(':') {
            true => write!(f, "[{host}]:{port}"),
            false => write!(f, "{host}:{port}"),
        }
    }
}

impl ModelServer {
    /// The server of a URL, without user name and password.
    fn of(url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        let (secure, usual) = match uri.scheme_str()? {
            "https" | "wss" => (true, 443),
            "http" | "ws" => (false, 80),
            "socks4" | "socks4a" | "socks5" | "socks5h" => (false, 1080),
            _ => return None,
        };
        let host = uri.host().filter(|host| !host.is_empty())?;
        Some(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: uri.port_u16().unwrap_or(usual),
            secure,
        })
    }

    async fn reach(&self, environment: &Environment) -> Result<(), String> {
        let stream = self.connect().await?;
        if !self.secure {
            return Ok(());
        }
        let more = environment.raw("CODEX_CA_CERTIFICATE").map(PathBuf::from);
        let Ok(trust) = certificates::client_config(more).await else {
            // The line `certificates` has the details.
            return Err("there is no CA certificate to trust it by".to_owned());
        };
        let name = ServerName::try_from(self.host.clone())
            .map_err(|_| format!("{:?} is not the name of a server", self.host))?;
        match timeout(STEP, TlsConnector::from(trust).connect(name, stream)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(format!(
                "TLS fails ({error}); where a proxy looks into TLS, name a PEM file with its certificate in SSL_CERT_FILE"
            )),
            Err(_) => Err(format!(
                "it accepts a connection and does not answer within {} s; check firewall and proxy",
                STEP.as_secs()
            )),
        }
    }

    async fn connect(&self) -> Result<TcpStream, String> {
        let looking = lookup_host((self.host.as_str(), self.port));
        let addresses: Vec<SocketAddr> = match timeout(STEP, looking).await {
            Ok(Ok(addresses)) => addresses.collect(),
            Ok(Err(_)) => {
                return Err("its name cannot be resolved; check network and DNS".to_owned());
            }
            Err(_) => {
                return Err(format!(
                    "DNS does not answer within {} s; check network and DNS",
                    STEP.as_secs()
                ));
            }
        };
        match timeout(STEP, TcpStream::connect(addresses.as_slice())).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => {
                Err("the connection is refused; check its address, firewall and proxy".to_owned())
            }
            Ok(Err(error)) => Err(format!("{error}; check network, firewall and proxy")),
            Err(_) => Err(format!(
                "no connection within {} s, as where packets are dropped; check network, firewall and proxy",
                STEP.as_secs()
            )),
        }
    }
}

/// The proxy that Codex reaches a server through, and the variable that names it.
fn proxy(server: &ModelServer, environment: &Environment) -> Option<(&'static str, ModelServer)> {
    let value = |name: &str| environment.raw(name)?.to_str();
    let exempt = value("NO_PROXY").or_else(|| value("no_proxy"));
    let mut exempt = exempt.unwrap_or_default().split(',').map(str::trim);
    let host = server.host.to_ascii_lowercase();
    let is_exempt = exempt.any(|name| {
        let name = name
            .trim_start_matches("*.")
            .trim_start_matches('.')
            .to_ascii_lowercase();
        let below = host
            .strip_suffix(&name)
            .is_some_and(|rest| rest.ends_with('.'));
        name == "*" || (!name.is_empty() && (host == name || below))
    });
    if is_exempt {
        return None;
    }
    let names = match server.secure {
        true => ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"],
        false => ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"],
    };
    let (name, url) = names
        .into_iter()
        .find_map(|name| Some((name, value(name)?)))?;
    let url = match url.contains("://") {
        true => url.to_owned(),
        false => format!("http://{url}"),
    };
    Some((name, ModelServer::of(&url)?))
}

#[cfg(test)]
mod tests;
