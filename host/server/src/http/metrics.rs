//! `GET /metrics`, for Prometheus, and beside it `GET /admin/fleet`. Behind the admin key where one is configured, else behind the clients' key.

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

use super::failure::Refusal;
use super::{AppState, fleet, key};
use crate::exporter::Scrape;
use crate::flow::Flow;
use airlock_base::secrets::Secret;
use airlock_metrics::Metrics;
use airlock_types::failure::Failure;
use airlock_types::wit::ProblemKind;

/// What the text is, as its specification wants it said.
const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// What a scrape reads.
#[derive(Clone)]
pub(super) struct Gauges {
    pub(super) metrics: Metrics,
    pub(super) flow: Flow,
    /// Reads how many lines of the log were lost.
    pub(super) lost_lines: fn() -> u64,
}

/// The route, behind this key. None: open, as everything else is then.
pub(super) fn routes(gauges: Gauges, key: Option<Arc<Secret>>) -> Router<AppState> {
    Router::new()
        .route("/metrics", get(scrape))
        .route("/admin/fleet", get(fleet::list))
        .method_not_allowed_fallback(super::no_method)
        .layer(from_fn_with_state(key, key::check))
        .with_state(gauges)
}

async fn scrape(State(gauges): State<Gauges>) -> Result<Response, Refusal> {
    let scrape = Scrape {
        metrics: gauges.metrics,
        turns: gauges.flow.turns(),
        fleet: gauges.flow.fleet(),
        shadow: gauges.flow.shadow(),
        lost_lines: (gauges.lost_lines)(),
    };
    // It reads files of the system's, of which some are long.
    let text = tokio::task::spawn_blocking(move || scrape.text().map_err(io::Error::other));
    match text.await.map_err(io::Error::other).flatten() {
        Ok(text) => Ok(([(CONTENT_TYPE, OPEN_METRICS)], text).into_response()),
        Err(error) => {
            let message = "The metrics cannot be written.";
            let failure = Failure::new(ProblemKind::Internal, "internal_error", message);
            Err(failure.because(error).into())
        }
    }
}
