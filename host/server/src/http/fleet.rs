//! `GET /admin/fleet`: the children of each home, and the turns that they run.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::get;
use serde::Serialize;

use super::failure::HttpError;
use super::{AppState, json, key};
use crate::flow::{Flow, Occupancy};
use airlock_base::secrets::Secret;
use airlock_codex::FleetReport;

/// The homes of the gateway. An array in JSON, so that clients can read a gateway with several homes; Airlock has one so far.
#[derive(Serialize)]
struct FleetResponse {
    homes: Vec<HomeReport>,
}

/// One home.
#[derive(Serialize)]
struct HomeReport {
    name: &'static str,
    turns: Occupancy,
    #[serde(flatten)]
    fleet: FleetReport,
}

/// The route, behind this key. None: no key is configured, and the route is open.
pub(super) fn routes(flow: Flow, key: Option<Arc<Secret>>) -> Router<AppState> {
    Router::new()
        .route("/admin/fleet", get(list))
        .method_not_allowed_fallback(super::no_method)
        .layer(from_fn_with_state(key, key::check))
        .with_state(flow)
}

async fn list(State(flow): State<Flow>) -> Result<Response, HttpError> {
    let response = FleetResponse {
        homes: vec![HomeReport {
            name: "default",
            turns: flow.turns(),
            fleet: flow.fleet(),
        }],
    };
    Ok(json::ok(&response)?)
}
