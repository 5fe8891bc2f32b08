//! A stand-in for OpenAI's sign-in servers and ChatGPT's backend, on a loopback port. Every message of it holds secrets.

mod home; // a Codex home that names it
mod routes; // what it answers

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub use home::SignInHome;

use crate::Journal;

/// What is in every secret, so that a test sees whether one of them passed.
pub const PLANTED: &str = "pl4nt3dS3cr3tV4lu3";

/// The account that signs in.
pub const ACCOUNT: &str = "acc-1";

/// The code that people type.
pub const USER_CODE: &str = "MOCK-1234";

/// What becomes of a code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Approval {
    /// Nobody has typed it yet.
    #[default]
    Pending,
    /// It is typed and approved.
    Approved,
    /// It is refused.
    Denied,
    /// It is too old.
    Expired,
}

/// A step of signing in, which the stand-in can hold or fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Asking for a code.
    UserCode,
    /// Changing an approved code for tokens.
    Exchange,
    /// Asking for the account's workspaces.
    Check,
}

/// What it does with a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// None, as long as the test runs.
    Hang,
    /// This status, with words that hold a secret.
    Status(u16),
}

/// How it answers.
#[derive(Debug, Default)]
struct Script {
    approval: Approval,
    answers: Vec<(Step, Answer)>,
    /// Tokens that the model refuses contain one of these.
    refused: Vec<String>,
    tokens: usize,
}

/// The stand-in. Without orders codes stay pending.
#[derive(Debug)]
pub struct Issuer {
    address: SocketAddr,
    shared: Shared,
    _server: JoinSet<()>,
}

#[derive(Clone, Debug, Default)]
struct Shared {
    script: Arc<Mutex<Script>>,
    /// Method and path of each request.
    requests: Journal<String>,
}

impl Shared {
    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Issuer {
    /// Listens on a free port.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Shared::default();
        let router = routes::router(shared.clone());
        let mut server = JoinSet::new();
        server.spawn(async move {
            // It ends only with the test.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self {
            address,
            shared,
            _server: server,
        })
    }

    /// `http://127.0.0.1:PORT`
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What becomes of codes from now on.
    pub fn codes(&self, approval: Approval) {
        self.shared.script().approval = approval;
    }

    /// What it does with a step from now on.
    pub fn at(&self, step: Step, answer: Answer) {
        self.shared.script().answers.push((step, answer));
    }

    /// Has the model refuse tokens that contain this.
    pub fn refuse(&self, part: &str) {
        self.shared.script().refused.push(part.to_owned());
    }

    /// Waits for the `number`th request, from 0, whose path contains `needle`.
    pub async fn asked(&self, needle: &str, number: usize) -> Result<()> {
        let what = format!("request {number} for {needle}");
        let is = |request: &String| request.contains(needle);
        self.shared.requests.nth(&what, number, is).await.map(drop)
    }

    /// How many requests so far have a path that contains `needle`.
    pub fn count(&self, needle: &str) -> usize {
        self.shared
            .requests
            .count(|request| request.contains(needle))
    }
}

/// An unsigned JSON Web Token of `account`. Codex and the gateway read its claims alone; its signature is a secret.
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

/// Base64 for URLs, without padding.
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
