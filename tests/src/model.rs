//! The scripted model: a Responses API for the real Codex, on a loopback port.

mod answer; // scripted answers
mod home; // a Codex home configured for it
mod request; // received requests
mod stream; // answers as event streams

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{Response, StatusCode};
use axum::routing::post;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use answer::ModelAnswer;
pub use home::{CodexHome, KEY, KEY_VARIABLE};
pub use request::ModelRequest;

use crate::Journal;
use answer::{AnswerQueue, RequestMatcher};

/// Bytes that a request's body may have.
const BODY_LIMIT: usize = 64 << 20;

/// A model that sends scripted answers and records its requests.
#[derive(Debug)]
pub struct ScriptedModel {
    address: SocketAddr,
    state: ModelState,
    handed_out: Mutex<usize>,
    _server: JoinSet<()>,
}

#[derive(Clone, Debug, Default)]
struct ModelState {
    calls: Journal<ModelRequest>,
    answers: Arc<Mutex<AnswerQueue>>,
    streams: Arc<Mutex<JoinSet<()>>>,
}

impl ScriptedModel {
    /// Listens on a free port. By default it echoes the user's text.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let state = ModelState::default();
        let router = Router::new()
            .route("/v1/responses", post(respond))
            .with_state(state.clone());
        let mut server = JoinSet::new();
        server.spawn(async move {
            // It ends only with the test.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self {
            address,
            state,
            handed_out: Mutex::default(),
            _server: server,
        })
    }

    /// The `base_url` for a model provider.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The answer to the next request that no `when` selects. Several are used in order.
    pub fn next(&self, answer: ModelAnswer) {
        self.answers(|answers| answers.next.push_back(answer));
    }

    /// The answer to each request whose last user message contains `needle`, as that of a synthesis contains the
    /// candidates. Of several answers that select a request, in this way or another, the first is used.
    pub fn when(&self, needle: &str, answer: ModelAnswer) {
        self.matched(RequestMatcher::UserText(needle.to_owned()), answer);
    }

    /// The answer to each request whose instructions contain `needle`, as those of a candidate contain its hint.
    pub fn when_instructed(&self, needle: &str, answer: ModelAnswer) {
        self.matched(RequestMatcher::Instructions(needle.to_owned()), answer);
    }

    /// The answer to each request that ends with results, the one of this call among them.
    pub fn when_answered(&self, call: &str, answer: ModelAnswer) {
        self.matched(RequestMatcher::Answered(call.to_owned()), answer);
    }

    /// Successive answers to a user message that contains `needle`: each is used once the calls of the previous ones
    /// follow that message in the conversation.
    pub fn rounds(&self, needle: &str, answers: impl IntoIterator<Item = ModelAnswer>) {
        let mut made = 0;
        for answer in answers {
            let calls = answer.calls();
            self.matched(RequestMatcher::Round(needle.to_owned(), made), answer);
            made += calls;
        }
    }

    /// The answer to every other request.
    pub fn otherwise(&self, answer: ModelAnswer) {
        self.answers(|answers| answers.otherwise = Some(answer));
    }

    /// Waits for the next request. Each call returns a later one.
    pub async fn call(&self) -> Result<ModelRequest> {
        let number = {
            let mut handed_out = self.handed_out.lock();
            *handed_out += 1;
            *handed_out - 1
        };
        self.state
            .calls
            .nth(
                &format!("request {} to the model", number + 1),
                number,
                |_| true,
            )
            .await
    }

    /// Every request so far.
    pub fn calls(&self) -> Vec<ModelRequest> {
        self.state.calls.all()
    }

    /// Waits for `count` requests in all, and returns them.
    pub async fn expect_calls(&self, count: usize) -> Result<Vec<ModelRequest>> {
        if let Some(last) = count.checked_sub(1) {
            self.state
                .calls
                .nth(&format!("{count} requests to the model"), last, |_| true)
                .await?;
        }
        Ok(self.calls())
    }

    fn matched(&self, matcher: RequestMatcher, answer: ModelAnswer) {
        self.answers(|answers| answers.matching.push((matcher, answer)));
    }

    fn answers(&self, change: impl FnOnce(&mut AnswerQueue)) {
        change(&mut self.state.answers.lock());
    }
}

async fn respond(
    State(state): State<ModelState>,
    request: axum::extract::Request,
) -> Response<Body> {
    match handle(&state, request).await {
        Ok(response) => response,
        Err(error) => {
            let mut response = Response::new(Body::from(error.to_string()));
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            response
        }
    }
}

async fn handle(state: &ModelState, request: axum::extract::Request) -> Result<Response<Body>> {
    let (head, body) = request.into_parts();
    let body: Bytes = axum::body::to_bytes(body, BODY_LIMIT).await?;
    let call = ModelRequest {
        body: serde_json::from_slice(&body).context("the request is not JSON")?,
        headers: head.headers.clone(),
        authorization: head
            .headers
            .get("authorization")
            .and_then(|value| Some(value.to_str().ok()?.to_owned())),
        left: CancellationToken::new(),
    };
    let answer = state.answers.lock().take(&call);
    state.calls.record(call.clone());
    match answer.refusal {
        Some(refusal) => refusal.response(),
        None => {
            let mut streams = state.streams.lock();
            while streams.try_join_next().is_some() {}
            stream::start(&mut streams, answer, call)
        }
    }
}
