//! What clients see: routes, and what every request passes. The only place that knows HTTP.

mod admin; // /admin
mod body; // what a request holds
mod chat; // POST /v1/chat/completions
mod codex; // /api/codex: is it there, who is signed in
mod failure; // problems as statuses
mod fleet; // GET /admin/fleet
mod guard; // who may call from where
mod health; // GET /healthz, GET /readyz
mod key; // who may call at all
mod listen; // the socket
mod metrics; // GET /metrics
mod models; // GET /v1/models
mod record; // ids, headers and log lines of every request
mod sse; // frames as bytes

use std::sync::Arc;

use axum::Router;
use axum::http::{Method, Uri};
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

use self::body::Bodies;
use self::failure::Refusal;
use self::guard::Guard;
pub use self::listen::{Server, serve};
use crate::config::ServerConfig;
use crate::flow::Flow;
use airlock_base::storage;
use airlock_base::task::Tasks;
use airlock_codex::Codex;
use airlock_metrics::Metrics;
use airlock_policy::Registry;

/// What handlers share, which axum clones with its route for each request.
type AppState = Arc<Shared>;

struct Shared {
    flow: Flow,
    bodies: Bodies,
    rehearsal: bool,
    /// What tells the data folder from others, and says nothing else of it.
    data: Option<String>,
}

/// The whole gateway as one service. `lost_lines` reads how many lines of the log were lost.
pub fn router(
    config: &ServerConfig,
    flow: Flow,
    codex: Codex,
    registry: Registry,
    metrics: Metrics,
    lost_lines: fn() -> u64,
    tasks: &Tasks,
) -> Router {
    let app = Arc::new(Shared {
        flow,
        bodies: Bodies::new(&config.limits, tasks),
        rehearsal: config.rehearsal,
        data: storage::id(&config.data_dir),
    });
    let guard = Guard::new(
        config.listen.ip(),
        &config.allowed_hosts,
        &config.allowed_origins,
    );
    let key = config.api_key.clone().map(Arc::new);

    // Those who watch over a process have no key, and what these two tell is no secret.
    let open = Router::new()
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
        .method_not_allowed_fallback(no_method);
    let keyed = Router::new()
        .route("/v1/chat/completions", post(chat::complete))
        .route("/v1/models", get(models::list))
        .route("/v1/models/{*id}", get(models::show))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(from_fn_with_state(key.clone(), key::check));

    let watcher = config
        .admin_key
        .clone()
        .map(Arc::new)
        .or_else(|| key.clone());
    let gauges = metrics::Gauges {
        metrics: metrics.clone(),
        flow: app.flow.clone(),
        lost_lines,
    };
    let signing = codex::routes(
        codex::AccountRoutesState::new(config, codex, app.clone()),
        watcher.clone(),
    );
    let metered = metrics::routes(gauges, watcher);
    let admin = config.admin_key.clone().map(|admin_key| {
        let app = app.clone();
        admin::routes(admin::AdminState { registry, app }, admin_key)
    });
    let all = keyed
        .merge(open)
        .merge(signing)
        .merge(metered)
        .merge(admin.unwrap_or_default());
    let recording = record::Recording {
        rehearsal: config.rehearsal,
        metrics,
        guard: Arc::new(guard),
        tasks: tasks.clone(),
    };
    // Around all of it: whatever answers, the answer has an id and the log has its line.
    all.with_state(app)
        .layer(from_fn_with_state(recording, record::record))
}

async fn no_route(method: Method, uri: Uri) -> Refusal {
    Refusal::no_route(&method, uri.path())
}

async fn no_method(method: Method, uri: Uri) -> Refusal {
    Refusal::no_method(&method, uri.path())
}
