//! Tests of when the clock ticks, and when it rests.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::mpsc;
use std::time::Duration;

use super::*;

const PATIENCE: Duration = Duration::from_secs(10);

/// A clock whose ticks are heard.
fn clock() -> (Clock, mpsc::Receiver<()>, thread::JoinHandle<()>) {
    let (ticks, heard) = mpsc::sync_channel(1 << 12);
    let shared = Arc::new(ClockState::default());
    let watched = Arc::downgrade(&shared);
    let thread = thread::Builder::new()
        .spawn(move || run(&watched, || ticks.try_send(()).is_ok()))
        .unwrap();
    let handle = Handle {
        shared,
        thread: Sleeper(thread.thread().clone()),
    };
    (Clock(Arc::new(handle)), heard, thread)
}

/// Hears ticks until the clock rests.
fn runs_down(clock: &Clock, heard: &mpsc::Receiver<()>) -> usize {
    let mut ticks = 0;
    while !clock.rests() {
        ticks += usize::from(heard.recv_timeout(TICK).is_ok());
    }
    ticks
}

#[test]
fn it_rests_while_nothing_runs_and_ticks_as_long_as_something_does() {
    let (clock, heard, thread) = clock();
    runs_down(&clock, &heard);
    let running = clock.run();
    // More than it would tick by itself.
    for _ in 0..REST * 3 {
        heard.recv_timeout(PATIENCE).unwrap();
    }
    assert!(!clock.rests());
    drop(running);
    runs_down(&clock, &heard);
    for _ in 0..100 {
        let running = clock.run();
        heard.recv_timeout(PATIENCE).unwrap();
        drop(running);
    }
    drop(clock);
    thread.join().unwrap();
}

#[test]
fn its_thread_ends_with_the_last_hand_on_it() {
    let (clock, heard, thread) = clock();
    runs_down(&clock, &heard);
    let other = clock.clone();
    drop(clock);
    drop(other);
    thread.join().unwrap();
}
