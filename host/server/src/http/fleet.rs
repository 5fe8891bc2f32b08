//! `GET /admin/fleet`: the children of each home, and the turns that they run. It needs the key of `/metrics`.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;

use super::failure::HttpError;
use super::json;
use super::metrics::MetricsState;
use crate::flow::Occupancy;
use airlock_codex::FleetReport;

/// All homes.
#[derive(Serialize)]
struct FleetResponse {
    homes: [HomeReport; 1],
}

/// One home.
#[derive(Serialize)]
struct HomeReport {
    name: &'static str,
    turns: Occupancy,
    #[serde(flatten)]
    fleet: FleetReport,
}

pub(super) async fn list(State(state): State<MetricsState>) -> Result<Response, HttpError> {
    let homes = FleetResponse {
        homes: [HomeReport {
            name: "default",
            turns: state.flow.turns(),
            fleet: state.flow.fleet(),
        }],
    };
    json::ok(&homes)
}
