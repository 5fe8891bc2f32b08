//! The admin routes, `/admin/…`. They exist only if an admin key is configured, and accept no other key.

mod tapes; // /admin/tapes

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::{get, post, put};
use hyper::body::Body as _;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::failure::HttpError;
use super::{AppState, json, key};
use airlock_base::secrets::Secret;
use airlock_policy::{ChangedBy, LoadError, Registry, RegistryError};
use airlock_types::failure::Failure;
use airlock_types::wit::ProblemKind;

/// The state of these routes.
#[derive(Clone)]
pub(super) struct AdminState {
    pub(super) registry: Registry,
    pub(super) app: AppState,
}

/// The body of a request to activate a build.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct BuildRequest {
    digest: Option<String>,
    /// Recorded in the history.
    by: Option<String>,
}

/// The body of a request to give a build the role of canary or shadow.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RoleRequest {
    name: String,
    digest: Option<String>,
    /// A canary's share of requests, in percent.
    percent: Option<f64>,
}

/// The body of a request that names only its operator.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct OperatorRequest {
    by: Option<String>,
}

/// The default share of a canary, in percent.
const DEFAULT_PERCENT: f64 = 10.0;

/// Characters of an operator's name in the history.
const OPERATOR_LENGTH: usize = 64;

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

async fn list(State(state): State<AdminState>) -> Result<Response, HttpError> {
    Ok(json::ok(&state.registry.report().await)?)
}

async fn activate(
    State(state): State<AdminState>,
    name: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, HttpError> {
    // axum rejects only names that are not UTF-8, which no policy has.
    let Ok(Path(name)) = name else {
        let message = "The policy's name is not UTF-8.";
        let failure = Failure::new(ProblemKind::NotFound, "policy_not_found", message);
        return Err(failure.into());
    };
    let build: BuildRequest = read(request, &state.app).await?;
    let activated = state
        .registry
        .activate(&name, build.digest.as_deref(), operator(build.by));
    Ok(json::ok(&activated.await?)?)
}

async fn rollback(
    State(state): State<AdminState>,
    request: Request,
) -> Result<Response, HttpError> {
    let body: OperatorRequest = read(request, &state.app).await?;
    Ok(json::ok(
        &state.registry.rollback(operator(body.by)).await?,
    )?)
}

async fn canary(State(state): State<AdminState>, request: Request) -> Result<Response, HttpError> {
    let role: RoleRequest = read(request, &state.app).await?;
    let percent = role.percent.unwrap_or(DEFAULT_PERCENT);
    let begun = state
        .registry
        .canary(&role.name, role.digest.as_deref(), percent);
    begun.await?;
    Ok(json::ok(&state.registry.report().await.canary)?)
}

async fn end_canary(State(state): State<AdminState>) -> Result<Response, HttpError> {
    ended(state.registry.end_canary().await, "canary")
}

async fn shadow(State(state): State<AdminState>, request: Request) -> Result<Response, HttpError> {
    let role: RoleRequest = read(request, &state.app).await?;
    if role.percent.is_some() {
        return Err(HttpError::body(
            "invalid_value",
            "percent: a shadow follows all requests that it can; leave it out",
        ));
    }
    let begun = state.registry.shadow(&role.name, role.digest.as_deref());
    begun.await?;
    Ok(json::ok(&state.registry.report().await.shadow)?)
}

async fn end_shadow(State(state): State<AdminState>) -> Result<Response, HttpError> {
    ended(state.registry.end_shadow().await, "shadow")
}

fn ended(had: bool, role: &str) -> Result<Response, HttpError> {
    if had {
        return Ok(json::ok(&serde_json::json!({ "ended": role }))?);
    }
    let message = format!("There is no {role} to end.");
    Err(Failure::new(ProblemKind::NotFound, "no_such_role", message).into())
}

/// The request's body as JSON. An empty body is an empty object.
async fn read<T: DeserializeOwned>(request: Request, app: &AppState) -> Result<T, HttpError> {
    if request.body().is_end_stream() {
        return serde_json::from_str("{}")
            .map_err(|error| HttpError::body("invalid_json", &error.to_string()));
    }
    let (text, _) = app.bodies.read_json_text(request).await?;
    serde_json::from_str(&text).map_err(|error| HttpError::body("invalid_json", &error.to_string()))
}

/// The operator's name for the history.
fn operator(name: Option<String>) -> ChangedBy {
    let name = name.unwrap_or_default();
    let plain = name.chars().filter(|character| !character.is_control());
    match plain.take(OPERATOR_LENGTH).collect::<String>().trim() {
        "" => ChangedBy::name("admin"),
        // Names of the gateway's own actions.
        name if ["configuration", "start", "watch", "airlock"].contains(&name) => {
            ChangedBy::name(&format!("admin {name}"))
        }
        name => ChangedBy::name(name),
    }
}

impl From<RegistryError> for HttpError {
    /// Unlike clients, operators receive the cause.
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
