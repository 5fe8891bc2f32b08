//! Asking for tokens: a command that prints them, or a URL that answers with them. What they say is never logged.

use std::process::Stdio;

use axum::body::{Body, Bytes};
use http_body_util::{BodyExt as _, Limited};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use rustix::process::Pid;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::TokenFault;
use crate::certificates;
use crate::config::CodexConfig;
use crate::launch::{Group, becoming};
use airlock_base::environment::Environment;
use airlock_base::secrets::Secret;
use airlock_base::task::spawner;

/// Bytes of an answer that are read.
const ANSWER: u64 = 64 << 10;

/// How tokens are asked for.
#[derive(Debug)]
pub(super) enum Means {
    None,
    Command(Vec<String>, Environment),
    Url(String, Option<Secret>),
}

impl Means {
    pub(super) fn of(config: &CodexConfig) -> Self {
        match (&config.token_url, config.token_command.as_slice()) {
            (Some(url), _) => Self::Url(url.clone(), config.token_url_key.clone()),
            (None, []) => Self::None,
            (None, words) => Self::Command(words.to_vec(), config.environment.clone()),
        }
    }

    /// What is answered, whatever it is. Dropping this ends the asking.
    pub(super) async fn ask(&self, previous: Option<&str>) -> Result<Bytes, TokenFault> {
        let reason = match previous {
            Some(_) => "unauthorized",
            None => "start",
        };
        let question = json!({"reason": reason, "previousAccountId": previous}).to_string();
        let failed = |error: anyhow::Error| {
            // Causes name programs and hosts; what was said is in none of them.
            tracing::warn!(cause = format!("{error:#}"), "tokens were not got");
            TokenFault::Failed
        };
        match self {
            Self::None => Err(TokenFault::NoSource),
            Self::Command(words, environment) => {
                run(words, environment, question).await.map_err(failed)
            }
            Self::Url(url, key) => post(url, key.as_ref(), question).await.map_err(failed),
        }
    }
}

/// Runs a program in a process group of its own, which is killed with this future and with the gateway. It has the
/// gateway's environment, without the gateway's own settings.
async fn run(
    words: &[String],
    environment: &Environment,
    question: String,
) -> anyhow::Result<Bytes> {
    let mut command = Command::new("/proc/self/exe");
    let theirs = environment
        .iter()
        .filter(|(name, _)| !name.starts_with("AIRLOCK_"));
    command
        .args(becoming())
        .args(words)
        .env_clear()
        .envs(theirs)
        .process_group(0)
        .kill_on_drop(true)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = spawner::spawn(command).await?;
    let mut group = Group(child.id().and_then(|id| Pid::from_raw(id.cast_signed())));
    if let Some(mut stdin) = child.stdin.take() {
        // Whoever does not read it does not need it.
        let _ = stdin.write_all(question.as_bytes()).await;
    }
    let mut printed = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(ANSWER).read_to_end(&mut printed).await?;
    }
    let status = child.wait().await?;
    group.0 = None;
    anyhow::ensure!(status.success(), "the token command ended with {status}");
    Ok(printed.into())
}

async fn post(url: &str, key: Option<&Secret>, question: String) -> anyhow::Result<Bytes> {
    let uri: Uri = url.parse()?;
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let secure = uri.scheme_str() == Some("https");
    let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let stream = TcpStream::connect((host, port)).await?;
    if !secure {
        return exchange(stream, &uri, key, question).await;
    }
    let name = ServerName::try_from(host.to_owned())?;
    let stream = TlsConnector::from(certificates::client_config(None).await?)
        .connect(name, stream)
        .await?;
    exchange(stream, &uri, key, question).await
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    uri: &Uri,
    key: Option<&Secret>,
    question: String,
) -> anyhow::Result<Bytes> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let host = uri.authority().map_or("", |authority| authority.as_str());
    let mut request = Request::post(path)
        .header(HOST, host)
        .header(ACCEPT, "application/json")
        .header(CONTENT_TYPE, "application/json");
    if let Some(key) = key {
        request = request.header(AUTHORIZATION, format!("Bearer {}", key.expose()));
    }
    let request = request.body(Body::from(question))?;
    let limit = usize::try_from(ANSWER).unwrap_or(usize::MAX);
    let exchange = async move {
        let response = sender.send_request(request).await?;
        let status = response.status();
        // A redirect is a failure too: the key goes to nobody else.
        anyhow::ensure!(status.is_success(), "the token URL answers {status}");
        let body = Limited::new(response.into_body(), limit).collect().await;
        let body = body.map_err(|_| anyhow::anyhow!("the token URL's answer breaks off"))?;
        anyhow::Ok(body.to_bytes())
    };
    // The connection ends once its sender, which the exchange has, is gone.
    let (answer, _) = tokio::join!(exchange, connection);
    answer
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::time::Duration;

    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::*;

    /// Asks a server that answers once, and gives what it was asked, too.
    async fn fetched(answer: &str) -> (Result<Bytes, TokenFault>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/tokens", listener.local_addr().unwrap());
        let means = Means::Url(url, Some(Secret::new("url-key")));
        let serving = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut question = Vec::new();
            // Its body ends with the only brace that closes.
            while !question.ends_with(b"}") {
                assert_ne!(stream.read_buf(&mut question).await.unwrap(), 0);
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(question).unwrap()
        };
        let both = async { tokio::join!(means.ask(Some("acc-1")), serving) };
        timeout(Duration::from_secs(20), both).await.unwrap()
    }

    #[tokio::test]
    async fn a_url_is_asked_with_its_key_and_answers() {
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
        let (tokens, question) = fetched(answer).await;
        assert_eq!(tokens.unwrap(), "{}");
        let question = question.to_lowercase();
        assert!(question.starts_with("post /tokens http/1.1"), "{question}");
        assert!(
            question.contains("authorization: bearer url-key"),
            "{question}"
        );
        let body = r#"{"previousaccountid":"acc-1","reason":"unauthorized"}"#;
        assert!(question.ends_with(body), "{question}");
    }

    #[tokio::test]
    async fn a_url_that_sends_elsewhere_or_fails_is_a_fault() {
        for head in [
            "302 Found\r\nlocation: http://127.0.0.1:1/",
            "500 Internal Server Error",
        ] {
            let answer = format!("HTTP/1.1 {head}\r\ncontent-length: 0\r\n\r\n");
            let (tokens, _) = fetched(&answer).await;
            assert!(matches!(tokens, Err(TokenFault::Failed)), "{head}");
        }
    }
}
