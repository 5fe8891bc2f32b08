//! The model's reasoning, part by part.

use super::RetryFilter;
use airlock_types::wit::{EventKind, Reasoning};

/// The parts that were told, by the numbers that Codex gives them.
#[derive(Debug, Default)]
pub(super) struct ReasoningParts {
    pub(super) current: Option<Part>,
    /// Parts told in the response in progress: a retry tells as many again.
    pub(super) told: u32,
    /// Parts still to pass over.
    pub(super) again: u32,
    next: u32,
    /// The last item that had deltas, whose completion brings nothing new.
    streamed: Option<String>,
}

/// The part of the reasoning in progress, as Codex addresses it.
#[derive(Debug)]
pub(super) struct Part {
    item: String,
    index: u32,
    raw: bool,
    /// None: it was told before.
    number: Option<u32>,
}

impl RetryFilter {
    /// A piece of reasoning. Parts that a retry tells again are passed over by their number.
    pub(crate) fn reasoning(
        &mut self,
        item: &str,
        index: u32,
        raw: bool,
        text: &str,
        events: &mut Vec<EventKind>,
    ) {
        let parts = &mut self.reasoning;
        let same = |part: &&Part| part.item == item && part.index == index && part.raw == raw;
        let number = match parts.current.as_ref().filter(same) {
            Some(part) => part.number,
            None => parts.begin(item, index, raw),
        };
        let Some(part) = number else { return };
        self.bytes += text.len();
        events.push(EventKind::Reasoning(Reasoning {
            part,
            raw,
            text: text.to_owned(),
        }));
    }

    /// A whole reasoning item: its summary is told if no delta was.
    pub(crate) fn reasoned(&mut self, item: &str, summary: &[String], events: &mut Vec<EventKind>) {
        if self.reasoning.streamed.as_deref() == Some(item) {
            return;
        }
        for (index, text) in (0..).zip(summary) {
            self.reasoning(item, index, false, text, events);
        }
    }
}

impl ReasoningParts {
    /// A new part's number; none if a retry tells it again.
    fn begin(&mut self, item: &str, index: u32, raw: bool) -> Option<u32> {
        let number = if self.again > 0 {
            self.again -= 1;
            None
        } else {
            self.told += 1;
            self.next += 1;
            Some(self.next - 1)
        };
        self.streamed = Some(item.to_owned());
        self.current = Some(Part {
            item: item.to_owned(),
            index,
            raw,
            number,
        });
        number
    }
}
