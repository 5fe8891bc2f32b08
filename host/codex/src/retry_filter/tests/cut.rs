//! Text that Codex cuts out of a message, and messages that it drops.

use super::*;

#[test]
fn text_that_was_cut_from_the_end_is_emitted_with_the_raw_message() {
    for completed in ["see ", "see"] {
        Harness::default()
            .delta("a", "see")
            .completed("a", completed)
            .written("a", "see <tag>this</tag>")
            .settle()
            .ended()
            .emits(match completed {
                "see " => &["0:see", "0: ", "0:<tag>this</tag>"],
                _ => &["0:see", "0: <tag>this</tag>"],
            });
    }
    Harness::default()
        .started("a")
        .completed("a", "")
        .written("a", "<tag>all")
        .emits(&["0:<tag>all"]);
}

#[test]
fn text_that_was_cut_before_emitted_text_voids_the_message() {
    Harness::default()
        .completed("a", "first")
        .delta("b", "one ")
        .delta("b", " two")
        .completed("b", "one  two")
        .written("b", "one <tag>x</tag> two<tag>y")
        .completed("c", "third")
        .emits(&[
            "0:first",
            "1:one ",
            "1: two",
            "void[1]",
            "2:one <tag>x</tag> two<tag>y",
            "3:third",
        ]);
    // Other messages follow: they are emitted again after it.
    Harness::default()
        .completed("a", "one")
        .completed("b", "two")
        .written("a", "<tag>one")
        .emits(&["0:one", "1:two", "void[0, 1]", "2:<tag>one", "3:two"]);
}

#[test]
fn a_raw_message_without_new_text_emits_nothing() {
    Harness::default()
        .written("injected", "a message of the history")
        .delta("a", "the same")
        .completed("a", "the same")
        .written("a", "the same")
        .delta("b", "streamed with a space ")
        .completed("b", "streamed with a space")
        .written("b", "streamed with a space")
        // The texts contradict each other: neither can be preferred.
        .delta("c", "four")
        .completed("c", "five!")
        .written("c", "five!")
        .emits(&["0:the same", "1:streamed with a space ", "2:four"]);
}

#[test]
fn cut_text_is_emitted_once_whatever_is_retried() {
    let cut = || {
        Harness::default()
            .delta("a", "one ")
            .completed("a", "one ")
            .written("a", "one <tag>")
    };
    // The repetition stops where Codex cuts, so it differs until the raw message arrives.
    cut()
        .retry()
        .delta("b", "one ")
        .completed("b", "one ")
        .written("b", "one <tag>")
        .settle()
        .ended()
        .emits(&["0:one ", "0:<tag>", "void[0]", "1:one ", "1:<tag>"]);
    // If the retry precedes the raw message, the repetition agrees.
    Harness::default()
        .delta("a", "one ")
        .completed("a", "one ")
        .retry()
        .delta("b", "one ")
        .completed("b", "one ")
        .written("b", "one <tag>")
        .settle()
        .ended()
        .emits(&["0:one ", "0:<tag>"]);
}

#[test]
fn a_message_that_is_never_completed_is_lost() {
    let lost = Harness::default;
    lost().ends(false, false);
    lost().started("a").ends(true, false);
    lost().started("a").settle().ends(true, false);
    lost().delta("a", "some").settle().ends(true, true);
    lost().completed("a", "one").started("b").ends(true, true);
    lost()
        .started("a")
        .completed("b", "two")
        .settle()
        .ends(true, true);
    lost().completed("a", "").settle().ends(false, false);
    lost()
        .delta("a", "some")
        .settle()
        .completed("a", "some")
        .ends(false, true);
    lost()
        .started("a")
        .settle()
        .completed("b", "next")
        .settle()
        .ends(true, true);
    // A retry has another message in its place.
    lost()
        .started("a")
        .retry()
        .completed("b", "x")
        .ends(false, true);
    lost()
        .delta("a", "one")
        .retry()
        .delta("b", "one")
        .completed("b", "one")
        .settle()
        .ends(false, true);
    lost()
        .delta("a", "one")
        .retry()
        .delta("b", "one two")
        .completed("b", "one two")
        .ends(false, true);
    lost()
        .delta("a", "one")
        .retry()
        .delta("b", "two")
        .completed("b", "two")
        .ends(false, true);
    lost()
        .delta("a", "one")
        .retry()
        .started("b")
        .settle()
        .ends(true, false);
    // A message that was emitted again stays lost.
    lost()
        .completed("a", "one")
        .written("a", "<tag>one")
        .settle()
        .ends(false, true);
}
