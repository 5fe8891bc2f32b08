//! What Codex says and asks of its account, beside any thread, and who hears it.

use serde_json::value::RawValue;
use tokio::sync::mpsc;

use super::message::{Fault, Refusal, encode};
use super::{CallError, Connection, Inner};

/// Lines that may wait to be heard. As many turns can ask for a token at once; what is beyond is refused.
const LINES: usize = 256;

/// What Codex asks when the model refuses the token that we gave it.
const REFRESH: &str = "account/chatgptAuthTokens/refresh";

/// What concerns the account.
#[derive(Debug)]
pub(crate) enum AccountLine {
    /// A notification of `account/…`.
    Notification {
        method: String,
        params: Box<RawValue>,
    },
    /// It wants a fresh ChatGPT token, under this id.
    Request {
        id: Box<RawValue>,
        params: Box<RawValue>,
    },
}

impl Connection {
    /// From here on, what Codex says of its account comes here. Only the first who asks gets it; until then questions
    /// are refused, as all others are.
    pub(crate) fn subscribe_account(&self) -> mpsc::Receiver<AccountLine> {
        let (sender, receiver) = mpsc::channel(LINES);
        // A second one hears nothing: its sender is gone at once.
        let _ = self.inner.account.set(sender);
        receiver
    }

    /// Answers a request of Codex's with an error.
    pub(crate) async fn refuse(
        &self,
        id: &RawValue,
        code: i64,
        message: &str,
    ) -> Result<(), CallError> {
        let error = Fault { code, message };
        let line = encode(&Refusal { id, error })?;
        let sent = self.inner.lines.send(line).await;
        sent.map_err(|_closed| CallError::Closed)
    }
}

impl Inner {
    /// Whether this is a question for whoever hears the account, and is on its way there.
    pub(super) fn forward_account_request(
        &self,
        method: &str,
        id: &RawValue,
        params: &RawValue,
    ) -> bool {
        method == REFRESH
            && self.to_account(|| AccountLine::Request {
                id: id.to_owned(),
                params: params.to_owned(),
            })
    }

    /// Hands a notification on, where it is one about the account and somebody hears it.
    pub(super) fn forward_account_notification(&self, method: &str, params: &RawValue) {
        if method.starts_with("account/") {
            self.to_account(|| AccountLine::Notification {
                method: method.to_owned(),
                params: params.to_owned(),
            });
        }
    }

    fn to_account(&self, line: impl FnOnce() -> AccountLine) -> bool {
        let sender = self.account.get();
        sender.is_some_and(|sender| sender.try_send(line()).is_ok())
    }
}
