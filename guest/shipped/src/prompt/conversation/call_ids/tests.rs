//! The identifiers of calls in a conversation.

use super::*;

/// The ids upstream of calls with these ids, each in a message of its own.
fn upstream(ids: &[&'static str]) -> Vec<String> {
    let mut known = CallIds::default();
    let assign = |(number, id): (usize, &&'static str)| {
        let generated = known.assign(&Cow::Borrowed(*id), number);
        generated.unwrap_or_else(|| (*id).to_owned())
    };
    ids.iter().enumerate().map(assign).collect()
}

#[test]
fn ids_that_the_api_accepts_are_unchanged() {
    let longest: &str = &"x".repeat(AT_MOST);
    let ids = [
        "call_1",
        "f:0",
        "functions.f:0",
        "~",
        longest.to_owned().leak(),
    ];
    assert_eq!(upstream(&ids), ids);
}

#[test]
fn other_ids_are_replaced_and_stay_distinct() {
    let beginning = "x".repeat(AT_MOST);
    let ids = ["a", "b", "bb"].map(|end| &*format!("{beginning}{end}").leak());
    let others = [
        "a\nb",
        "a b",
        "a\u{0}b",
        "\u{e9}",
        "\u{2028}",
        &*"y".repeat(1324).leak(),
    ];
    let ids = [&ids[..], &others].concat();
    let generated = upstream(&ids);
    assert_eq!(generated, upstream(&ids));
    for id in &generated {
        assert!(id.starts_with("call_") && is_taken_upstream(id), "{id}");
    }
    assert_eq!(BTreeSet::from_iter(&generated).len(), ids.len());
    assert_eq!(
        generated[3],
        "call_3409cbed263a1441a5827699869edad68b7c8872"
    );
}

#[test]
fn a_repeated_id_is_replaced_depending_on_earlier_calls_alone() {
    let ids = ["f:0", "f:0", "g", "f:0"];
    let all = upstream(&ids);
    assert_eq!((all[0].as_str(), all[2].as_str()), ("f:0", "g"));
    assert_eq!(BTreeSet::from_iter(&all).len(), 4);
    for end in 0..ids.len() {
        assert_eq!(upstream(&ids[..end]), all[..end]);
    }
    // Long ones that are repeated too.
    let long: &'static str = "z".repeat(65).leak();
    let all = upstream(&[long, long]);
    assert_ne!(all[0], all[1]);
}

#[test]
fn generated_ids_do_not_collide_with_the_clients() {
    let second: &'static str = generated_id("f:0", 1).leak();
    let third: &'static str = generated_id("f:0", 2).leak();
    for ids in [
        ["f:0", "f:0", second, third],
        [second, "f:0", "f:0", third],
        ["f:0", second, "f:0", third],
        ["f:0", "f:0", "f:0", second],
    ] {
        assert_eq!(BTreeSet::from_iter(upstream(&ids)).len(), 4, "{ids:?}");
    }
}

#[test]
fn the_latest_call_with_an_id_counts() {
    let mut known = CallIds::default();
    let id = Cow::Borrowed("f:0");
    assert_eq!(known.assign(&id, 0), None);
    assert_eq!(known.latest("f:0"), Some(0));
    assert!(known.assign(&id, 2).is_some());
    assert_eq!(known.latest("f:0"), Some(2));
    assert_eq!(known.latest("g"), None);
}
