//! Codex's notifications and requests about its account, and their subscriber.

use serde_json::value::RawValue;
use tokio::sync::mpsc;

use super::message::{RpcErrorObject, RpcErrorResponse, encode};
use super::{Connection, ConnectionInner};
use crate::call_error::CallError;

/// Messages that may be queued. Turns can request as many tokens at once; further requests are refused.
const LINES: usize = 256;

/// Codex's request when the model refuses the token that the gateway provided.
const REFRESH: &str = "account/chatgptAuthTokens/refresh";

/// A message about the account.
#[derive(Debug)]
pub(crate) enum AccountLine {
    /// A notification of `account/…`.
    Notification {
        method: String,
        params: Box<RawValue>,
    },
    /// A request for a fresh ChatGPT token.
    Request {
        id: Box<RawValue>,
        params: Box<RawValue>,
    },
}

impl Connection {
    /// Subscribes to messages about the account. The first subscriber receives them all. Before there is one, requests are
    /// refused.
    pub(crate) fn subscribe_account(&self) -> mpsc::Receiver<AccountLine> {
        let (sender, receiver) = mpsc::channel(LINES);
        // A second subscriber's sender is dropped.
        let _ = self.inner.account.set(sender);
        receiver
    }

    /// Responds to a request from Codex with an error.
    pub(crate) async fn refuse(
        &self,
        id: &RawValue,
        code: i64,
        message: &str,
    ) -> Result<(), CallError> {
        let error = RpcErrorObject { code, message };
        let line = encode(&RpcErrorResponse { id, error })?;
        let sent = self.inner.lines.send(line).await;
        sent.map_err(|_closed| CallError::Closed)
    }
}

impl ConnectionInner {
    /// Forwards a request about the account. False: it is of another kind, or no subscriber has room for it.
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

    /// Forwards a notification about the account, if there is a subscriber.
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
