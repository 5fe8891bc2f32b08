//! The admin routes, `/admin/…`. They exist where an admin key is configured, and take no other.

mod tapes; // requests to be played again

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::{get, post, put};
use hyper::body::Body as _;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::failure::{Refusal, json};
use super::{AppState, body, key};
use airlock_base::secrets::Secret;
use airlock_policy::{By, LoadError, Registry, RegistryError};
use airlock_types::failure::Failure;
use airlock_types::wit::ProblemKind;

/// The state of these routes.
#[derive(Clone)]
pub(super) struct AdminState {
    pub(super) registry: Registry,
    pub(super) app: AppState,
}

/// Which build of a policy.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Which {
    digest: Option<String>,
    /// Who asks, for the history.
    by: Option<String>,
}

/// A role for a build.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Role {
    name: String,
    digest: Option<String>,
    /// Of 100 requests; a canary's.
    percent: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Who {
    by: Option<String>,
}

/// The share of a canary that is given none.
const PERCENT: f64 = 10.0;

/// Characters of a name in the history.
const WHO: usize = 64;

/// The routes, behind the admin key.
pub(super) fn routes(state: AdminState, admin_key: Secret) -> Router<AppState> {
    Router::new()
        .route("/admin/policies", get(list))
        .route("/admin/policies/{name}/active", put(activate))
        .route("/admin/policies/rollback", post(rollback))
        .route("/admin/rollout/canary", put(canary).delete(end_canary))
        .route("/admin/rollout/shadow", put(shadow).delete(end_shadow))
        .route(
            "/admin/tapes",
            get(tapes::list).post(tapes::begin).delete(tapes::stop),
        )
        .method_not_allowed_fallback(super::no_method)
        .layer(from_fn_with_state(Some(Arc::new(admin_key)), key::check))
        .with_state(state)
}

async fn list(State(state): State<AdminState>) -> Result<Response, Refusal> {
    answer(&state.registry.report().await)
}

async fn activate(
    State(state): State<AdminState>,
    name: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Refusal> {
    // No policy has a name that is no text.
    let Ok(Path(name)) = name else {
        let message = "The policy's name is no text.";
        let failure = Failure::new(ProblemKind::NotFound, "policy_not_found", message);
        return Err(failure.into());
    };
    let which: Which = read(request, &state.app).await?;
    let activated = state
        .registry
        .activate(&name, which.digest.as_deref(), by(which.by));
    answer(&activated.await?)
}

async fn rollback(State(state): State<AdminState>, request: Request) -> Result<Response, Refusal> {
    let who: Who = read(request, &state.app).await?;
    answer(&state.registry.rollback(by(who.by)).await?)
}

async fn canary(State(state): State<AdminState>, request: Request) -> Result<Response, Refusal> {
    let role: Role = read(request, &state.app).await?;
    let percent = role.percent.unwrap_or(PERCENT);
    let begun = state
        .registry
        .canary(&role.name, role.digest.as_deref(), percent);
    begun.await?;
    answer(&state.registry.report().await.canary)
}

async fn end_canary(State(state): State<AdminState>) -> Result<Response, Refusal> {
    ended(state.registry.end_canary().await, "canary")
}

async fn shadow(State(state): State<AdminState>, request: Request) -> Result<Response, Refusal> {
    let role: Role = read(request, &state.app).await?;
    if role.percent.is_some() {
        return Err(Refusal::body(
            "invalid_value",
            "percent: a shadow follows all requests that it can; leave it out",
        ));
    }
    let begun = state.registry.shadow(&role.name, role.digest.as_deref());
    begun.await?;
    answer(&state.registry.report().await.shadow)
}

async fn end_shadow(State(state): State<AdminState>) -> Result<Response, Refusal> {
    ended(state.registry.end_shadow().await, "shadow")
}

fn ended(had: bool, role: &str) -> Result<Response, Refusal> {
    if had {
        return answer(&serde_json::json!({ "ended": role }));
    }
    let message = format!("There is no {role} to end.");
    Err(Failure::new(ProblemKind::NotFound, "no_such_role", message).into())
}

/// What the request's body says; none says nothing.
async fn read<T: DeserializeOwned>(request: Request, app: &AppState) -> Result<T, Refusal> {
    if request.body().is_end_stream() {
        return serde_json::from_str("{}")
            .map_err(|error| Refusal::body("invalid_json", &error.to_string()));
    }
    let body::Text { text, memory: _ } = body::text(request, &app.bodies).await?;
    serde_json::from_str(&text).map_err(|error| Refusal::body("invalid_json", &error.to_string()))
}

fn by(who: Option<String>) -> By {
    let who = who.unwrap_or_default();
    let plain = who.chars().filter(|character| !character.is_control());
    match plain.take(WHO).collect::<String>().trim() {
        "" => By::name("admin"),
        // What happens by itself has these names.
        who if ["configuration", "start", "watch", "airlock"].contains(&who) => {
            By::name(&format!("admin {who}"))
        }
        who => By::name(who),
    }
}

fn answer(what: &impl Serialize) -> Result<Response, Refusal> {
    match serde_json::to_string(what) {
        Ok(text) => Ok(json(StatusCode::OK, text)),
        Err(error) => {
            let message = "The answer cannot be written.";
            let failure = Failure::new(ProblemKind::Internal, "internal_error", message);
            Err(failure.because(error).into())
        }
    }
}

impl From<RegistryError> for Refusal {
    /// Operators may know why: unlike clients they get the cause.
    fn from(error: RegistryError) -> Self {
        if let RegistryError::Unsaved(cause) = &error {
            return Self::unsaved(cause, error.to_string());
        }
        let (kind, code) = match &error {
            RegistryError::NotFound(_) => (ProblemKind::NotFound, "policy_not_found"),
            RegistryError::Unclear(_) => (ProblemKind::InvalidRequest, "policy_unclear"),
            RegistryError::File { .. } | RegistryError::Unsaved(_) => {
                (ProblemKind::Internal, "policy_unreadable")
            }
            RegistryError::Load(LoadError::Refused { .. }) => {
                (ProblemKind::InvalidRequest, "policy_refused")
            }
            RegistryError::Load(_) => (ProblemKind::InvalidRequest, "policy_unusable"),
        };
        Failure::new(kind, code, error.to_string()).into()
    }
}
