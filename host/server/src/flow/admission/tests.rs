//! Tests of the limits that hold whatever the policy decides.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use futures_util::FutureExt as _;

use super::*;
use crate::exporter::Scrape;
use airlock_codex::FleetReport;
use airlock_metrics::Metrics;

const CHAT: &str = "/v1/chat/completions";

fn admission(turns: usize, queue: usize, queue_wait: Duration) -> Admission {
    let limits = ServerLimits {
        queue,
        queue_wait,
        ..ServerLimits::default()
    };
    Admission::new(&limits, turns)
}

/// Permits of a request whose metrics are ignored.
async fn permits(admission: &Admission, wanted: usize) -> Result<Vec<Permit>, Failure> {
    let request_metrics = Metrics::default().request(CHAT);
    admission.permits(wanted, &request_metrics).await
}

#[tokio::test]
async fn turns_run_up_to_the_limit_and_the_next_waits_for_one() {
    let admission = admission(2, 1, Duration::from_secs(60));
    let first = permits(&admission, 1).await.unwrap();
    let _second = permits(&admission, 1).await.unwrap();
    let mut third = Box::pin(permits(&admission, 1));
    assert!((&mut third).now_or_never().is_none());
    let load = admission.load(1);
    assert_eq!(
        (load.running, load.waiting, load.capacity, load.room),
        (2, 1, 2, 1)
    );
    drop(first);
    let _third = third.await.unwrap();
    assert_eq!(admission.load(1).waiting, 0);
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let admission = admission(1, 1, Duration::from_secs(60));
    let _running = permits(&admission, 1).await.unwrap();
    let mut waiting = Box::pin(permits(&admission, 1));
    assert!((&mut waiting).now_or_never().is_none());
    let failure = permits(&admission, 1).now_or_never().unwrap().unwrap_err();
    assert_eq!(failure.problem.kind, ProblemKind::Overloaded);
    assert_eq!(failure.problem.code.as_deref(), Some("gateway_busy"));
    assert_eq!(failure.problem.retry_after_seconds, Some(10));
}

#[tokio::test(start_paused = true)]
async fn no_request_waits_longer_than_the_deadline() {
    let admission = admission(1, 4, Duration::from_secs(3));
    let _running = permits(&admission, 1).await.unwrap();
    let failure = permits(&admission, 1).await.unwrap_err();
    assert_eq!(failure.problem.retry_after_seconds, Some(3));
    assert_eq!(admission.load(1).waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn the_queue_reports_how_long_its_first_has_waited() {
    let admission = admission(1, 4, Duration::from_secs(60));
    assert_eq!(admission.load(1).longest_wait, 0);
    let _running = permits(&admission, 1).await.unwrap();
    let mut first = Box::pin(permits(&admission, 1));
    assert!((&mut first).now_or_never().is_none());
    tokio::time::advance(Duration::from_millis(700)).await;
    let mut second = Box::pin(permits(&admission, 1));
    assert!((&mut second).now_or_never().is_none());
    tokio::time::advance(Duration::from_millis(300)).await;
    assert_eq!(admission.load(1).longest_wait, 1000);
    drop(first);
    assert_eq!(admission.load(1).longest_wait, 300);
}

#[tokio::test(start_paused = true)]
async fn queue_time_is_counted_for_requests_that_leave_too() {
    let admission = admission(1, 1, Duration::from_secs(60));
    let metrics = Metrics::default();
    let request_metrics = metrics.request(CHAT);
    let running = admission.permits(1, &request_metrics).await.unwrap();
    let mut left = Box::pin(admission.permits(1, &request_metrics));
    assert!((&mut left).now_or_never().is_none());
    // A refused request was not in the queue.
    assert!(admission.permits(1, &request_metrics).await.is_err());
    tokio::time::advance(Duration::from_millis(200)).await;
    drop(left);
    let mut next = Box::pin(admission.permits(1, &request_metrics));
    assert!((&mut next).now_or_never().is_none());
    tokio::time::advance(Duration::from_millis(500)).await;
    drop(running);
    next.await.unwrap();
    let scrape = Scrape {
        metrics,
        turns: Occupancy::default(),
        fleet: FleetReport::default(),
        shadow: None,
        store: None,
        background_responses: 0,
        store_failures: 0,
        log_bytes: 0,
        lost_lines: 0,
    };
    let text = scrape.text().unwrap();
    for line in [
        "airlock_queue_seconds_count 3",
        "airlock_queue_seconds_sum 0.7",
        r#"airlock_queue_seconds_bucket{le="0.001"} 1"#,
    ] {
        assert!(text.lines().any(|it| it == line), "no {line} in\n{text}");
    }
}

#[tokio::test]
async fn a_request_that_leaves_the_queue_makes_room() {
    let admission = admission(1, 1, Duration::from_secs(60));
    let _running = permits(&admission, 1).await.unwrap();
    let mut waiting = Box::pin(permits(&admission, 1));
    assert!((&mut waiting).now_or_never().is_none());
    assert_eq!(admission.load(1).waiting, 1);
    drop(waiting);
    assert_eq!(admission.load(1).waiting, 0);
}

#[tokio::test]
async fn permits_come_together_and_a_request_for_many_is_not_overtaken() {
    let admission = admission(4, 8, Duration::from_secs(60));
    let mut running = permits(&admission, 3).await.unwrap();
    assert_eq!(admission.load(2).wanted, 2);
    let mut many = Box::pin(permits(&admission, 4));
    assert!((&mut many).now_or_never().is_none());
    // One permit is free, but an earlier request waits for it.
    let mut one = Box::pin(permits(&admission, 1));
    assert!((&mut one).now_or_never().is_none());
    running.clear();
    let many = many.now_or_never().unwrap().unwrap();
    assert_eq!(many.len(), 4);
    assert!((&mut one).now_or_never().is_none());
    drop(many);
    one.now_or_never().unwrap().unwrap();
}

#[tokio::test]
async fn a_permit_is_free_once_all_clones_are_dropped() {
    let admission = admission(1, 0, Duration::from_secs(60));
    let mut held = permits(&admission, 1).await.unwrap();
    let shared = held.pop().unwrap();
    let further = Arc::clone(&shared);
    drop(shared);
    assert!(permits(&admission, 1).now_or_never().unwrap().is_err());
    drop(further);
    assert!(permits(&admission, 1).now_or_never().unwrap().is_ok());
}

#[tokio::test]
async fn more_turns_than_the_limit_are_refused_at_once() {
    let admission = admission(2, 8, Duration::from_secs(60));
    let failure = permits(&admission, 3).now_or_never().unwrap().unwrap_err();
    assert_eq!(failure.problem.code.as_deref(), Some("too_many_turns"));
    assert_eq!(failure.problem.retry_after_seconds, None);
}
