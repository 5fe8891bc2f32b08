//! The scripted model: the Responses API that the real Codex asks, on a loopback port.

mod answer; // what it answers
mod call; // what it is asked
mod home; // a Codex home that names it
mod stream; // the answer as events

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{Response, StatusCode};
use axum::routing::post;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use answer::ModelAnswer;
pub use call::Call;
pub use home::{CodexHome, KEY, KEY_VARIABLE};

use crate::Journal;
use answer::{Answers, Sign};

/// Bytes of a request's body that the model reads.
const BODY_LIMIT: usize = 64 << 20;

/// A model that answers as the test says, and remembers what it was asked.
#[derive(Debug)]
pub struct ScriptedModel {
    address: SocketAddr,
    shared: Shared,
    handed_out: Mutex<usize>,
    _server: JoinSet<()>,
}

#[derive(Clone, Debug, Default)]
struct Shared {
    calls: Journal<Call>,
    answers: Arc<Mutex<Answers>>,
    streams: Arc<Mutex<JoinSet<()>>>,
}

impl ScriptedModel {
    /// Listens on a free port. Without orders it repeats what the user said.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Shared::default();
        let router = Router::new()
            .route("/v1/responses", post(respond))
            .with_state(shared.clone());
        let mut server = JoinSet::new();
        server.spawn(async move {
            // It ends only with the test.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self {
            address,
            shared,
            handed_out: Mutex::default(),
            _server: server,
        })
    }

    /// What a model provider's `base_url` must be.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The answer to the next request that no `when` claims. Several are used in order.
    pub fn next(&self, answer: ModelAnswer) {
        self.answers(|answers| answers.next.push_back(answer));
    }

    /// The answer to each request whose last user message contains `needle`, as that of a synthesis contains the
    /// candidates. Of several that claim a request, in this way or another, the first has it.
    pub fn when(&self, needle: &str, answer: ModelAnswer) {
        self.matched(Sign::Said(needle.to_owned()), answer);
    }

    /// The answer to each request whose instructions contain `needle`, as those of a candidate contain its hint.
    pub fn when_instructed(&self, needle: &str, answer: ModelAnswer) {
        self.matched(Sign::Instructed(needle.to_owned()), answer);
    }

    /// The answer to each request that ends with the result of this call, and maybe of others after it.
    pub fn when_answered(&self, call: &str, answer: ModelAnswer) {
        self.matched(Sign::Answered(call.to_owned()), answer);
    }

    /// The answers to a question that contains `needle`, one after the other: the next once the calls of those before are
    /// in the conversation, behind the question.
    pub fn rounds(&self, needle: &str, answers: impl IntoIterator<Item = ModelAnswer>) {
        let mut made = 0;
        for answer in answers {
            let calls = answer.calls();
            self.matched(Sign::Round(needle.to_owned(), made), answer);
            made += calls;
        }
    }

    /// The answer to every other request.
    pub fn otherwise(&self, answer: ModelAnswer) {
        self.answers(|answers| answers.otherwise = Some(answer));
    }

    /// Waits for the next request that was not handed out before.
    pub async fn call(&self) -> Result<Call> {
        let number = {
            let mut handed_out = self
                .handed_out
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            *handed_out += 1;
            *handed_out - 1
        };
        self.shared
            .calls
            .nth(
                &format!("request {} to the model", number + 1),
                number,
                |_| true,
            )
            .await
    }

    /// Every request so far.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.calls.all()
    }

    /// Waits until there were `count` requests in all, and returns them.
    pub async fn expect_calls(&self, count: usize) -> Result<Vec<Call>> {
        if let Some(last) = count.checked_sub(1) {
            self.shared
                .calls
                .nth(&format!("{count} requests to the model"), last, |_| true)
                .await?;
        }
        Ok(self.calls())
    }

    fn matched(&self, sign: Sign, answer: ModelAnswer) {
        self.answers(|answers| answers.matching.push((sign, answer)));
    }

    fn answers(&self, change: impl FnOnce(&mut Answers)) {
        change(
            &mut self
                .shared
                .answers
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
    }
}

async fn respond(State(shared): State<Shared>, request: axum::extract::Request) -> Response<Body> {
    match take(&shared, request).await {
        Ok(response) => response,
        Err(error) => {
            let mut response = Response::new(Body::from(error.to_string()));
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            response
        }
    }
}

async fn take(shared: &Shared, request: axum::extract::Request) -> Result<Response<Body>> {
    let (head, body) = request.into_parts();
    let body: Bytes = axum::body::to_bytes(body, BODY_LIMIT).await?;
    let call = Call {
        body: serde_json::from_slice(&body).context("a request that is no JSON")?,
        headers: head.headers.clone(),
        authorization: head
            .headers
            .get("authorization")
            .and_then(|value| Some(value.to_str().ok()?.to_owned())),
        left: CancellationToken::new(),
    };
    let answer = shared
        .answers
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take(&call);
    shared.calls.record(call.clone());
    match answer.refusal {
        Some(refusal) => refusal.response(),
        None => {
            let mut streams = shared
                .streams
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            while streams.try_join_next().is_some() {}
            stream::start(&mut streams, answer, call)
        }
    }
}
