//! A client of the gateway that runs with the same configuration. It uses the admin key, or else the clients' key.

mod events; // responses of server-sent events

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use clap::ArgMatches;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::time::timeout;

pub(super) use self::events::EventStream;
use super::arguments;
use super::error::CommandError;
use super::runtime::with_runtime;
use super::terminal::escaped;
use crate::config::Config;
use airlock_base::environment::Environment;
use airlock_base::secrets::Secret;

/// The deadline of a call, besides the time for compiling a policy.
const CALL: Duration = Duration::from_secs(30);

/// The deadline of a connection.
const CONNECT: Duration = Duration::from_secs(3);

/// The deadline of `/healthz`, also on a busy machine.
const IDENTIFY: Duration = Duration::from_secs(10);

/// Bytes of the longest answer to `/healthz`.
const IDENTITY_BYTES: usize = 4 << 10;

/// Bytes of the longest response.
const RESPONSE_BYTES: usize = 64 << 20;

/// What listens on an address.
pub(super) enum Listener {
    /// Nothing accepts connections.
    None,
    /// A gateway. `data` identifies its data folder.
    Airlock { data: Option<String> },
    /// Another program.
    Other,
}

/// A client of one gateway.
pub(super) struct GatewayClient {
    http: Client<HttpConnector, Full<Bytes>>,
    address: SocketAddr,
    key: Option<Secret>,
    /// The deadline of a call.
    timeout: Duration,
    /// The user's name, if the environment has it.
    pub(super) user: Option<String>,
}

impl GatewayClient {
    /// A client for admin routes of the gateway that `airlock serve` with these arguments is.
    pub(super) fn from_arguments(matches: &ArgMatches) -> Result<Self, CommandError> {
        let loaded = Config::load_for_client(&arguments::flags(matches), Environment::of_process());
        let config = loaded
            .map_err(|error| CommandError::Usage(error.into()))?
            .config;
        Self::for_admin(&config).map_err(CommandError::Usage)
    }

    fn for_admin(config: &Config) -> anyhow::Result<Self> {
        if config.server.admin_key.is_none() {
            bail!(
                "no admin key is configured, so the gateway has no admin routes: set `admin_key` in the configuration file, \
                 or AIRLOCK_ADMIN_KEY, for `airlock serve` and for this command"
            );
        }
        Self::new(config)
    }

    /// A client of this configuration's gateway, also without an admin key.
    ///
    /// # Errors
    /// The configured port is 0, which the system replaced by one of its own.
    pub(super) fn new(config: &Config) -> anyhow::Result<Self> {
        if config.server.listen.port() == 0 {
            bail!("the system chose the gateway's port: name it with --listen");
        }
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT));
        let user = config.environment.raw("USER");
        #[expect(
            clippy::disallowed_methods,
            reason = "the tasks of a command end with its runtime"
        )]
        let executor = TokioExecutor::new();
        Ok(Self {
            http: Client::builder(executor).build(connector),
            address: reachable(config.server.listen),
            key: config
                .server
                .admin_key
                .clone()
                .or_else(|| config.server.api_key.clone()),
            timeout: CALL.saturating_add(config.policy.compile_timeout),
            user: user.map(|user| user.to_string_lossy().into_owned()),
        })
    }

    /// The gateway's address as an origin.
    pub(super) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Whether a gateway listens. The request carries no key.
    ///
    /// # Errors
    /// Another program listens there.
    pub(super) async fn is_listening(&self) -> anyhow::Result<bool> {
        match self.identify().await {
            Listener::None => Ok(false),
            Listener::Airlock { .. } => Ok(true),
            Listener::Other => bail!(
                "what listens on {} does not answer as a gateway of this version does: free port {} or restart the gateway \
                 that has it, or name its address with --listen",
                self.address,
                self.address.port()
            ),
        }
    }

    /// Identifies the listener. The request carries no key.
    pub(super) async fn identify(&self) -> Listener {
        let identity = async {
            let request = Request::get(format!("{}/healthz", self.origin()));
            let response = self.http.request(request.body(Full::default())?).await?;
            let is_success = response.status().is_success();
            let body: Value = serde_json::from_slice(&read(response, IDENTITY_BYTES).await?)?;
            anyhow::Ok(match is_success && body["service"] == "airlock" {
                true => Listener::Airlock {
                    data: body["data"].as_str().map(str::to_owned),
                },
                false => Listener::Other,
            })
        };
        match timeout(IDENTIFY, identity).await {
            Ok(Ok(listener)) => listener,
            Ok(Err(error)) if is_connect(&error) => Listener::None,
            Ok(Err(_)) | Err(_) => Listener::Other,
        }
    }

    /// Makes one call on a runtime of its own. The gateway is identified before it receives a key.
    pub(super) fn call_blocking(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Value, CommandError> {
        with_runtime(|runtime| {
            let call = async {
                // If nothing listens, the call reports it.
                self.is_listening().await?;
                self.call(method, path, body).await
            };
            runtime.block_on(call).map_err(CommandError::Failure)
        })
    }

    /// Makes one call. The response is JSON.
    ///
    /// # Errors
    /// The gateway does not answer in time, or the message of its refusal.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Value> {
        self.within_deadline(async {
            let response = self.send(method, path, body).await?;
            let answer = self.read(response).await?;
            serde_json::from_slice(&answer)
                .ok()
                .with_context(|| format!("{} answers, but not as a gateway does", self.address))
        })
        .await
    }

    /// Requests a stream of events.
    ///
    /// # Errors
    /// The gateway does not answer in time, or the message of its refusal.
    pub(super) async fn stream(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<EventStream> {
        let response = self.within_deadline(self.send(method, path, body)).await?;
        Ok(EventStream::new(response.into_body(), RESPONSE_BYTES))
    }

    async fn within_deadline<T>(
        &self,
        call: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        match timeout(self.timeout, call).await {
            Ok(done) => done,
            Err(_) => bail!(
                "the gateway at {} has not answered within {} s",
                self.address,
                self.timeout.as_secs()
            ),
        }
    }

    /// Sends a request with the key. A status besides 2xx becomes an error.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Response<Incoming>> {
        let request = self.request(method, path, body)?;
        let response = self.http.request(request).await.map_err(|error| {
            let message = match error.is_connect() {
                true => format!(
                    "no gateway listens on {}: start it with `airlock serve`, or name its address with --listen",
                    self.address
                ),
                false => self.no_answer(),
            };
            anyhow::Error::new(error).context(message)
        })?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let answer = serde_json::from_slice(&self.read(response).await?).ok();
        Err(self.refusal(status, answer.as_ref()))
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Request<Full<Bytes>>> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.origin()));
        if let Some(key) = &self.key {
            request = request.header(AUTHORIZATION, format!("Bearer {}", key.expose()));
        }
        let body = match body {
            Some(body) => {
                request = request.header(CONTENT_TYPE, "application/json");
                Full::from(body.to_string())
            }
            None => Full::default(),
        };
        Ok(request.body(body)?)
    }

    async fn read(&self, response: Response<Incoming>) -> anyhow::Result<Bytes> {
        let body = read(response, RESPONSE_BYTES).await;
        body.with_context(|| self.no_answer())
    }

    fn no_answer(&self) -> String {
        format!("the gateway at {} does not answer", self.address)
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
            // The message may quote a policy.
            (_, Some(message)) => anyhow!(escaped(message).into_owned()),
            (_, None) => anyhow!(
                "{} answers {status}, but not as a gateway does",
                self.address
            ),
        }
    }
}

/// Reads a body of at most so many bytes.
async fn read(response: Response<Incoming>, limit: usize) -> anyhow::Result<Bytes> {
    let body = Limited::new(response.into_body(), limit).collect().await;
    let body = body.map_err(|error| anyhow!("its answer: {error}"))?;
    Ok(body.to_bytes())
}

fn is_connect(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<hyper_util::client::legacy::Error>()
        .is_some_and(hyper_util::client::legacy::Error::is_connect)
}

/// The address at which this machine reaches a listener.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests;
