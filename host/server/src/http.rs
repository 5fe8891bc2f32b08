//! HTTP: the listener, the routes and their middleware.

mod admin; // /admin
mod api; // the routes that policies answer
mod body; // request bodies
mod codex; // /api/codex: status, sign-in and sign-out
mod dialect; // the dialects of client APIs
mod failure; // failures as statuses and error envelopes
mod fleet; // GET /admin/fleet
mod health; // GET /healthz, GET /readyz
mod json; // JSON responses
mod key; // API keys
mod listen; // the listener and its connections
mod metrics; // GET /metrics
mod middleware; // ids, headers and log lines of every request
mod models; // GET /v1/models
mod origin_guard; // allowed hosts and web origins
mod request_id; // request ids
mod sse; // server-sent events
mod websocket; // GET /v1/responses as a WebSocket

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{Extension, RawPathParams, Request, State};
use axum::http::{Method, Uri};
use axum::middleware::from_fn_with_state;
use axum::routing::{get, on};

use self::body::BodyReader;
use self::dialect::{API_ROUTES, ApiRoute};
use self::failure::HttpError;
use self::key::RequiredKey;
pub use self::listen::{HttpServer, serve};
use self::middleware::{MiddlewareState, RequestInfo};
use self::origin_guard::OriginGuard;
use self::websocket::WebSocketState;
use crate::config::ServerConfig;
use crate::flow::Flow;
use airlock_base::storage;
use airlock_base::task::Tasks;
use airlock_codex::Codex;
use airlock_metrics::Metrics;
use airlock_policy::Registry;

/// The state of all handlers.
type AppState = Arc<AppStateInner>;

/// What all handlers share.
struct AppStateInner {
    flow: Flow,
    tasks: Tasks,
    bodies: BodyReader,
    rehearsal: bool,
    /// Identifies the data folder without its path. None: it cannot be read.
    data_id: Option<String>,
}

/// The routes of the gateway. `lost_lines` returns how many lines of the log were lost.
pub fn router(
    config: &ServerConfig,
    flow: Flow,
    codex: Codex,
    registry: Registry,
    metrics: Metrics,
    lost_lines: fn() -> u64,
    tasks: &Tasks,
) -> Router {
    let app = Arc::new(AppStateInner {
        flow,
        tasks: tasks.clone(),
        bodies: BodyReader::new(&config.limits, tasks),
        rehearsal: config.rehearsal,
        data_id: storage::data_dir_id(&config.data_dir),
    });
    let guard = OriginGuard::new(
        config.listen.ip(),
        &config.allowed_hosts,
        &config.allowed_origins,
    );
    let middleware = MiddlewareState {
        rehearsal: config.rehearsal,
        metrics: metrics.clone(),
        guard: Arc::new(guard),
        tasks: tasks.clone(),
    };
    let api_key = config.api_key.clone().map(Arc::new);
    let operator_key = match &config.admin_key {
        Some(admin_key) => Some(Arc::new(admin_key.clone())),
        None => api_key.clone(),
    };
    let websocket = WebSocketState {
        app: app.clone(),
        metrics: metrics.clone(),
    };
    let metrics = metrics::MetricsState {
        metrics,
        flow: app.flow.clone(),
        lost_lines,
    };
    let account = codex::AccountRoutesState::new(config, codex, app.clone());
    let admin = config.admin_key.clone().map(|admin_key| {
        let app = app.clone();
        admin::routes(admin::AdminState { registry, app }, admin_key)
    });
    api_routes(api_key, websocket)
        .merge(probe_routes())
        .merge(codex::routes(account, operator_key.clone()))
        .merge(metrics::routes(metrics, operator_key.clone()))
        .merge(fleet::routes(app.flow.clone(), operator_key))
        .merge(admin.unwrap_or_default())
        .with_state(app)
        // Outermost: every response has an id and a line in the log, whichever route or layer answers.
        .layer(from_fn_with_state(middleware, middleware::handle))
}

/// The routes of client APIs, and the answer to unknown paths, behind the API key.
fn api_routes(api_key: RequiredKey, websocket: WebSocketState) -> Router<AppState> {
    let serve = |route: &'static ApiRoute, method| {
        on(
            method,
            move |State(app): State<AppState>,
                  Extension(info): Extension<RequestInfo>,
                  parameters: Result<RawPathParams, RawPathParamsRejection>,
                  request: Request| {
                api::serve(route, app, info, parameters, request)
            },
        )
    };
    API_ROUTES
        .iter()
        .fold(Router::new(), |router, route| {
            let (method, path) = route.method_and_path();
            router.route(path, serve(route, method))
        })
        .route(
            websocket::PATH,
            get(websocket::upgrade).with_state(websocket),
        )
        .route("/v1/models", get(models::list))
        .route("/v1/models/{*id}", get(models::show))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(from_fn_with_state(api_key, key::check))
}

/// The routes for supervisors, which have no key. They reveal no secret.
fn probe_routes() -> Router<AppState> {
    Router::new()
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
        .method_not_allowed_fallback(no_method)
}

async fn no_route(method: Method, uri: Uri) -> HttpError {
    let begins = |route: &&ApiRoute| route.requires_body && !route.name.contains('{');
    let routes: Vec<&str> = API_ROUTES
        .iter()
        .filter(begins)
        .map(|route| route.name)
        .collect();
    HttpError::no_route(&method, uri.path(), &routes.join(", "))
}

async fn no_method(method: Method, uri: Uri) -> HttpError {
    HttpError::no_method(&method, uri.path())
}
