//! The model's reasoning, in parts.

use super::RetryFilter;
use airlock_types::wit::{EventKind, Reasoning};

/// The reasoning parts of a turn.
#[derive(Debug, Default)]
pub(super) struct ReasoningParts {
    pub(super) current: Option<ReasoningPart>,
    /// Parts emitted in the response in progress. A retry repeats as many.
    pub(super) emitted: u32,
    /// Repeated parts that are still to be skipped.
    pub(super) to_skip: u32,
    next: u32,
    /// The last item with deltas. Its completion adds nothing.
    streamed: Option<String>,
}

/// The part in progress, as Codex addresses it.
#[derive(Debug)]
pub(super) struct ReasoningPart {
    item: String,
    index: u32,
    raw: bool,
    /// The number of the part. None: it is a repetition.
    number: Option<u32>,
}

impl RetryFilter {
    /// Applies a piece of reasoning. As many parts as a retry repeats are skipped.
    pub(crate) fn reasoning(
        &mut self,
        item: &str,
        index: u32,
        raw: bool,
        text: &str,
        events: &mut Vec<EventKind>,
    ) {
        let parts = &mut self.reasoning;
        let same =
            |part: &&ReasoningPart| part.item == item && part.index == index && part.raw == raw;
        let (number, is_first) = match parts.current.as_ref().filter(same) {
            Some(part) => (part.number, false),
            None => (parts.begin(item, index, raw), true),
        };
        let Some(part) = number else { return };
        self.bytes += text.len();
        events.push(EventKind::Reasoning(Reasoning {
            part,
            raw,
            text: text.to_owned(),
            item: (is_first && !item.is_empty()).then(|| item.to_owned()),
        }));
    }

    /// Applies a completed reasoning item. Emits its summary if it had no deltas.
    pub(crate) fn reasoning_completed(
        &mut self,
        item: &str,
        summary: &[String],
        events: &mut Vec<EventKind>,
    ) {
        if self.reasoning.streamed.as_deref() == Some(item) {
            return;
        }
        for (index, text) in (0..).zip(summary) {
            self.reasoning(item, index, false, text, events);
        }
    }
}

impl ReasoningParts {
    /// The number of a new part. None: a retry repeats it.
    fn begin(&mut self, item: &str, index: u32, raw: bool) -> Option<u32> {
        let number = if self.to_skip > 0 {
            self.to_skip -= 1;
            None
        } else {
            self.emitted += 1;
            self.next += 1;
            Some(self.next - 1)
        };
        self.streamed = Some(item.to_owned());
        self.current = Some(ReasoningPart {
            item: item.to_owned(),
            index,
            raw,
            number,
        });
        number
    }
}
