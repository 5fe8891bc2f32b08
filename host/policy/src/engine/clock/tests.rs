//! Tests of the times at which the clock ticks and rests.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::mpsc;
use std::time::Duration;

use super::*;

const PATIENCE: Duration = Duration::from_secs(10);

/// A clock, and the receiver of its ticks.
fn clock() -> (Clock, mpsc::Receiver<()>, thread::JoinHandle<()>) {
    let (ticks, received) = mpsc::sync_channel(1 << 12);
    let shared = Arc::new(ClockState::default());
    let watched = Arc::downgrade(&shared);
    let thread = thread::Builder::new()
        .spawn(move || run(&watched, || ticks.try_send(()).is_ok()))
        .unwrap();
    let handle = Handle {
        shared,
        thread: Sleeper(thread.thread().clone()),
    };
    (Clock(Arc::new(handle)), received, thread)
}

/// Receives ticks until the clock rests. Returns their number.
fn runs_down(clock: &Clock, received: &mpsc::Receiver<()>) -> usize {
    let mut ticks = 0;
    while !clock.rests() {
        ticks += usize::from(received.recv_timeout(TICK).is_ok());
    }
    ticks
}

#[test]
fn it_rests_while_nothing_runs_and_ticks_as_long_as_something_does() {
    let (clock, received, thread) = clock();
    runs_down(&clock, &received);
    let running = clock.run();
    // More ticks than without a call.
    for _ in 0..REST * 3 {
        received.recv_timeout(PATIENCE).unwrap();
    }
    assert!(!clock.rests());
    drop(running);
    runs_down(&clock, &received);
    for _ in 0..100 {
        let running = clock.run();
        received.recv_timeout(PATIENCE).unwrap();
        drop(running);
    }
    drop(clock);
    thread.join().unwrap();
}

#[test]
fn its_thread_ends_with_its_last_handle() {
    let (clock, received, thread) = clock();
    runs_down(&clock, &received);
    let other = clock.clone();
    drop(clock);
    drop(other);
    thread.join().unwrap();
}
