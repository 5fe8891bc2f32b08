//! The output of the filter when the model's stream breaks.
#![allow(clippy::panic, reason = "tests")]

mod cut; // text that Codex cuts, and messages that it drops

use super::*;

/// A filter and its output, with pieces of the same message joined.
#[derive(Default)]
struct Harness {
    filter: RetryFilter,
    out: Vec<String>,
}

impl Harness {
    fn with(mut self, act: impl FnOnce(&mut RetryFilter, &mut Vec<EventKind>)) -> Self {
        let mut events = Vec::new();
        act(&mut self.filter, &mut events);
        for event in events {
            self.out.push(match event {
                EventKind::Text(text) => format!("{}:{}", text.message, text.text),
                EventKind::Reasoning(part) => format!("r{}:{}", part.part, part.text),
                EventKind::Restarted(void) => format!("void{void:?}"),
                other => panic!("unexpected {other:?}"),
            });
        }
        self
    }

    fn started(self, item: &str) -> Self {
        self.with(|t, out| t.started(item, None, out))
    }
    fn delta(self, item: &str, text: &str) -> Self {
        self.with(|t, out| t.delta(item, text, out))
    }
    fn completed(self, item: &str, text: &str) -> Self {
        self.with(|t, out| t.completed(item, None, text, out))
    }
    fn written(self, item: &str, text: &str) -> Self {
        self.with(|t, out| t.raw_message(item, text, out))
    }
    fn reasoning(self, item: &str, index: u32, text: &str) -> Self {
        self.with(|t, out| t.reasoning(item, index, false, text, out))
    }
    fn retry(self) -> Self {
        self.with(|t, _| t.retry())
    }
    fn settle(self) -> Self {
        self.with(RetryFilter::settle)
    }
    fn ended(self) -> Self {
        self.with(RetryFilter::check_repeated)
    }
    fn emits(self, expected: &[&str]) {
        assert_eq!(self.out, expected);
    }
    /// Whether a message was lost, and whether any had text.
    fn ends(self, lost: bool, text: bool) {
        let filter = &self.filter;
        let ended = (filter.has_lost_a_message(), filter.has_text());
        assert_eq!(ended, (lost, text), "{:?}", self.out);
    }
}

#[test]
fn deltas_are_emitted_once_and_the_completion_adds_the_rest() {
    Harness::default()
        .started("a")
        .delta("a", "one ")
        .delta("a", "two")
        .completed("a", "one two three")
        .emits(&["0:one ", "0:two", "0: three"]);
}

#[test]
fn a_message_without_deltas_is_emitted_whole() {
    Harness::default()
        .completed("a", "whole")
        .completed("b", "")
        .emits(&["0:whole"]);
}

#[test]
fn several_messages_keep_their_order_and_numbers() {
    Harness::default()
        .delta("a", "let me see")
        .completed("a", "let me see")
        .started("b")
        .delta("b", "42")
        .completed("b", "42")
        .emits(&["0:let me see", "1:42"]);
}

#[test]
fn a_retry_that_agrees_emits_only_new_text() {
    Harness::default()
        .delta("a", "one two")
        .retry()
        .started("b")
        .delta("b", "one")
        .delta("b", " two th")
        .delta("b", "ree")
        .completed("b", "one two three!")
        .settle()
        .emits(&["0:one two", "0: th", "0:ree", "0:!"]);
}

#[test]
fn a_retry_after_a_whole_message_emits_nothing_twice() {
    Harness::default()
        .delta("a", "same")
        .completed("a", "same")
        .retry()
        .delta("b", "sa")
        .completed("b", "same")
        .settle()
        .ended()
        .emits(&["0:same"]);
}

#[test]
fn a_retry_may_go_on_with_a_further_message() {
    Harness::default()
        .completed("a", "first")
        .retry()
        .completed("b", "first")
        .delta("c", "second")
        .completed("c", "second")
        .emits(&["0:first", "1:second"]);
}

#[test]
fn a_retry_that_differs_voids_the_emitted_text() {
    Harness::default()
        .delta("a", "the answer is 4")
        .retry()
        .delta("b", "the answer ")
        .delta("b", "was 5")
        .completed("b", "the answer was 5")
        .emits(&["0:the answer is 4", "void[0]", "1:the answer ", "1:was 5"]);
}

#[test]
fn a_retry_that_differs_in_its_second_message_voids_both() {
    Harness::default()
        .completed("a", "plan")
        .delta("b", "yes")
        .retry()
        .completed("c", "plan")
        .delta("d", "no")
        .emits(&["0:plan", "1:yes", "void[0, 1]", "2:plan", "3:no"]);
}

#[test]
fn a_message_that_a_retry_repeats_before_it_differs_is_not_lost() {
    Harness::default()
        .completed("a", "plan")
        .delta("b", "yes")
        .retry()
        .completed("c", "plan")
        .delta("d", "no")
        .completed("d", "no")
        .ended()
        .ends(false, true);
    Harness::default()
        .completed("a", "first")
        .completed("b", "second")
        .retry()
        .completed("c", "first")
        .ended()
        .ends(false, true);
}

#[test]
fn a_retry_that_is_shorter_differs() {
    Harness::default()
        .delta("a", "a long answer")
        .retry()
        .completed("b", "a long")
        .emits(&["0:a long answer", "void[0]", "1:a long"]);
    Harness::default()
        .completed("a", "first")
        .completed("b", "second")
        .retry()
        .completed("c", "first")
        .ended()
        .emits(&["0:first", "1:second", "void[0, 1]", "2:first"]);
}

#[test]
fn a_second_retry_begins_again() {
    Harness::default()
        .delta("a", "one two three")
        .retry()
        .delta("b", "one ")
        .retry()
        .delta("c", "one two ")
        .delta("c", "three four")
        .emits(&["0:one two three", "0: four"]);
}

#[test]
fn a_retry_before_any_text_changes_nothing() {
    Harness::default()
        .started("a")
        .retry()
        .delta("b", "hi")
        .emits(&["1:hi"]);
}

#[test]
fn complete_responses_are_not_repeated() {
    Harness::default()
        .completed("a", "first")
        .settle()
        .delta("b", "sec")
        .retry()
        .delta("c", "second")
        .emits(&["0:first", "1:sec", "1:ond"]);
}

#[test]
fn a_message_may_complete_after_its_response_did() {
    Harness::default()
        .delta("a", "Hello")
        .settle()
        .completed("a", "Hello.")
        .settle()
        .completed("b", "Bye.")
        .emits(&["0:Hello", "0:.", "1:Bye."]);
}

#[test]
fn reasoning_is_emitted_in_parts_and_not_again_after_a_retry() {
    Harness::default()
        .reasoning("r", 0, "a")
        .reasoning("r", 0, "b")
        .reasoning("r", 1, "c")
        .with(|t, out| t.reasoning_completed("r", &["ab".to_owned(), "c".to_owned()], out))
        .retry()
        .reasoning("s", 0, "x")
        .reasoning("s", 0, "y")
        .reasoning("s", 1, "z")
        .reasoning("s", 2, "new")
        .with(|t, out| t.reasoning_completed("u", &["whole".to_owned()], out))
        .emits(&["r0:a", "r0:b", "r1:c", "r2:new", "r3:whole"]);
}

#[test]
fn text_that_is_cut_inside_a_character_is_not_possible() {
    // Deltas are whole characters, so each position is a boundary.
    Harness::default()
        .delta("a", "é😀")
        .retry()
        .delta("b", "é")
        .delta("b", "😀ü")
        .emits(&["0:é😀", "0:ü"]);
}
