//! Whether Codex is there and who is signed in: `/api/codex/…`. Clients may ask; signing in and out is for operators.

mod login; // what a request to sign in says
mod stream; // a sign-in as server-sent events

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::{get, post};
use serde::Serialize;
use serde_json::json;

use super::failure::{Refusal, json as answer};
use super::record::Received;
use super::{AppState, chat, key};
use crate::config::ServerConfig;
use airlock_base::secrets::Secret;
use airlock_codex::Codex;
use airlock_codex::account::{Refused, SignedOut};
use airlock_types::failure::Failure;
use airlock_types::wit::ProblemKind;

/// The state of these routes.
#[derive(Clone)]
pub(super) struct AccountRoutesState {
    codex: Codex,
    app: AppState,
    /// Who presents it may see more.
    admin_key: Option<Arc<Secret>>,
    api_key: Option<Arc<Secret>>,
    heartbeat: Duration,
}

impl AccountRoutesState {
    pub(super) fn new(config: &ServerConfig, codex: Codex, app: AppState) -> Self {
        Self {
            codex,
            app,
            admin_key: config.admin_key.clone().map(Arc::new),
            api_key: config.api_key.clone().map(Arc::new),
            heartbeat: config.limits.heartbeat,
        }
    }
}

/// The routes. Signing in and out is behind `operator`. None: open, as everything else is then.
pub(super) fn routes(state: AccountRoutesState, operator: Option<Arc<Secret>>) -> Router<AppState> {
    let keys = (state.api_key.clone(), state.admin_key.clone());
    let asking = Router::new()
        .route("/api/codex/status", get(status))
        .method_not_allowed_fallback(super::no_method)
        .layer(from_fn_with_state(keys, key::check_either));
    let signing = Router::new()
        .route("/api/codex/login", post(login).delete(cancel))
        .route("/api/codex/logout", post(logout))
        .method_not_allowed_fallback(super::no_method)
        .layer(from_fn_with_state(operator, key::check));
    asking.merge(signing).with_state(state)
}

async fn status(
    State(state): State<AccountRoutesState>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let operator = state.admin_key.as_deref();
    let mut status = state.codex.status().await;
    if !operator.is_some_and(|admin_key| key::is(&headers, admin_key)) {
        status.cli_path = None;
    }
    whole(&status)
}

async fn login(
    State(state): State<AccountRoutesState>,
    Extension(received): Extension<Received>,
    request: Request,
) -> Result<Response, Refusal> {
    let wanted = login::read(request, &state.app.bodies).await?;
    let begun = state
        .codex
        .account()
        .sign_in(wanted.sign_in, wanted.takeover);
    let flow = begun.await.map_err(refusal)?;
    let body = stream::body(flow, state.heartbeat, received.exchange);
    Ok(chat::streamed(body))
}

async fn cancel(State(state): State<AccountRoutesState>) -> Result<Response, Refusal> {
    if state.codex.account().cancel_sign_in().await {
        return whole(&json!({ "cancelled": true }));
    }
    let message = "There is no sign-in to cancel.";
    Err(Failure::new(ProblemKind::NotFound, "no_login_in_progress", message).into())
}

async fn logout(State(state): State<AccountRoutesState>) -> Result<Response, Refusal> {
    let (out, message) = match state.codex.account().sign_out().await? {
        SignedOut::Tokens => (
            true,
            "The external tokens are forgotten. A login that was stored before them holds again.",
        ),
        SignedOut::Login => (true, "Signed out."),
        SignedOut::SharedLogin => (
            true,
            "Signed out. The login was shared with the user's own Codex, which is signed out too.",
        ),
        SignedOut::Nobody => (false, "Nobody was signed in."),
    };
    whole(&json!({ "signed_out": out, "message": message }))
}

/// Why there is no sign-in, as a client may hear it.
fn refusal(refused: Refused) -> Refusal {
    match refused {
        Refused::InProgress => Refusal::conflict(
            "login_in_progress",
            "Somebody is signing in already. Send \"takeover\": true to end that and begin anew.",
        ),
        Refused::ExternalTokens => Refusal::conflict(
            "external_tokens_active",
            "Codex is signed in with external ChatGPT tokens. Sign out first: POST /api/codex/logout.",
        ),
        Refused::Rehearsal => Refusal::conflict(
            "rehearsal",
            "This gateway rehearses with a scripted model, which needs no login.",
        ),
    }
}

fn whole(what: &impl Serialize) -> Result<Response, Refusal> {
    match serde_json::to_string(what) {
        Ok(text) => Ok(answer(StatusCode::OK, text)),
        Err(error) => {
            let message = "The answer cannot be written.";
            let failure = Failure::new(ProblemKind::Internal, "internal_error", message);
            Err(failure.because(error).into())
        }
    }
}
