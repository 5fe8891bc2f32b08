//! The gateway that runs with the same configuration, as those see it who may do more than clients.

mod events; // an answer that comes event by event

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

pub(super) use self::events::Events;
use super::terminal::escaped;
use super::{Stop, arguments, with_runtime};
use crate::config::Config;
use airlock_base::environment::Environment;
use airlock_base::secrets::Secret;

/// How long everything besides compiling may take.
const WAIT: Duration = Duration::from_secs(30);

/// How long it may take to say whether it is there.
const CONNECT: Duration = Duration::from_secs(3);

/// How long it may take to say what it is, also where it has much to do.
const HELLO: Duration = Duration::from_secs(10);

/// Bytes of that.
const GREETING: usize = 4 << 10;

/// Bytes of the longest answer that is read.
const ANSWER: usize = 64 << 20;

/// Who listens on an address.
pub(super) enum Hello {
    Nobody,
    /// A gateway, with what tells its data folder from others.
    Airlock {
        data: Option<String>,
    },
    Stranger,
}

/// A gateway to speak to.
pub(super) struct Remote {
    address: SocketAddr,
    key: Option<Secret>,
    wait: Duration,
    /// Who speaks to it: the user's name, where the environment has it.
    pub(super) user: Option<String>,
}

impl Remote {
    /// The gateway that `airlock serve` with these arguments is.
    pub(super) fn of(matches: &ArgMatches) -> Result<Self, Stop> {
        let loaded = Config::load_for_client(&arguments::flags(matches), Environment::of_process());
        let config = loaded.map_err(|error| Stop::Usage(error.into()))?.config;
        Self::with(&config).map_err(Stop::Usage)
    }

    fn with(config: &Config) -> anyhow::Result<Self> {
        if config.server.admin_key.is_none() {
            bail!(
                "no admin key is configured, so the gateway has no admin routes: set `admin_key` in the configuration file, \
                 or AIRLOCK_ADMIN_KEY, for `airlock serve` and for this command"
            );
        }
        Self::reached(config)
    }

    /// The gateway of this configuration, for routes that need no admin key where none is configured.
    ///
    /// # Errors
    /// The configuration does not say where it listens.
    pub(super) fn reached(config: &Config) -> anyhow::Result<Self> {
        if config.server.listen.port() == 0 {
            bail!("the system chose the gateway's port: say which with --listen");
        }
        let user = config.environment.raw("USER");
        Ok(Self {
            address: reachable(config.server.listen),
            key: config
                .server
                .admin_key
                .clone()
                .or_else(|| config.server.api_key.clone()),
            wait: WAIT.saturating_add(config.policy.compile_timeout),
            user: user.map(|user| user.to_string_lossy().into_owned()),
        })
    }

    /// Where it is, as an origin.
    pub(super) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Whether a gateway listens there. It is asked without any key.
    ///
    /// # Errors
    /// Something else listens there.
    pub(super) async fn listens(&self) -> anyhow::Result<bool> {
        match self.hello().await {
            Hello::Nobody => Ok(false),
            Hello::Airlock { .. } => Ok(true),
            Hello::Stranger => bail!(
                "what listens on {} does not answer as a gateway of this version does: free port {} or restart the gateway \
                 that has it, or say where it is with --listen",
                self.address,
                self.address.port()
            ),
        }
    }

    /// Who listens there. It is asked without any key.
    pub(super) async fn hello(&self) -> Hello {
        let connected = timeout(CONNECT, TcpStream::connect(self.address)).await;
        let Ok(Ok(stream)) = connected else {
            return Hello::Nobody;
        };
        let greeting = async {
            let request = Request::builder().uri("/healthz");
            let request = request.header(HOST, self.address.to_string());
            let request = request.body(Body::empty())?;
            let (status, body) = exchanged(stream, request, GREETING).await?;
            let body: Value = serde_json::from_slice(&body)?;
            let is_airlock = status.is_success() && body["service"] == "airlock";
            let data = body["data"].as_str().map(str::to_owned);
            anyhow::Ok(is_airlock.then_some(Hello::Airlock { data }))
        };
        match timeout(HELLO, greeting).await {
            Ok(Ok(Some(airlock))) => airlock,
            Ok(Ok(None) | Err(_)) | Err(_) => Hello::Stranger,
        }
    }

    /// Makes one call. It has until the gateway could have compiled a policy.
    pub(super) fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Value, Stop> {
        with_runtime(|runtime| {
            let call = async {
                // A stranger hears no key. That nobody listens is for the call to say.
                self.listens().await?;
                self.call(method, path, body).await
            };
            runtime.block_on(call).map_err(Stop::Failure)
        })
    }

    /// The same, for those who have a runtime already.
    ///
    /// # Errors
    /// Nobody answers, in time, or what the gateway says where it refuses.
    pub(super) async fn call(
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
        let request = self.request(method, path, body)?;
        let answer = exchanged(stream, request, ANSWER).await;
        answer.with_context(|| format!("the gateway at {} does not answer", self.address))
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Request<Body>> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.address.to_string());
        if let Some(key) = &self.key {
            request = request.header(AUTHORIZATION, format!("Bearer {}", key.expose()));
        }
        let body = match body {
            Some(body) => {
                request = request.header(CONTENT_TYPE, "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        Ok(request.body(body)?)
    }

    fn refusal(&self, status: StatusCode, answer: Option<&Value>) -> anyhow::Error {
        let error = |member: &str| answer?.get("error")?.get(member)?.as_str();
        match (error("code"), error("message")) {
            (Some("invalid_api_key"), _) => anyhow!(
                "the gateway at {} has another key than this configuration",
                self.address
            ),
            (Some("unknown_url"), _) => anyhow!(
                "the gateway at {} has no admin routes: it runs without `admin_key`",
                self.address
            ),
            // It may quote a policy.
            (_, Some(message)) => anyhow!(escaped(message).into_owned()),
            (_, None) => anyhow!(
                "{} answers {status}, but not as a gateway does",
                self.address
            ),
        }
    }
}

/// Asks once, and reads an answer of so many bytes at most.
async fn exchanged(
    stream: TcpStream,
    request: Request<Body>,
    longest: usize,
) -> anyhow::Result<(StatusCode, Bytes)> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let exchange = async move {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), longest).collect().await;
        let body = body.map_err(|error| anyhow!("its answer: {error}"))?;
        anyhow::Ok((status, body.to_bytes()))
    };
    // The connection ends once its sender, which the exchange has, is gone.
    let (answer, _) = tokio::join!(exchange, connection);
    answer
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
        config.server.admin_key = Some(Secret::new("key"));
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
        keyless.server.admin_key = None;
        let error = Remote::with(&keyless).err().unwrap().to_string();
        assert!(error.contains("AIRLOCK_ADMIN_KEY"), "{error}");
        let mut any = config();
        any.server.listen.set_port(0);
        let error = Remote::with(&any).err().unwrap().to_string();
        assert!(error.contains("--listen"), "{error}");
    }

    #[tokio::test]
    async fn a_stranger_on_the_port_is_named_and_hears_no_key() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut config = config();
        config.server.listen = listener.local_addr().unwrap();
        let remote = Remote::reached(&config).ok().unwrap();
        let stranger = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut received = vec![0; 4096];
            let length = stream.read(&mut received).await.unwrap();
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8_lossy(&received[..length]).to_lowercase()
        };
        let (answer, received) = tokio::join!(remote.listens(), stranger);
        let error = answer.unwrap_err().to_string();
        assert!(
            error.contains(&config.server.listen.port().to_string()),
            "{error}"
        );
        assert!(!received.contains("authorization"), "{received}");
        drop(listener);
        assert!(!remote.listens().await.unwrap());
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
        assert_eq!(said("policy_not_found"), "\\u001bN\\u009bo.\\u0007");
        assert!(said("invalid_api_key").contains("another key"));
        assert!(said("unknown_url").contains("admin_key"));
        let other = remote.refusal(StatusCode::BAD_GATEWAY, None).to_string();
        assert!(other.contains("502"), "{other}");
    }
}
