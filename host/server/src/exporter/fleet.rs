//! Metrics of Codex's children.

use std::fmt;

use airlock_codex::{FleetReport, Reach};
use airlock_metrics::Page;

/// Writes the metrics of a home's children, labelled by the children's state: numbers of children are unbounded.
pub(super) fn write(page: &mut Page<'_>, fleet: &FleetReport) -> fmt::Result {
    let states = ["spare", "serving", "leaving"];
    let mut children = states.map(|state| ([("state", state.to_owned())], 0));
    let mut resident = children.clone();
    for child in &fleet.children {
        let index = child.state as usize;
        children[index].1 += 1;
        resident[index].1 += child.resident_bytes;
    }
    page.gauges(
        "airlock_codex_children",
        "Children of Codex, by what they do",
        children,
    )?;
    let help = "Resident memory of Codex's children in bytes, by what they do";
    page.gauges("airlock_codex_resident_bytes", help, resident)?;
    let help = "Children of Codex that were started";
    page.counters("airlock_codex_starts", help, [([], fleet.started)])?;
    let help = "Threads of Codex that were started";
    page.counters("airlock_codex_threads", help, [([], fleet.threads)])?;
    let help = "Turns that Codex has begun";
    page.counters("airlock_codex_turns", help, [([], fleet.turns_begun)])?;
    let replaced = fleet.replaced.iter();
    let replaced = replaced.map(|count| ([("reason", count.reason.to_owned())], count.children));
    let help = "Children of Codex that were replaced, by reason";
    page.counters("airlock_codex_replaced", help, replaced)?;
    let help = "Whether requests are turned away because Codex fails again and again";
    let open = u64::from(fleet.circuit.state != "closed");
    page.gauge("airlock_codex_circuit_open", help, open)?;
    let help = "Starts of Codex, or soon ended children, that failed in a row";
    let failures = u64::from(fleet.circuit.failures);
    page.gauge("airlock_codex_failures_in_a_row", help, failures)?;
    let help = "Codex's own log in bytes";
    page.gauge("airlock_codex_log_bytes", help, fleet.log_bytes)?;
    let help = "Whether the model cannot be reached, as turns find out";
    let unreachable = u64::from(fleet.model.state == Reach::Unreachable);
    page.gauge("airlock_model_unreachable", help, unreachable)?;
    let help = "Seconds for which the model has been unreachable, or silent beyond the usual";
    let seconds = fleet.model.seconds.unwrap_or_default();
    page.gauge("airlock_model_outage_seconds", help, seconds)?;
    let stopped = [
        ("upstream_timeout", fleet.stopped_turns.timeouts),
        ("upstream_loop", fleet.stopped_turns.loops),
    ];
    let stopped = stopped.map(|(reason, turns)| ([("reason", reason.to_owned())], turns));
    let help = "Turns that were stopped because of the model, by the code of their error";
    page.counters("airlock_stopped_turns", help, stopped)
}
