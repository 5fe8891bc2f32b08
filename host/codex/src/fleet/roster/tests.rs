//! The choice among children.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;

#[derive(Debug)]
struct Fake {
    open: AtomicBool,
    turns: AtomicUsize,
}

impl PoolMember for Fake {
    fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }
    fn turns(&self) -> usize {
        self.turns.load(Ordering::Relaxed)
    }
}

fn child(turns: usize) -> Arc<Fake> {
    Arc::new(Fake {
        open: true.into(),
        turns: turns.into(),
    })
}

fn states(roster: &Roster<Fake>) -> Vec<(u64, WorkerState)> {
    let entries = roster.entries.iter();
    entries.map(|entry| (entry.number, entry.state)).collect()
}

#[test]
fn the_spare_is_started_after_the_serving_children() {
    let mut roster = Roster::new(2, true);
    assert_eq!(roster.missing(), 2);
    roster.starting = 2;
    assert_eq!(roster.missing(), 0);
    roster.starting = 1;
    roster.add(1, child(0));
    assert!(roster.settle().is_empty());
    assert_eq!(roster.missing(), 1);
    roster.starting = 0;
    roster.add(2, child(0));
    roster.add(3, child(0));
    roster.settle();
    assert_eq!(roster.missing(), 0);
    assert_eq!(
        states(&roster),
        [
            (1, WorkerState::Serving),
            (2, WorkerState::Serving),
            (3, WorkerState::Spare)
        ]
    );
}

#[test]
fn the_least_loaded_takes_the_turn() {
    let mut roster = Roster::new(3, false);
    for (number, turns) in [(1, 4), (2, 1), (3, 2)] {
        roster.add(number, child(turns));
    }
    roster.settle();
    assert_eq!(roster.least_loaded().unwrap().turns(), 1);
    roster.entries[1]
        .worker
        .open
        .store(false, Ordering::Relaxed);
    assert_eq!(roster.least_loaded().unwrap().turns(), 2);
}

#[test]
fn a_spare_replaces_a_child_that_has_ended() {
    let mut roster = Roster::new(1, true);
    roster.add(1, child(0));
    roster.settle();
    roster.add(2, child(0));
    roster.entries[0]
        .worker
        .open
        .store(false, Ordering::Relaxed);
    assert!(roster.least_loaded().is_none());
    roster.settle();
    assert!(roster.least_loaded().is_some());
    assert_eq!(roster.missing(), 1);
    roster.remove(1);
    assert_eq!(states(&roster), [(2, WorkerState::Serving)]);
}

#[test]
fn a_due_child_leaves_only_when_another_is_ready() {
    for spare in [true, false] {
        let mut roster = Roster::new(1, spare);
        roster.add(1, child(7));
        roster.settle();
        roster.entries[0].due = Some(ReplaceReason::Threads);
        assert!(roster.settle().is_empty());
        assert!(roster.least_loaded().is_some());
        assert_eq!(roster.missing(), 1 + usize::from(spare));
        roster.add(2, child(0));
        let leaving = roster.settle();
        assert_eq!(leaving.len(), 1);
        assert_eq!(
            (leaving[0].0.turns(), leaving[0].1),
            (7, ReplaceReason::Threads)
        );
        assert_eq!(
            states(&roster),
            [(1, WorkerState::Leaving), (2, WorkerState::Serving)]
        );
        assert_eq!(roster.missing(), usize::from(spare));
    }
}

#[test]
fn a_due_spare_leaves_at_once() {
    let mut roster = Roster::new(1, true);
    roster.add(1, child(0));
    roster.settle();
    roster.add(2, child(0));
    roster.entries[1].due = Some(ReplaceReason::Age);
    assert_eq!(roster.settle().len(), 1);
    assert_eq!(
        states(&roster),
        [(1, WorkerState::Serving), (2, WorkerState::Leaving)]
    );
    assert!(!roster.leave(2));
    assert!(roster.leave(1));
    assert!(roster.least_loaded().is_none());
}
