//! What is counted, and what is written of it.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::codex::FleetReport;
use crate::flow::Occupancy;
use crate::policy::Tally;

fn text(metrics: &Metrics) -> String {
    let scrape = Scrape {
        metrics: metrics.clone(),
        turns: Occupancy {
            running: 3,
            waiting: 2,
            ..Occupancy::default()
        },
        fleet: FleetReport::default(),
        shadow: None,
    };
    scrape.text().unwrap()
}

fn has(text: &str, line: &str) -> bool {
    text.lines().any(|it| it == line)
}

#[test]
fn requests_are_counted_by_route_outcome_and_release() {
    let metrics = Metrics::default();
    let chat = "/v1/chat/completions";
    let seven = metrics.release(7);
    for (status, whole) in [(Some(200), true), (Some(200), true), (Some(503), true)] {
        let trail = metrics.request(chat);
        trail.served_by(&seven);
        trail.over(status, whole);
    }
    metrics.request("/v1/models/a").over(Some(401), true);
    metrics.request("/no/such/path").over(Some(200), false);
    let broken = metrics.request(chat);
    broken.failed();
    broken.over(Some(200), true);
    let gone = metrics.request(chat);
    assert!(has(&text(&metrics), "http_server_active_requests 1"));
    gone.over(None, false);
    let text = text(&metrics);
    for line in [
        r#"airlock_requests_total{route="/v1/chat/completions",status="ok",release="7"} 2"#,
        r#"airlock_requests_total{route="/v1/chat/completions",status="failed",release="7"} 1"#,
        r#"airlock_requests_total{route="/v1/chat/completions",status="failed",release=""} 1"#,
        r#"airlock_requests_total{route="/v1/chat/completions",status="left",release=""} 1"#,
        r#"airlock_requests_total{route="/v1/models",status="refused",release=""} 1"#,
        r#"airlock_requests_total{route="other",status="left",release=""} 1"#,
        "http_server_active_requests 0",
        "gen_ai_server_request_duration_seconds_count 5",
        "airlock_running_turns 3",
        "airlock_waiting_requests 2",
        "airlock_policy_swaps_total 0",
        "# EOF",
    ] {
        assert!(has(&text, line), "no {line} in\n{text}");
    }
    assert_eq!(text.matches("airlock_requests_total{").count(), 6, "{text}");
}

#[test]
fn what_is_not_remembered_is_not_told() {
    let metrics = Metrics::default();
    for number in 1..=300 {
        let meter = metrics.release(number);
        meter.came();
        meter.failed(Some("trap"));
        meter.failed(None);
        meter.chosen_as_canary();
    }
    metrics.keep(|number| number > 200);
    metrics.release(300).went();
    let text = text(&metrics);
    assert_eq!(text.matches("airlock_policy_faults_total{").count(), 100);
    assert!(has(&text, "airlock_resident_releases 99"), "{text}");
    let line = r#"airlock_policy_faults_total{release="201",kind="trap"} 1"#;
    assert!(has(&text, line), "{text}");
    let line = r#"airlock_canary_requests_total{release="201"} 1"#;
    assert!(has(&text, line), "{text}");
}

#[test]
fn times_are_counted_in_buckets() {
    let metrics = Metrics::default();
    let calls = metrics.release(1);
    for micros in [10, 30, 2_000_000] {
        calls.calls().feed.observe(Duration::from_micros(micros));
    }
    let trail = metrics.request("/v1/chat/completions");
    let open = trail.open();
    trail.spoke();
    trail.spoke();
    let during = text(&metrics);
    assert!(has(&during, "airlock_open_streams 1"), "{during}");
    drop(open);
    let text = text(&metrics);
    for line in [
        r#"airlock_policy_call_seconds_bucket{le="0.00001",export="feed"} 1"#,
        r#"airlock_policy_call_seconds_bucket{le="0.00005",export="feed"} 2"#,
        r#"airlock_policy_call_seconds_bucket{le="+Inf",export="feed"} 3"#,
        r#"airlock_policy_call_seconds_sum{export="feed"} 2.00004"#,
        r#"airlock_policy_call_seconds_count{export="render"} 0"#,
        "gen_ai_server_time_to_first_token_seconds_count 1",
        "airlock_open_streams 0",
    ] {
        assert!(has(&text, line), "no {line} in\n{text}");
    }
}

#[test]
fn a_shadows_tally_is_told() {
    let scrape = Scrape {
        metrics: Metrics::default(),
        turns: Occupancy::default(),
        fleet: FleetReport::default(),
        shadow: Some((
            4,
            Tally {
                same: 5,
                different: BTreeMap::from([("feed", 1), ("render", 2)]),
                ..Tally::default()
            },
        )),
    };
    let text = scrape.text().unwrap();
    for (outcome, count) in [("same", 5), ("different", 3), ("passed", 0)] {
        let line =
            format!("airlock_shadow_requests_total{{release=\"4\",outcome=\"{outcome}\"}} {count}");
        assert!(has(&text, &line), "no {line} in\n{text}");
    }
}
