//! `GET /metrics`, for Prometheus.

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

use super::failure::HttpError;
use super::{AppState, key};
use crate::exporter::Scrape;
use crate::flow::Flow;
use airlock_base::secrets::Secret;
use airlock_metrics::Metrics;

/// The media type of OpenMetrics text.
const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// The state of the route.
#[derive(Clone)]
pub(super) struct MetricsState {
    pub(super) metrics: Metrics,
    pub(super) flow: Flow,
    /// Returns the number of lost log lines.
    pub(super) lost_lines: fn() -> u64,
}

/// The route, behind this key. None: no key is configured, and the route is open.
pub(super) fn routes(state: MetricsState, key: Option<Arc<Secret>>) -> Router<AppState> {
    Router::new()
        .route("/metrics", get(scrape))
        .method_not_allowed_fallback(super::no_method)
        .layer(from_fn_with_state(key, key::check))
        .with_state(state)
}

async fn scrape(State(state): State<MetricsState>) -> Result<Response, HttpError> {
    let objects = state.flow.objects();
    let scrape = Scrape {
        metrics: state.metrics,
        turns: state.flow.turns(),
        fleet: state.flow.fleet(),
        shadow: state.flow.shadow(),
        store: objects.usage().await,
        background_responses: objects.background_responses() as u64,
        store_failures: objects.failures(),
        log_bytes: objects.log_bytes(),
        lost_lines: (state.lost_lines)(),
    };
    // It reads files of /proc, some of them long.
    let text = tokio::task::spawn_blocking(move || scrape.text().map_err(io::Error::other));
    match text.await.map_err(io::Error::other).flatten() {
        Ok(text) => Ok(([(CONTENT_TYPE, OPEN_METRICS)], text).into_response()),
        Err(error) => Err(HttpError::internal("The metrics cannot be written.", error)),
    }
}
