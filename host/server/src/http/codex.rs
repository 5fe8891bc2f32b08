//! The routes of Codex's account, `/api/codex/…`: its status, for clients, and sign-in and sign-out, for operators.

mod login; // the body of a sign-in request
mod stream; // a sign-in as server-sent events

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Extension, Request, State};
use axum::http::HeaderMap;
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::{get, post};

use super::failure::HttpError;
use super::middleware::RequestInfo;
use super::{AppState, json, key, sse};
use crate::config::ServerConfig;
use airlock_base::secrets::Secret;
use airlock_codex::Codex;
use airlock_codex::account::{SignInRefusal, SignedOut};
use airlock_types::failure::Failure;
use airlock_types::wit::ProblemKind;

/// The state of these routes.
#[derive(Clone)]
pub(super) struct AccountRoutesState {
    codex: Codex,
    app: AppState,
    /// With it, the status includes the path of Codex.
    admin_key: Option<Arc<Secret>>,
    api_key: Option<Arc<Secret>>,
    heartbeat: Duration,
}

impl AccountRoutesState {
    /// The state, by the configuration.
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

/// The routes. Sign-in and sign-out need `operator_key`. None: no key is configured, and all routes are open.
pub(super) fn routes(
    state: AccountRoutesState,
    operator_key: Option<Arc<Secret>>,
) -> Router<AppState> {
    let keys = (state.api_key.clone(), state.admin_key.clone());
    let status_routes = Router::new()
        .route("/api/codex/status", get(status))
        .method_not_allowed_fallback(super::no_method)
        .layer(from_fn_with_state(keys, key::check_either));
    let sign_in_routes = Router::new()
        .route("/api/codex/login", post(login).delete(cancel))
        .route("/api/codex/logout", post(logout))
        .method_not_allowed_fallback(super::no_method)
        .layer(from_fn_with_state(operator_key, key::check));
    status_routes.merge(sign_in_routes).with_state(state)
}

async fn status(
    State(state): State<AccountRoutesState>,
    headers: HeaderMap,
) -> Result<Response, HttpError> {
    let admin_key = state.admin_key.as_deref();
    let mut status = state.codex.status().await;
    if !admin_key.is_some_and(|admin_key| key::is_presented(&headers, admin_key)) {
        status.cli_path = None;
    }
    Ok(json::ok(&status)?)
}

async fn login(
    State(state): State<AccountRoutesState>,
    Extension(received): Extension<RequestInfo>,
    request: Request,
) -> Result<Response, HttpError> {
    let login = login::read(request, &state.app.bodies).await?;
    let begun = state.codex.account().sign_in(login.sign_in, login.takeover);
    let flow = begun.await.map_err(refusal)?;
    let body = stream::body(flow, state.heartbeat, received.exchange);
    Ok(sse::response(body))
}

async fn cancel(State(state): State<AccountRoutesState>) -> Result<Response, HttpError> {
    if state.codex.account().cancel_sign_in().await {
        return Ok(json::ok(&serde_json::json!({ "cancelled": true }))?);
    }
    let message = "There is no sign-in to cancel.";
    Err(Failure::new(ProblemKind::NotFound, "no_login_in_progress", message).into())
}

async fn logout(State(state): State<AccountRoutesState>) -> Result<Response, HttpError> {
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
    Ok(json::ok(
        &serde_json::json!({ "signed_out": out, "message": message }),
    )?)
}

/// The error of a sign-in that cannot begin.
fn refusal(refused: SignInRefusal) -> HttpError {
    match refused {
        SignInRefusal::InProgress => HttpError::conflict(
            "login_in_progress",
            "Somebody is signing in already. Send \"takeover\": true to end that and begin anew.",
        ),
        SignInRefusal::ExternalTokens => HttpError::conflict(
            "external_tokens_active",
            "Codex is signed in with external ChatGPT tokens. Sign out first: POST /api/codex/logout.",
        ),
        SignInRefusal::Rehearsal => HttpError::conflict(
            "rehearsal",
            "This gateway rehearses with a scripted model, which needs no login.",
        ),
    }
}
