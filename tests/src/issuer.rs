//! A stand-in for OpenAI's sign-in servers and ChatGPT's backend, on a loopback port. All of its responses hold secrets.

mod home; // a Codex home configured for it
mod routes; // its routes and responses

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use parking_lot::{Mutex, MutexGuard};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub use home::SignInHome;

use crate::Journal;

/// The marker in every secret, by which a test finds leaked ones.
pub const PLANTED: &str = "pl4nt3dS3cr3tV4lu3";

/// The ID of the account that signs in.
pub const ACCOUNT: &str = "acc-1";

/// The user code of the device flow.
pub const USER_CODE: &str = "MOCK-1234";

/// The state of a device code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Approval {
    /// The user has not entered it yet.
    #[default]
    Pending,
    /// Approved by the user.
    Approved,
    /// Denied by the user.
    Denied,
    /// Expired.
    Expired,
}

/// A step of signing in that the stand-in can hang or fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInStep {
    /// The request for a device code.
    UserCode,
    /// The exchange of an approved code for tokens.
    Exchange,
    /// The request for the account's workspaces.
    Check,
}

/// A scripted response to a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepResponse {
    /// No response.
    Hang,
    /// This status, with a message that holds a secret.
    Status(u16),
}

/// The scripted responses.
#[derive(Debug, Default)]
struct IssuerScript {
    approval: Approval,
    answers: Vec<(SignInStep, StepResponse)>,
    /// The model refuses tokens that contain one of these.
    refused: Vec<String>,
    tokens: usize,
}

/// The stand-in. By default codes stay pending.
#[derive(Debug)]
pub struct Issuer {
    address: SocketAddr,
    state: IssuerState,
    _server: JoinSet<()>,
}

#[derive(Clone, Debug, Default)]
struct IssuerState {
    script: Arc<Mutex<IssuerScript>>,
    /// Method and path of each request.
    requests: Journal<String>,
}

impl IssuerState {
    fn script(&self) -> MutexGuard<'_, IssuerScript> {
        self.script.lock()
    }
}

impl Issuer {
    /// Listens on a free port.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let state = IssuerState::default();
        let router = routes::router(state.clone());
        let mut server = JoinSet::new();
        server.spawn(async move {
            // It ends only with the test.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self {
            address,
            state,
            _server: server,
        })
    }

    /// `http://127.0.0.1:PORT`
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Sets the state of all codes.
    pub fn codes(&self, approval: Approval) {
        self.state.script().approval = approval;
    }

    /// Sets the response to a step.
    pub fn at(&self, step: SignInStep, answer: StepResponse) {
        self.state.script().answers.push((step, answer));
    }

    /// Makes the model refuse tokens that contain this.
    pub fn refuse(&self, part: &str) {
        self.state.script().refused.push(part.to_owned());
    }

    /// Waits for the `number`th request, from 0, whose path contains `needle`.
    pub async fn expect_request(&self, needle: &str, number: usize) -> Result<()> {
        let what = format!("request {number} for {needle}");
        let is = |request: &String| request.contains(needle);
        self.state.requests.nth(&what, number, is).await.map(drop)
    }

    /// The number of requests so far whose path contains `needle`.
    pub fn count(&self, needle: &str) -> usize {
        self.state
            .requests
            .count(|request| request.contains(needle))
    }
}

/// A JSON Web Token of `account` with a fake signature, which holds a secret. Codex and the gateway read only its claims.
pub fn token(account: &str, name: &str) -> String {
    let claims = serde_json::json!({
        "email": "user@example.invalid", "iat": 1_700_000_000, "exp": 4_000_000_000_u64, "name": name,
        "https://api.openai.com/auth": {
            "chatgpt_plan_type": "plus", "chatgpt_account_id": account,
            "chatgpt_user_id": "user-1", "user_id": "user-1",
        },
    });
    let head = base64url(br#"{"alg":"none","typ":"JWT"}"#);
    let body = base64url(claims.to_string().as_bytes());
    format!("{head}.{body}.{name}{PLANTED}")
}

/// URL-safe Base64 without padding.
fn base64url(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let padded = [0, 1, 2].map(|at| chunk.get(at).copied().unwrap_or(0));
        let [a, b, c] = padded.map(u32::from);
        let all = a << 16 | b << 8 | c;
        for shift in [18, 12, 6, 0].into_iter().take(chunk.len() + 1) {
            let letter = LETTERS.get((all >> shift & 63) as usize);
            text.extend(letter.map(|letter| char::from(*letter)));
        }
    }
    text
}
