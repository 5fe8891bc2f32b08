//! Threads that are started ahead.
#![allow(clippy::unwrap_used, reason = "tests")]

use serde_json::json;

use super::*;

fn thread(id: &str) -> Option<ThreadStartResponse> {
    let sandbox = json!({"type": "readOnly"});
    let started =
        json!({"thread": {"id": id}, "model": "m", "approvalPolicy": "never", "sandbox": sandbox});
    Some(serde_json::from_value(started).unwrap())
}

fn take(warm_threads: &WarmThreads, kind: &str) -> Option<String> {
    let taken = warm_threads.take(kind.len(), &kind);
    taken.map(|thread| thread.thread.id)
}

fn put(warm_threads: &WarmThreads, kind: &str, started: Option<ThreadStartResponse>) {
    let fits = started.is_some();
    assert!(
        warm_threads
            .put(&to_raw_value(kind).unwrap(), started, fits)
            .is_none()
    );
}

fn next(warm_threads: &WarmThreads) -> String {
    match warm_threads.next(Instant::now()) {
        PrewarmAction::Start(kind) => format!("start {}", kind.get()),
        PrewarmAction::Unsubscribe(thread) => format!("unsubscribe {}", thread.thread.id),
        PrewarmAction::Wait(until) => format!("wait {}", until.is_some()),
    }
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_was_requested_twice_is_prewarmed() {
    let warm_threads = WarmThreads::new(2);
    assert_eq!(next(&warm_threads), "wait false");
    assert_eq!(take(&warm_threads, "a"), None);
    assert_eq!(next(&warm_threads), "wait true");
    assert_eq!(take(&warm_threads, "a"), None);
    assert_eq!(next(&warm_threads), "start \"a\"");
    put(&warm_threads, "a", thread("t1"));
    assert_eq!(next(&warm_threads), "wait true");
    assert_eq!(take(&warm_threads, "a").as_deref(), Some("t1"));
    // A burst: as many as are missed, up to the maximum.
    for _ in 0..5 {
        assert_eq!(take(&warm_threads, "a"), None);
    }
    for id in ["t2", "t3"] {
        assert_eq!(next(&warm_threads), "start \"a\"");
        put(&warm_threads, "a", thread(id));
    }
    assert_eq!(
        (warm_threads.len(), next(&warm_threads).as_str()),
        (2, "wait true")
    );
}

#[tokio::test(start_paused = true)]
async fn threads_that_are_not_requested_again_are_unsubscribed() {
    let warm_threads = WarmThreads::new(2);
    take(&warm_threads, "a");
    take(&warm_threads, "a");
    put(&warm_threads, "a", thread("t1"));
    tokio::time::advance(STALE).await;
    assert_eq!(next(&warm_threads), "unsubscribe t1");
    assert_eq!(next(&warm_threads), "wait false");
}

#[tokio::test(start_paused = true)]
async fn a_requested_kind_replaces_others() {
    let warm_threads = WarmThreads::new(1);
    take(&warm_threads, "a");
    take(&warm_threads, "a");
    put(&warm_threads, "a", thread("t1"));
    for _ in 0..2 {
        assert_eq!(take(&warm_threads, "b"), None);
    }
    assert_eq!(next(&warm_threads), "unsubscribe t1");
    assert_eq!(next(&warm_threads), "start \"b\"");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_prewarmed_if_switched_off_or_too_large() {
    for (warm_threads, kind) in [
        (WarmThreads::new(0), "a".to_owned()),
        (WarmThreads::new(4), "x".repeat(KIND_BYTES + 1)),
    ] {
        take(&warm_threads, &kind);
        take(&warm_threads, &kind);
        assert_eq!(next(&warm_threads), "wait false");
    }
}

#[tokio::test(start_paused = true)]
async fn requests_that_are_all_different_start_nothing_and_are_forgotten() {
    let warm_threads = WarmThreads::new(4);
    for number in 0..BUCKETS * 2 {
        assert_eq!(take(&warm_threads, &number.to_string()), None);
        assert_eq!(next(&warm_threads), "wait true");
    }
    assert_eq!(warm_threads.lock().len(), BUCKETS);
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_cannot_be_started_is_not_tried_again_by_itself() {
    let warm_threads = WarmThreads::new(4);
    take(&warm_threads, "a");
    take(&warm_threads, "a");
    put(&warm_threads, "a", None);
    assert_eq!(next(&warm_threads), "wait true");
}
