//! Fetches tokens from a command that prints them, or from a URL that responds with them. The output is never logged.

use std::pin::pin;
use std::process::Stdio;
use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use futures_util::future::{Either, select};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::http::uri::{PathAndQuery, Scheme};
use hyper::rt::{Read, Write};
use hyper::{Request, Uri};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::connect::HttpConnector;
use rustix::process::Pid;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use tower::ServiceExt as _;

use crate::certificates;
use crate::command::{ProcessGroup, launcher_arguments};
use crate::config::CodexConfig;
use crate::token_error::TokenError;
use airlock_base::environment::Environment;
use airlock_base::secrets::Secret;
use airlock_base::task::spawner;

/// Bytes of the output or body that are read.
const OUTPUT_BYTES: u64 = 64 << 10;

/// How tokens are fetched.
#[derive(Debug)]
pub(super) enum FetchMethod {
    None,
    Command(Vec<String>, Environment),
    Url(String, Option<Secret>),
}

impl FetchMethod {
    pub(super) fn of(config: &CodexConfig) -> Self {
        match (&config.token_url, config.token_command.as_slice()) {
            (Some(url), _) => Self::Url(url.clone(), config.token_url_key.clone()),
            (None, []) => Self::None,
            (None, arguments) => Self::Command(arguments.to_vec(), config.environment.clone()),
        }
    }

    /// The raw output or body. `previous` is the account of the token that was refused, if there was one. Dropping the future
    /// ends the command or the request.
    ///
    /// # Errors
    /// `NoSource` or `Failed`.
    pub(super) async fn fetch(&self, previous: Option<&str>) -> Result<Bytes, TokenError> {
        let reason = match previous {
            Some(_) => "unauthorized",
            None => "start",
        };
        let request_body = json!({"reason": reason, "previousAccountId": previous}).to_string();
        let failed = |error: anyhow::Error| {
            // The causes may name programs and hosts, and contain no output.
            tracing::warn!(cause = format!("{error:#}"), "tokens could not be fetched");
            TokenError::Failed
        };
        match self {
            Self::None => Err(TokenError::NoSource),
            Self::Command(arguments, environment) => run(arguments, environment, request_body)
                .await
                .map_err(failed),
            Self::Url(url, key) => post(url, key.as_ref(), request_body).await.map_err(failed),
        }
    }
}

/// Runs a program and returns its output. Its process group is killed when this future is dropped, and when the gateway ends.
/// The program has the gateway's environment, except for the gateway's settings.
async fn run(
    arguments: &[String],
    environment: &Environment,
    request_body: String,
) -> anyhow::Result<Bytes> {
    let mut command = Command::new("/proc/self/exe");
    let inherited = environment
        .iter()
        .filter(|(name, _)| !name.starts_with("AIRLOCK_"));
    command
        .args(launcher_arguments())
        .args(arguments)
        .env_clear()
        .envs(inherited)
        .process_group(0)
        .kill_on_drop(true)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = spawner::spawn(command).await?;
    let mut group = ProcessGroup(child.id().and_then(|id| Pid::from_raw(id.cast_signed())));
    if let Some(mut stdin) = child.stdin.take() {
        // The command may close its stdin unread.
        let _ = stdin.write_all(request_body.as_bytes()).await;
    }
    let mut printed = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(OUTPUT_BYTES).read_to_end(&mut printed).await?;
    }
    let status = child.wait().await?;
    group.0 = None;
    anyhow::ensure!(status.success(), "the token command ended with {status}");
    Ok(printed.into())
}

/// Sends a POST request and returns the body of the response.
async fn post(url: &str, key: Option<&Secret>, request_body: String) -> anyhow::Result<Bytes> {
    let url: Uri = url.parse()?;
    let host = url.host().context("the token URL has no host")?;
    let host = match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    let target = url.path_and_query().map_or("/", PathAndQuery::as_str);
    let mut request = Request::post(target)
        .header(HOST, host)
        .header(ACCEPT, "application/json")
        .header(CONTENT_TYPE, "application/json");
    if let Some(key) = key {
        request = request.header(AUTHORIZATION, format!("Bearer {}", key.expose()));
    }
    let request = request.body(Full::<Bytes>::from(request_body))?;
    if url.scheme() == Some(&Scheme::HTTPS) {
        let tls = certificates::client_config(None).await?;
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(Arc::unwrap_or_clone(tls))
            .https_only()
            .enable_http1()
            .build();
        let stream = connector.oneshot(url).await;
        exchange(stream.map_err(anyhow::Error::from_boxed)?, request).await
    } else {
        exchange(HttpConnector::new().oneshot(url).await?, request).await
    }
}

/// Sends one request on a connection, which this future drives and closes, and returns the body of the response.
async fn exchange(
    stream: impl Read + Write + Send + Unpin + 'static,
    request: Request<Full<Bytes>>,
) -> anyhow::Result<Bytes> {
    let (mut sender, connection) = http1::handshake(stream).await?;
    let exchange = pin!(async move {
        let response = sender.send_request(request).await?;
        let status = response.status();
        // A redirect is a failure too: the key is sent to no other host.
        anyhow::ensure!(status.is_success(), "the token URL answers {status}");
        let limit = usize::try_from(OUTPUT_BYTES).unwrap_or(usize::MAX);
        let body = Limited::new(response.into_body(), limit).collect().await;
        let body = body.map_err(|_| anyhow::anyhow!("the token URL's answer breaks off"))?;
        Ok(body.to_bytes())
    });
    // The connection may end before the response has been read; its error is that of the exchange.
    match select(exchange, connection).await {
        Either::Left((body, _)) => body,
        Either::Right((_, exchange)) => exchange.await,
    }
}

#[cfg(test)]
mod tests;
