//! What Airlock wants to reach, and whether this run did.

use serde_json::Value;

use super::party::{AIRLOCK, LEAST};
use super::say;

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
}

use Bound::{AtLeast, AtMost};

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
        AtMost(64.0),
    ),
    goal("resident, idle", "/idle/real/idle_mib", "MiB", AtMost(32.0)),
    goal(
        "each of 1,000 silent streams",
        "/idle/Airlock/kib_each",
        "KiB",
        AtMost(128.0),
    ),
    goal(
        "the same, shared pages counted for each",
        "/idle/Airlock/kib_each_with_shared",
        "KiB",
        AtMost(128.0),
    ),
    goal(
        "second start, without a child",
        "/start/median_ms",
        "ms",
        AtMost(50.0),
    ),
    goal(
        "real Codex: first token over the same options",
        "/turns/0/first_over_same_options_ms",
        "ms",
        AtMost(1.0),
    ),
    goal(
        "real Codex: turns a second at 20, same options",
        "/turns/1/of_same_options",
        "x direct",
        AtLeast(0.97),
    ),
    goal(
        "real Codex: turns a second at 20, its defaults",
        "/turns/1/of_defaults",
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

/// Tells of each goal that was measured whether it is reached.
pub(super) fn tell(figures: &Value) {
    say("");
    for Goal {
        what,
        at,
        unit,
        bound,
    } in GOALS
    {
        let Some(measured) = figures.pointer(at).and_then(Value::as_f64) else {
            continue;
        };
        let (word, wanted, reached) = match bound {
            AtMost(most) => ("at most", most, measured <= *most),
            AtLeast(least) => ("at least", least, measured >= *least),
        };
        let verdict = if reached { "reached" } else { "NOT reached" };
        let measured = match measured {
            1000.0.. => format!("{measured:.0}"),
            _ => format!("{measured:.2}"),
        };
        // Nearly all of a whole answer is what a sandbox costs.
        let least = figures.pointer(&at.replace(AIRLOCK, LEAST));
        let least = least.filter(|_| at.contains("/whole/to_limit/"));
        let least = least.and_then(Value::as_f64);
        let least = least.map(|least| format!(" (the least sandbox: {least:.2})"));
        say(&format!(
            "{what:<50}{measured:>10} {unit:<9} {word} {wanted}: {verdict}{}",
            least.unwrap_or_default()
        ));
    }
}
