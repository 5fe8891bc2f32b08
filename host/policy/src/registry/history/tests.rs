//! The history of releases.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

pub(in crate::registry) fn record(digest: &str) -> ReleaseRecord {
    ReleaseRecord {
        number: 0,
        name: "it".to_owned(),
        digest: digest.to_owned(),
        version: String::new(),
        world: "0.3.0-draft".to_owned(),
        size: 1,
        signed_by: None,
        loaded_at: 1,
    }
}

pub(in crate::registry) fn activation(record: &ReleaseRecord) -> Activation {
    Activation {
        at: 1,
        by: "me".to_owned(),
        reason: None,
        release: record.number,
        name: record.name.clone(),
        digest: record.digest.clone(),
        rollback: false,
    }
}

#[test]
fn a_number_is_never_given_twice() {
    let mut history = ReleaseHistory::default();
    let mut first = None;
    for number in 0..100 {
        let record = history.record(record(&format!("x{number}")));
        history.activate(activation(&record));
        first.get_or_insert(record);
    }
    // The activations name all of them, and not this one.
    let canary = history.record(record("canary"));
    history.activate(activation(&first.unwrap()));
    assert!(history.has_release(canary.number));
    assert_eq!(history.record(record("next")).number, canary.number + 1);
    for number in 0..500 {
        history.record(record(&format!("y{number}")));
    }
    assert!(history.releases.len() <= RELEASES + 1);
}

#[test]
fn a_rollback_returns_to_what_was_before_and_not_to_what_was_left() {
    let mut history = ReleaseHistory::default();
    let [a, b, c] = ["a", "b", "c"].map(|digest| history.record(record(digest)));
    let targets = |history: &ReleaseHistory, active: &ReleaseRecord| -> Vec<u64> {
        let targets = history.rollback_targets(active.number);
        targets.iter().map(|it| it.release).collect()
    };
    assert!(targets(&history, &a).is_empty());
    for it in [&a, &b, &b, &c] {
        history.activate(activation(it));
    }
    assert_eq!(targets(&history, &c), [b.number, a.number]);
    history.set_failed(b.number, true);
    assert_eq!(targets(&history, &c), [a.number]);
    history.set_failed(b.number, false);
    // A rollback never returns to the release that it leaves.
    history.activate(Activation {
        rollback: true,
        ..activation(&b)
    });
    assert_eq!(targets(&history, &b), [a.number]);
    history.activate(activation(&c));
    assert_eq!(targets(&history, &c), [b.number, a.number]);
}
