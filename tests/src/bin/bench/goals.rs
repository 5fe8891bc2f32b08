//! Airlock's performance goals, and whether this run reached them.

use serde_json::{Value, json};

use super::contender::{AIRLOCK, LEAST};
use super::print_line;

/// A figure, and its bound.
struct Goal {
    what: &'static str,
    /// Where it is in the figures.
    at: &'static str,
    unit: &'static str,
    bound: Bound,
}

#[derive(Clone, Copy)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
    Under(f64),
}

use Bound::{AtLeast, AtMost, Under};

const GOALS: &[Goal] = &[
    goal(
        "one stream without pauses",
        "/loads/one/medians/Airlock/deltas_per_second",
        "deltas/s",
        AtLeast(100_000.0),
    ),
    goal(
        "CPU for a delta at 50 streams",
        "/loads/fifty/to_limit/Airlock/CPU~1delta",
        "x limit",
        AtMost(1.25),
    ),
    goal(
        "CPU for a delta at 200 streams",
        "/loads/two_hundred/to_limit/Airlock/CPU~1delta",
        "x limit",
        AtMost(1.25),
    ),
    goal(
        "lateness p50 at 50 streams",
        "/loads/fifty/to_limit/Airlock/late p50",
        "x limit",
        AtMost(1.25),
    ),
    goal(
        "lateness p50 at 200 streams",
        "/loads/two_hundred/to_limit/Airlock/late p50",
        "x limit",
        AtMost(1.25),
    ),
    goal(
        "lateness p99 at 50 streams",
        "/loads/fifty/to_limit/Airlock/late p99",
        "x limit",
        AtMost(1.5),
    ),
    goal(
        "lateness p99 at 200 streams",
        "/loads/two_hundred/to_limit/Airlock/late p99",
        "x limit",
        AtMost(1.5),
    ),
    goal(
        "first word p99 over the limit, 1 stream",
        "/loads/one/first_p99_over_limit_ms/Airlock",
        "ms",
        AtMost(1.0),
    ),
    goal(
        "first word p99 over the limit, 50 at once",
        "/loads/fifty/first_p99_over_limit_ms/Airlock",
        "ms",
        AtMost(1.0),
    ),
    goal(
        "first word p99 over the limit, 200 at once",
        "/loads/two_hundred/first_p99_over_limit_ms/Airlock",
        "ms",
        AtMost(1.0),
    ),
    goal(
        "whole answers",
        "/loads/whole/to_limit/Airlock/req~1s",
        "x limit",
        AtLeast(0.7),
    ),
    goal(
        "resident with 200 streams",
        "/loads/two_hundred/medians/Airlock/resident_mib",
        "MiB",
        Under(64.0),
    ),
    goal("resident, idle", "/idle/real/idle_mib", "MiB", Under(32.0)),
    goal(
        "each of 1,000 silent streams",
        "/idle/medians/Airlock/kib_each",
        "KiB",
        Under(128.0),
    ),
    goal(
        "the same, shared pages counted for each",
        "/idle/medians/Airlock/kib_each_with_shared",
        "KiB",
        Under(128.0),
    ),
    goal(
        "second start, without a child",
        "/start/median_ms",
        "ms",
        Under(50.0),
    ),
    goal(
        "real Codex: first token over the same options",
        "/turns/1/first_over_same_options_ms",
        "ms",
        AtMost(1.0),
    ),
    goal(
        "real Codex: turns a second at 20, same options",
        "/turns/20/of_same_options",
        "x direct",
        AtLeast(0.97),
    ),
    goal(
        "real Codex: turns a second at 20, its defaults",
        "/turns/20/of_defaults",
        "x direct",
        AtLeast(1.3),
    ),
];

const fn goal(what: &'static str, at: &'static str, unit: &'static str, bound: Bound) -> Goal {
    Goal {
        what,
        at,
        unit,
        bound,
    }
}

impl Bound {
    fn holds(self, measured: f64) -> bool {
        match self {
            AtMost(most) => measured <= most,
            AtLeast(least) => measured >= least,
            Under(bound) => measured < bound,
        }
    }

    fn describe(self) -> String {
        match self {
            AtMost(most) => format!("at most {most}"),
            AtLeast(least) => format!("at least {least}"),
            Under(bound) => format!("under {bound}"),
        }
    }
}

impl Goal {
    /// The measured value. None: nothing was measured, or it is no number.
    fn measured(&self, figures: &Value) -> Option<f64> {
        figures.pointer(self.at).and_then(Value::as_f64)
    }

    fn row(&self, figures: &Value) -> String {
        let measured = self.measured(figures);
        let verdict = match measured.map(|measured| self.bound.holds(measured)) {
            Some(true) => "reached",
            Some(false) => "NOT reached",
            None => "not measured",
        };
        let measured = match measured {
            Some(measured @ 1000.0..) => format!("{measured:.0}"),
            Some(measured) => format!("{measured:.2}"),
            None => "-".to_owned(),
        };
        let (what, unit, wanted) = (self.what, self.unit, self.bound.describe());
        format!("{what:<50}{measured:>10} {unit:<9} {wanted}: {verdict}")
    }
}

/// Prints for each goal whether this run reached it.
pub(super) fn print(figures: &Value) {
    print_line("");
    for goal in GOALS {
        // Nearly all of a whole answer is what a sandbox costs.
        let least = figures.pointer(&goal.at.replace(AIRLOCK, LEAST));
        let least = least.filter(|_| goal.at.contains("/whole/to_limit/"));
        let least = least.and_then(Value::as_f64);
        let least = least.map(|least| format!(" (the least sandbox: {least:.2})"));
        print_line(&(goal.row(figures) + &least.unwrap_or_default()));
    }
}

/// The goals' results for the record. Null where nothing was measured.
pub(super) fn verdicts(figures: &Value) -> Value {
    let verdicts = GOALS.iter().map(|goal| {
        let measured = goal.measured(figures);
        let reached = measured.map(|measured| goal.bound.holds(measured));
        json!({"goal": goal.what, "at": goal.at, "wanted": goal.bound.describe(), "unit": goal.unit,
            "measured": measured, "reached": reached})
    });
    Value::Array(verdicts.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_stay_under_its_bound_does_not_reach_it_there() {
        assert!(Under(32.0).holds(31.99));
        assert!(!Under(32.0).holds(32.0));
        assert!(AtMost(1.25).holds(1.25));
        assert!(!AtMost(1.25).holds(1.2501));
        assert!(AtLeast(0.7).holds(0.7));
        assert!(!AtLeast(0.7).holds(0.699));
    }

    #[test]
    fn a_value_that_was_not_measured_is_reported() {
        let goal = goal("idle", "/idle", "MiB", Under(32.0));
        let row = |figures: Value| goal.row(&figures);
        assert!(row(json!({})).ends_with("- MiB       under 32: not measured"));
        assert!(row(json!({"idle": f64::NAN})).ends_with(": not measured"));
        assert!(row(json!({"idle": 31.5})).ends_with("31.50 MiB       under 32: reached"));
        assert!(row(json!({"idle": 32})).ends_with(": NOT reached"));
    }
}
