//! The gateway that runs with the same configuration, as its admin routes show it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use axum::body::{Body, Bytes};
use clap::ArgMatches;
use http_body_util::{BodyExt as _, Limited};
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::command::{Stop, arguments, with_runtime};
use crate::config::{Config, Environment, Secret};

/// How long everything besides compiling may take.
const WAIT: Duration = Duration::from_secs(30);

/// Bytes of the longest answer that is read.
const ANSWER: usize = 64 << 20;

/// A gateway to speak to.
pub(in crate::command) struct Remote {
    address: SocketAddr,
    key: Secret,
    wait: Duration,
    /// Who speaks to it: the user's name, where the environment has it.
    pub(in crate::command) user: Option<String>,
}

impl Remote {
    /// The gateway that `airlock serve` with these arguments is.
    pub(in crate::command) fn of(matches: &ArgMatches) -> Result<Self, Stop> {
        let loaded = Config::load(&arguments::flags(matches), Environment::of_process());
        let config = loaded.map_err(|error| Stop::Usage(error.into()))?.config;
        Self::with(&config).map_err(Stop::Usage)
    }

    fn with(config: &Config) -> anyhow::Result<Self> {
        let Some(key) = config.admin_key.clone() else {
            bail!(
                "no admin key is configured, so the gateway has no admin routes: set `admin_key` in the configuration file, \
                 or AIRLOCK_ADMIN_KEY, for `airlock serve` and for this command"
            );
        };
        if config.listen.port() == 0 {
            bail!("the system chose the gateway's port: say which with --listen");
        }
        let user = config.environment.raw("USER");
        Ok(Self {
            address: reachable(config.listen),
            key,
            wait: WAIT.saturating_add(config.policies.compile_timeout),
            user: user.map(|user| user.to_string_lossy().into_owned()),
        })
    }

    /// Makes one call. It has until the gateway could have compiled a policy.
    pub(in crate::command) fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Value, Stop> {
        with_runtime(|runtime| {
            let call = self.call(method, path, body);
            runtime.block_on(call).map_err(Stop::Failure)
        })
    }

    /// The same, for those who have a runtime already.
    ///
    /// # Errors
    /// Nobody answers, in time, or what the gateway says where it refuses.
    pub(in crate::command) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Value> {
        let exchange = self.exchange(method, path, body);
        let (status, bytes) = match timeout(self.wait, exchange).await {
            Ok(answer) => answer?,
            Err(_) => bail!(
                "the gateway at {} has not answered within {} s",
                self.address,
                self.wait.as_secs()
            ),
        };
        let answer: Option<Value> = serde_json::from_slice(&bytes).ok();
        if status.is_success() {
            return answer
                .with_context(|| format!("{} answers, but not as a gateway does", self.address));
        }
        Err(self.refusal(status, answer.as_ref()))
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let stream = TcpStream::connect(self.address).await.with_context(|| {
            format!(
                "no gateway listens on {}: start it with `airlock serve`, or say where it is with --listen",
                self.address
            )
        })?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.address.to_string())
            .header(AUTHORIZATION, format!("Bearer {}", self.key.expose()));
        let body = match body {
            Some(body) => {
                request = request.header(CONTENT_TYPE, "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        let request = request.body(body)?;
        let exchange = async move {
            let response = sender.send_request(request).await?;
            let status = response.status();
            let body = Limited::new(response.into_body(), ANSWER).collect().await;
            let body = body.map_err(|error| anyhow!("its answer: {error}"))?;
            anyhow::Ok((status, body.to_bytes()))
        };
        // The connection ends once its sender, which the exchange has, is gone.
        let (answer, _) = tokio::join!(exchange, connection);
        answer.with_context(|| format!("the gateway at {} does not answer", self.address))
    }

    fn refusal(&self, status: StatusCode, answer: Option<&Value>) -> anyhow::Error {
        let error = |member: &str| answer?.get("error")?.get(member)?.as_str();
        match (error("code"), error("message")) {
            (Some("invalid_api_key"), _) => anyhow!(
                "the gateway at {} has another admin key than this configuration",
                self.address
            ),
            (Some("unknown_url"), _) => anyhow!(
                "the gateway at {} has no admin routes: it runs without `admin_key`",
                self.address
            ),
            // It may quote a policy.
            (_, Some(message)) => anyhow!(super::plain(message)),
            (_, None) => anyhow!(
                "{} answers {status}, but not as a gateway does",
                self.address
            ),
        }
    }
}

/// Where one that listens there is reached from this machine.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn config() -> Config {
        let mut config = Config::defaults(Environment::from_iter([("HOME", "/h"), ("USER", "me")]));
        config.admin_key = Some(Secret::new("key"));
        config
    }

    #[test]
    fn a_gateway_that_listens_everywhere_is_reached_on_loopback() {
        for (listen, expected) in [
            ("0.0.0.0:8787", "127.0.0.1:8787"),
            ("[::]:1", "[::1]:1"),
            ("192.0.2.1:80", "192.0.2.1:80"),
        ] {
            let reached = reachable(listen.parse().unwrap());
            assert_eq!(reached.to_string(), expected);
        }
    }

    #[test]
    fn what_is_missing_is_said() {
        let remote = Remote::with(&config()).map_err(|error| error.to_string());
        assert_eq!(remote.ok().unwrap().user.as_deref(), Some("me"));
        let mut keyless = config();
        keyless.admin_key = None;
        let error = Remote::with(&keyless).err().unwrap().to_string();
        assert!(error.contains("AIRLOCK_ADMIN_KEY"), "{error}");
        let mut any = config();
        any.listen.set_port(0);
        let error = Remote::with(&any).err().unwrap().to_string();
        assert!(error.contains("--listen"), "{error}");
    }

    #[test]
    fn a_refusal_is_the_gateways_own_words() {
        let remote = Remote::with(&config()).ok().unwrap();
        let said = |code: &str| {
            let answer =
                serde_json::json!({"error": {"message": "\u{1b}N\u{9b}o.\u{7}", "code": code}});
            remote
                .refusal(StatusCode::NOT_FOUND, Some(&answer))
                .to_string()
        };
        assert_eq!(said("policy_not_found"), "No.");
        assert!(said("invalid_api_key").contains("another admin key"));
        assert!(said("unknown_url").contains("admin_key"));
        let other = remote.refusal(StatusCode::BAD_GATEWAY, None).to_string();
        assert!(other.contains("502"), "{other}");
    }
}
