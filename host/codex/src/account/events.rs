//! The events of a sign-in, and their sender, which redacts secrets.

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::request::SignInRequest;
use super::sign_in_error::{FailureReason, SignInError};
use crate::stderr;
use airlock_base::secrets::Secret;

/// The capacity of the channels for events and for Codex's lines. Lines beyond it are dropped.
pub(super) const EVENTS: usize = 64;

/// The capacity that lines leave free for the device code and the last event.
const RESERVED: usize = 2;

/// An event of a sign-in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum SignInEvent {
    /// A person must open this page and type this code.
    DeviceCode {
        /// The page. Its origin is in `codex.sign_in_origins`.
        url: String,
        /// The code to type there.
        code: String,
        /// When the code expires, in Unix seconds.
        expires: u64,
    },
    /// A line of progress, for people.
    Log {
        /// The line.
        message: String,
    },
    /// The sign-in succeeded. This is the last event.
    Done {
        /// Codex's name of the method: `chatgpt`, `apikey`.
        auth_mode: Option<String>,
        /// The ChatGPT plan, in Codex's spelling.
        plan: Option<String>,
    },
    /// The sign-in failed, and the login is as it was. This is the last event.
    Error {
        /// The reason, for programs.
        reason: FailureReason,
        /// The reason, for people.
        message: String,
    },
}

/// Sends the events of one sign-in, with the secret of its request redacted.
pub(super) struct EventSender {
    events: mpsc::Sender<SignInEvent>,
    /// The key or token that the client has sent.
    secret: Option<Secret>,
}

impl EventSender {
    pub(super) fn new(events: mpsc::Sender<SignInEvent>, request: &SignInRequest) -> Self {
        let secret = match request {
            SignInRequest::DeviceCode => None,
            SignInRequest::ApiKey(key) => Some(key.clone()),
            SignInRequest::Tokens(tokens) => Some(tokens.access.clone()),
        };
        Self { events, secret }
    }

    /// Sends the page and the code.
    pub(super) fn device_code(&self, url: String, code: String, expires: u64) {
        let event = SignInEvent::DeviceCode { url, code, expires };
        // Lines leave capacity for this event, which is sent once.
        let _ = self.events.try_send(event);
    }

    /// Sends a line, if there is capacity for it.
    pub(super) fn log(&self, line: &str) {
        let mut message = line.to_owned();
        if let Some(secret) = &self.secret {
            message = message.replace(secret.expose(), "(secret)");
        }
        let message = stderr::clean_strictly(&message);
        if self.events.capacity() > RESERVED && !message.is_empty() {
            let _ = self.events.try_send(SignInEvent::Log { message });
        }
    }

    pub(super) fn finish(self, outcome: Result<SignInEvent, SignInError>) {
        let last = match outcome {
            Ok(done) => done,
            Err(error) => {
                if let Some(message) = &error.codex {
                    self.log(&format!("Codex: {message}"));
                }
                let reason = error.reason;
                tracing::info!(?reason, "the sign-in failed");
                let message = error.message.unwrap_or_else(|| reason.message().to_owned());
                SignInEvent::Error { reason, message }
            }
        };
        let _ = self.events.try_send(last);
    }
}
