//! Tests of the instruments by the exporter's text.
#![allow(clippy::unwrap_used, reason = "tests")]

mod closed; // names and labels

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::*;
use airlock_codex::FleetReport;
use airlock_metrics::{CallPurpose, TokenCounts};
use airlock_policy::ShadowTally;
use airlock_store::StoreUsage;

const CHAT: &str = "/v1/chat/completions";

fn text(metrics: &Metrics) -> String {
    let scrape = Scrape {
        metrics: metrics.clone(),
        turns: Occupancy {
            running: 3,
            waiting: 2,
            ..Occupancy::default()
        },
        fleet: FleetReport {
            turns_begun: 4,
            ..FleetReport::default()
        },
        shadow: None,
        store: Some(StoreUsage {
            objects: 12,
            bytes: 4096,
            capacity: 1 << 20,
        }),
        background_responses: 1,
        store_failures: 0,
        log_bytes: 640,
        lost_lines: 0,
    };
    scrape.text().unwrap()
}

fn has(text: &str, line: &str) -> bool {
    text.lines().any(|it| it == line)
}

fn assert_has(metrics: &Metrics, lines: &[&str]) {
    let text = text(metrics);
    for line in lines {
        assert!(has(&text, line), "no {line} in\n{text}");
    }
}

#[test]
fn requests_are_counted_by_route_outcome_and_release() {
    let metrics = Metrics::default();
    let seven = metrics.release(7);
    for (status, whole) in [(Some(200), true), (Some(200), true), (Some(503), true)] {
        let request_metrics = metrics.request(CHAT);
        request_metrics.served_by(&seven);
        request_metrics.finished(status, whole);
    }
    metrics.request("/v1/models/a").finished(Some(401), true);
    for path in ["/api/codex/status", "/api/codex/login"] {
        metrics.request(path).finished(Some(200), true);
    }
    metrics.request("/no/such/path").finished(Some(200), false);
    let broken = metrics.request(CHAT);
    broken.failed();
    broken.finished(Some(200), true);
    let gone = metrics.request(CHAT);
    let list = metrics.request("/v1/models");
    assert_has(
        &metrics,
        &[
            r#"http_server_active_requests{route="/v1/chat/completions"} 1"#,
            r#"http_server_active_requests{route="/v1/models"} 1"#,
            r#"http_server_active_requests{route="/metrics"} 0"#,
        ],
    );
    gone.finished(None, false);
    list.finished(Some(401), true);
    let text = text(&metrics);
    for line in [
        r#"airlock_requests_total{route="/v1/chat/completions",status="ok",release="7"} 2"#,
        r#"airlock_requests_total{route="/v1/chat/completions",status="failed",release="7"} 1"#,
        r#"airlock_requests_total{route="/v1/chat/completions",status="failed",release=""} 1"#,
        r#"airlock_requests_total{route="/v1/chat/completions",status="left",release=""} 1"#,
        r#"airlock_requests_total{route="/v1/models",status="refused",release=""} 2"#,
        r#"airlock_requests_total{route="/api/codex",status="ok",release=""} 2"#,
        r#"airlock_requests_total{route="other",status="left",release=""} 1"#,
        r#"http_server_active_requests{route="/v1/chat/completions"} 0"#,
        r#"http_server_active_requests{route="/v1/models"} 0"#,
        "gen_ai_server_request_duration_seconds_count 5",
        "airlock_running_turns 3",
        "airlock_waiting_requests 2",
        "airlock_policy_swaps_total 0",
        "# EOF",
    ] {
        assert!(has(&text, line), "no {line} in\n{text}");
    }
    assert_eq!(text.matches("airlock_requests_total{").count(), 9, "{text}");
}

#[test]
fn forgotten_releases_are_not_exported() {
    let metrics = Metrics::default();
    for number in 1..=300 {
        let release_metrics = metrics.release(number);
        release_metrics.loaded();
        release_metrics.failed(Some("trap"));
        release_metrics.failed(None);
        release_metrics.chosen_as_canary();
    }
    metrics.retain(|number| number > 200);
    metrics.release(300).freed();
    let text = text(&metrics);
    // Releases in memory have all their metrics.
    let series = text.matches("airlock_policy_faults_total{").count();
    assert_eq!(series, 99 * 5 + 1);
    assert!(has(&text, "airlock_resident_releases 99"), "{text}");
    let line = r#"airlock_policy_faults_total{release="201",kind="trap"} 1"#;
    assert!(has(&text, line), "{text}");
    let line = r#"airlock_canary_requests_total{release="201"} 1"#;
    assert!(has(&text, line), "{text}");
}

#[test]
fn a_release_number_is_exported_with_its_name_version_and_digest() {
    let metrics = Metrics::default();
    let long = "9.".repeat(500);
    let versions = ["1.2", "a\"b\n\\c", long.as_str(), "gone"];
    for (number, version) in (1..).zip(versions) {
        let release_metrics = metrics.release(number);
        release_metrics.identify("redact", version, &"0123456789abcdef".repeat(4));
        // It is loaded once more.
        release_metrics.identify("other", "0", "0");
    }
    metrics.release(5);
    metrics.retain(|number| number != 4);
    let text = text(&metrics);
    let received = |number: u8, version: &str| {
        format!(
            r#"airlock_policy_release_info{{release="{number}",name="redact",version="{version}",digest="0123456789ab"}} 1"#
        )
    };
    for line in [
        received(1, "1.2"),
        received(2, r#"a\"b\\c"#),
        received(3, &"9.".repeat(32)),
    ] {
        assert!(has(&text, &line), "no {line} in\n{text}");
    }
    assert_eq!(text.matches("airlock_policy_release_info{").count(), 3);
}

#[test]
fn current_releases_are_exported_before_any_request() {
    let metrics = Metrics::default();
    let used = metrics.release(1);
    used.loaded();
    let left = metrics.release(2);
    left.loaded();
    left.freed();
    let text = text(&metrics);
    for line in [
        r#"airlock_policy_faults_total{release="1",kind="trap"} 0"#,
        r#"airlock_policy_faults_total{release="1",kind="output"} 0"#,
        r#"airlock_canary_requests_total{release="1"} 0"#,
        r#"airlock_requests_total{route="/v1/chat/completions",status="failed",release="1"} 0"#,
        r#"airlock_requests_total{route="/v1/chat/completions",status="refused",release=""} 0"#,
    ] {
        assert!(has(&text, line), "no {line} in\n{text}");
    }
    assert!(!text.contains(r#"release="2""#), "{text}");
    assert_eq!(text.matches("airlock_requests_total{").count(), 8, "{text}");
}

#[test]
fn times_are_counted_in_buckets() {
    let metrics = Metrics::default();
    let calls = metrics.release(1);
    let shadow = &calls.calls(CallPurpose::Shadow).render;
    shadow.observe(Duration::from_secs(1));
    for micros in [10, 30, 2_000_000] {
        calls
            .calls(CallPurpose::Serving)
            .feed
            .observe(Duration::from_micros(micros));
    }
    let request_metrics = metrics.request(CHAT);
    let open = request_metrics.open();
    request_metrics.first_token();
    let during = text(&metrics);
    assert!(has(&during, "airlock_open_streams 1"), "{during}");
    drop(open);
    let text = text(&metrics);
    for line in [
        r#"airlock_policy_call_seconds_bucket{le="0.00001",export="feed",role="serving"} 1"#,
        r#"airlock_policy_call_seconds_bucket{le="0.00005",export="feed",role="serving"} 2"#,
        r#"airlock_policy_call_seconds_bucket{le="+Inf",export="feed",role="serving"} 3"#,
        r#"airlock_policy_call_seconds_sum{export="feed",role="serving"} 2.00004"#,
        r#"airlock_policy_call_seconds_count{export="render",role="serving"} 0"#,
        r#"airlock_policy_call_seconds_count{export="render",role="shadow"} 1"#,
        "gen_ai_server_time_to_first_token_seconds_count 1",
        "airlock_open_streams 0",
    ] {
        assert!(has(&text, line), "no {line} in\n{text}");
    }
}

#[test]
fn a_shadows_tally_is_exported() {
    let scrape = Scrape {
        metrics: Metrics::default(),
        turns: Occupancy::default(),
        fleet: FleetReport::default(),
        shadow: Some((
            4,
            ShadowTally {
                same: 5,
                different: BTreeMap::from([("feed", 1), ("render", 2)]),
                ..ShadowTally::default()
            },
        )),
        store: Some(StoreUsage {
            objects: 12,
            bytes: 4096,
            capacity: 1 << 20,
        }),
        background_responses: 1,
        store_failures: 0,
        log_bytes: 640,
        lost_lines: 0,
    };
    let text = scrape.text().unwrap();
    for (outcome, count) in [("same", 5), ("different", 3), ("passed", 0)] {
        let line =
            format!("airlock_shadow_requests_total{{release=\"4\",outcome=\"{outcome}\"}} {count}");
        assert!(has(&text, &line), "no {line} in\n{text}");
    }
}

#[test]
fn overhead_is_observed_for_completions_that_reached_codex() {
    let metrics = Metrics::default();
    let refused = metrics.request(CHAT);
    refused.queued(Duration::ZERO);
    refused.finished(Some(503), true);
    assert_has(&metrics, &["airlock_overhead_seconds_count 0"]);

    let answered = metrics.request(CHAT);
    let mut turn = answered.request_turn();
    turn.ended(Instant::now());
    drop(turn);
    answered.finished(Some(200), true);
    // The client leaves before Codex has finished.
    let left = metrics.request(CHAT);
    let _turn = left.request_turn();
    left.finished(Some(200), false);
    assert_has(
        &metrics,
        &[
            "airlock_overhead_seconds_count 2",
            r#"airlock_overhead_seconds_bucket{le="5.0"} 2"#,
            "gen_ai_server_request_duration_seconds_count 3",
            "airlock_codex_turns_total 4",
        ],
    );
}

#[test]
fn queue_time_and_frames_are_counted() {
    let metrics = Metrics::default();
    let request_metrics = metrics.request(CHAT);
    for waited in [0, 700, 90_000] {
        request_metrics.queued(Duration::from_millis(waited));
    }
    request_metrics.sent(3);
    request_metrics.sent(2);
    assert_has(
        &metrics,
        &[
            "airlock_queue_seconds_count 3",
            "airlock_queue_seconds_sum 90.7",
            r#"airlock_queue_seconds_bucket{le="0.001"} 1"#,
            r#"airlock_queue_seconds_bucket{le="1.0"} 2"#,
            r#"airlock_queue_seconds_bucket{le="60.0"} 2"#,
            "airlock_chunks_total 5",
        ],
    );
}

#[test]
fn tokens_are_counted_by_turn_and_by_kind() {
    let metrics = Metrics::default();
    let request_metrics = metrics.request(CHAT);
    for input in [1_000, 70_000_000] {
        request_metrics.request_turn().record_usage(TokenCounts {
            input,
            cached: 600,
            output: 20,
            reasoning: 8,
        });
    }
    assert_has(
        &metrics,
        &[
            r#"gen_ai_client_token_usage_count{gen_ai_token_type="input"} 2"#,
            r#"gen_ai_client_token_usage_sum{gen_ai_token_type="input"} 70001000.0"#,
            r#"gen_ai_client_token_usage_bucket{le="256.0",gen_ai_token_type="input"} 0"#,
            r#"gen_ai_client_token_usage_bucket{le="1024.0",gen_ai_token_type="input"} 1"#,
            r#"gen_ai_client_token_usage_bucket{le="67108864.0",gen_ai_token_type="input"} 1"#,
            r#"gen_ai_client_token_usage_bucket{le="64.0",gen_ai_token_type="output"} 2"#,
            r#"airlock_tokens_total{kind="input"} 70001000"#,
            r#"airlock_tokens_total{kind="cached_input"} 1200"#,
            r#"airlock_tokens_total{kind="output"} 40"#,
            r#"airlock_tokens_total{kind="reasoning_output"} 16"#,
        ],
    );
}

#[test]
fn each_candidate_is_counted_once() {
    let metrics = Metrics::default();
    let request_metrics = metrics.request(CHAT);
    let mut fan_out = request_metrics.fanned_out(5);
    fan_out.settled(true);
    fan_out.settled(true);
    fan_out.settled(false);
    fan_out.decided();
    // A verdict on the turn that the first one requested.
    fan_out.decided();
    fan_out.answered(Instant::now());
    drop(fan_out);
    // The client leaves.
    let mut fan_out = request_metrics.fanned_out(3);
    fan_out.settled(true);
    drop(fan_out);
    // There is no answer.
    request_metrics.fanned_out(2).gave_up();
    assert_has(
        &metrics,
        &[
            "airlock_fan_out_candidates_count 3",
            "airlock_fan_out_candidates_sum 10.0",
            r#"airlock_fan_out_candidates_bucket{le="2.0"} 1"#,
            r#"airlock_fan_out_candidates_bucket{le="4.0"} 2"#,
            r#"airlock_fan_out_candidates_bucket{le="5.0"} 3"#,
            r#"airlock_candidates_total{outcome="answered"} 3"#,
            r#"airlock_candidates_total{outcome="failed"} 1"#,
            r#"airlock_candidates_total{outcome="stopped"} 6"#,
            "airlock_synthesis_seconds_count 1",
        ],
    );
}

#[test]
fn a_synthesis_is_timed_however_it_ends() {
    let metrics = Metrics::default();
    let request_metrics = metrics.request(CHAT);
    // The client leaves, or the policy fails.
    request_metrics.fanned_out(2).decided();
    // The panel gives up what it has begun.
    let mut fan_out = request_metrics.fanned_out(2);
    fan_out.decided();
    fan_out.gave_up();
    drop(fan_out);
    assert_has(&metrics, &["airlock_synthesis_seconds_count 2"]);
    // Nothing was begun.
    request_metrics.fanned_out(2).gave_up();
    drop(request_metrics.fanned_out(2));
    assert_has(&metrics, &["airlock_synthesis_seconds_count 2"]);
}

#[test]
fn the_process_is_exported() {
    let text = text(&Metrics::default());
    for name in [
        "process_cpu_seconds_total",
        "process_start_time_seconds",
        "process_resident_memory_bytes",
        "process_open_fds",
        "process_max_fds",
    ] {
        let mut lines = text.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let value: f64 = value.unwrap_or_default().parse().unwrap_or(-1.0);
        assert!(value >= 0.0, "no {name} in\n{text}");
    }
}
