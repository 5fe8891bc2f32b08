//! An HTTP client for the gateway: it sends what an SDK sends, and exposes every byte of the response.

mod fan_out; // fan-out requests and streams
mod frames; // server-sent events, comments included
mod tools; // tool calls

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

pub use fan_out::{FanOut, Tab, TabEnd, angle, fan_out};
pub use frames::{Frame, Stream};
pub use tools::{Completion, Conversation, ToolCall, many_calls, tool};

use crate::soon;

/// A client of one gateway. Clones share connections.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    key: Option<String>,
}

/// A complete response.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body: its JSON, or a string if it is not JSON.
    pub body: Value,
}

impl Client {
    /// A client without a key.
    pub fn new(address: SocketAddr) -> Result<Self> {
        let http = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self {
            http,
            base: format!("http://{address}"),
            key: None,
        })
    }

    /// A copy of this client that sends this key.
    #[must_use]
    pub fn with_key(&self, key: &str) -> Self {
        Self {
            key: Some(key.to_owned()),
            ..self.clone()
        }
    }

    /// The gateway's URL: `http://127.0.0.1:PORT`.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// `GET path`.
    pub async fn get(&self, path: &str) -> Result<Reply> {
        send(self.request(Method::GET, path)).await
    }

    /// Requests a chat completion without streaming. A default model and message are added if `body` has none.
    pub async fn chat(&self, body: Value) -> Result<Reply> {
        self.post("/v1/chat/completions", complete(body).to_string())
            .await
    }

    /// Requests a chat completion that has to be refused with 400 because of the parameter at `param`.
    ///
    /// # Errors
    /// The response is another one.
    pub async fn refused_at(&self, param: &str, body: Value) -> Result<Reply> {
        let reply = self.chat(body.clone()).await?;
        let about = format!("{body}: {}", reply.body);
        ensure!(reply.status == 400, "{about}");
        ensure!(reply.error("type") == "invalid_request_error", "{about}");
        ensure!(reply.error("param") == param, "{about}");
        Ok(reply)
    }

    /// Like `chat`, with this `x-request-id`.
    pub async fn chat_as(&self, id: &str, body: Value) -> Result<Reply> {
        let request = self.request(Method::POST, "/v1/chat/completions");
        send(request.header("x-request-id", id).json(&complete(body))).await
    }

    /// Sends one user message, and returns the text of the response.
    pub async fn ask(&self, question: &str) -> Result<String> {
        let reply = self
            .chat(json!({"messages": [{"role": "user", "content": question}]}))
            .await?;
        reply.text().map(str::to_owned)
    }

    /// Posts a body unchanged.
    pub async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> Result<Reply> {
        send(
            self.request(Method::POST, path)
                .header("content-type", "application/json")
                .body(body),
        )
        .await
    }

    /// Requests a streamed chat completion, and returns once the response headers have arrived.
    pub async fn stream(&self, body: Value) -> Result<Stream> {
        let request = self
            .request(Method::POST, "/v1/chat/completions")
            .json(&streamed(body));
        Self::open(request).await
    }

    /// Posts JSON to a path that responds with an event stream, and returns once the response headers have arrived.
    pub async fn events(&self, path: &str, body: &Value) -> Result<Stream> {
        Self::open(self.request(Method::POST, path).json(body)).await
    }

    /// Requests a path that responds with an event stream, and returns once the response headers have arrived.
    pub async fn follow(&self, path: &str) -> Result<Stream> {
        Self::open(self.request(Method::GET, path)).await
    }

    async fn open(request: RequestBuilder) -> Result<Stream> {
        Ok(Stream::new(
            soon("the headers of a stream", request.send()).await??,
        ))
    }

    /// Like `stream`, with this `x-request-id`.
    pub async fn stream_as(&self, id: &str, body: Value) -> Result<Stream> {
        let request = self.request(Method::POST, "/v1/chat/completions");
        let body = streamed(body);
        Self::open(request.header("x-request-id", id).json(&body)).await
    }

    /// Requests a streamed fan-out of this many candidates, each with its `angle` as a hint, and reads it to the end.
    pub async fn fan_out(&self, candidates: usize, more: Value) -> Result<FanOut> {
        let mut stream = self.stream(fan_out(candidates, more)).await?;
        let frames = stream.frames().await?;
        FanOut::read(&frames)
    }

    /// A request builder for this path.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }
}

impl Reply {
    /// A header's value, empty if it is missing or not text.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// The text of a chat completion.
    pub fn text(&self) -> Result<&str> {
        let text = self
            .body
            .pointer("/choices/0/message/content")
            .and_then(Value::as_str);
        text.with_context(|| format!("no completion: {} {}", self.status, self.body))
    }

    /// A member of the error envelope.
    pub fn error(&self, member: &str) -> &Value {
        self.body
            .get("error")
            .and_then(|error| error.get(member))
            .unwrap_or(&Value::Null)
    }
}

/// Sends a request, and reads the whole response.
pub async fn send(request: RequestBuilder) -> Result<Reply> {
    let exchange = async {
        let response = request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        anyhow::Ok(Reply {
            status,
            headers,
            body,
        })
    };
    soon("the gateway's response", exchange).await?
}

fn streamed(body: Value) -> Value {
    let mut body = complete(body);
    if let Some(members) = body.as_object_mut() {
        members.insert("stream".to_owned(), json!(true));
    }
    body
}

/// Adds a default model and message where they are missing.
fn complete(mut body: Value) -> Value {
    if let Some(members) = body.as_object_mut() {
        members.entry("model").or_insert(json!("gpt-5.5"));
        members
            .entry("messages")
            .or_insert(json!([{"role": "user", "content": "hi"}]));
    }
    body
}
