//! Tests of the bounds, which hold whatever a policy says.

#![allow(clippy::unwrap_used, reason = "tests")]

use futures_util::FutureExt as _;

use super::*;

fn admission(turns: usize, queue: usize, queue_wait: Duration) -> Admission {
    Admission::new(&Limits {
        turns,
        queue,
        queue_wait,
        ..Limits::default()
    })
}

#[tokio::test]
async fn turns_run_up_to_the_limit_and_the_next_waits_for_one() {
    let admission = admission(2, 1, Duration::from_secs(60));
    let first = admission.permit().await.unwrap();
    let _second = admission.permit().await.unwrap();
    let mut third = Box::pin(admission.permit());
    assert!((&mut third).now_or_never().is_none());
    let load = admission.load();
    assert_eq!(
        (load.running, load.waiting, load.capacity, load.room),
        (2, 1, 2, 1)
    );
    drop(first);
    let _third = third.await.unwrap();
    assert_eq!(admission.load().waiting, 0);
}

#[tokio::test]
async fn a_full_line_is_refused_at_once() {
    let admission = admission(1, 1, Duration::from_secs(60));
    let _running = admission.permit().await.unwrap();
    let mut waiting = Box::pin(admission.permit());
    assert!((&mut waiting).now_or_never().is_none());
    let failure = admission.permit().now_or_never().unwrap().unwrap_err();
    assert_eq!(failure.problem.kind, ProblemKind::Overloaded);
    assert_eq!(failure.problem.code.as_deref(), Some("gateway_busy"));
    assert_eq!(failure.problem.retry_after_seconds, Some(10));
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_the_deadline() {
    let admission = admission(1, 4, Duration::from_secs(3));
    let _running = admission.permit().await.unwrap();
    let failure = admission.permit().await.unwrap_err();
    assert_eq!(failure.problem.retry_after_seconds, Some(3));
    assert_eq!(admission.load().waiting, 0);
}

#[tokio::test]
async fn who_leaves_the_line_makes_room() {
    let admission = admission(1, 1, Duration::from_secs(60));
    let _running = admission.permit().await.unwrap();
    let mut waiting = Box::pin(admission.permit());
    assert!((&mut waiting).now_or_never().is_none());
    assert_eq!(admission.load().waiting, 1);
    drop(waiting);
    assert_eq!(admission.load().waiting, 0);
}
