//! `/admin/fleet`: the children of each home, and the turns that they run. For whoever may read `/metrics`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use super::failure::{Refusal, json};
use super::metrics::Gauges;
use crate::flow::Occupancy;
use airlock_codex::FleetReport;
use airlock_types::failure::Failure;
use airlock_types::wit::ProblemKind;

/// All homes.
#[derive(Serialize)]
struct Homes {
    homes: [Home; 1],
}

/// One home.
#[derive(Serialize)]
struct Home {
    name: &'static str,
    turns: Occupancy,
    #[serde(flatten)]
    fleet: FleetReport,
}

pub(super) async fn list(State(gauges): State<Gauges>) -> Result<Response, Refusal> {
    let homes = Homes {
        homes: [Home {
            name: "default",
            turns: gauges.flow.turns(),
            fleet: gauges.flow.fleet(),
        }],
    };
    match serde_json::to_string(&homes) {
        Ok(text) => Ok(json(StatusCode::OK, text)),
        Err(error) => {
            let message = "The answer cannot be written.";
            let failure = Failure::new(ProblemKind::Internal, "internal_error", message);
            Err(failure.because(error).into())
        }
    }
}
