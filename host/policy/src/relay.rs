//! The relay: frames that the host writes itself while a text continues, by the pattern that the policy offers for it.
//!
//! A call into a sandbox with cold caches costs more than everything else that is done for a piece of text. The policy still
//! decides every byte: the pattern has what stands around the text, and any other event goes to the policy again.

use std::mem;

use airlock_types::events;
use airlock_types::wit::{Event, EventKind, Frame, Pattern, Phase, Reasoning, Text};

/// The most bytes of relayed events before they are reported to the reply.
const UNREPORTED: usize = 8 << 10;

/// The relay of one reply.
#[derive(Debug, Default)]
pub(super) struct Relay {
    allowed: bool,
    /// The text that the last event belongs to.
    strand: Option<Strand>,
    /// Whether the last piece that was fed is empty: a policy need not have a pattern after one.
    silent: bool,
    /// Whether this strand's pattern was requested.
    requested: bool,
    /// The pattern of the strand.
    pattern: Option<Pattern>,
    /// Relayed events that the reply has yet to receive, joined where one event can hold them.
    unreported: Vec<Event>,
}

/// Pieces that continue one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strand {
    Text(u32, u32, Option<Phase>),
    Reasoning(u32, u32, bool),
}

impl Strand {
    fn of(event: &Event) -> Option<Self> {
        match &event.kind {
            EventKind::Text(it) => Some(Self::Text(event.source, it.message, it.phase)),
            EventKind::Reasoning(it) => Some(Self::Reasoning(event.source, it.part, it.raw)),
            EventKind::Opened(_)
            | EventKind::Usage(_)
            | EventKind::Restarted(_)
            | EventKind::Other(_)
            | EventKind::Settled(_)
            | EventKind::Picked(_) => None,
        }
    }
}

impl Relay {
    /// Allows patterns to be requested from now on.
    pub(super) fn allow(&mut self) {
        self.allowed = true;
    }

    /// Whether the pattern at hand covers all of these events.
    pub(super) fn covers(&self, events: &[Event]) -> bool {
        self.pattern_of(events).is_some()
    }

    /// The frame of these events by the pattern. `None` if it does not cover all of them.
    pub(super) fn frame(&mut self, events: &[Event]) -> Option<Frame> {
        let pattern = self.pattern_of(events)?;
        let frame = match events {
            [event] => frame_of(pattern, piece(event)),
            events => frame_of(pattern, &events.iter().map(piece).collect::<String>()),
        }?;
        if pattern.report {
            for event in events {
                self.keep(event);
            }
        }
        Some(frame)
    }

    /// Takes the unreported events once they exceed [`UNREPORTED`] bytes. Mostly empty.
    pub(super) fn due(&mut self) -> Vec<Event> {
        let waiting = self.unreported.iter();
        let bytes: usize = waiting.map(|event| events::cost(&event.kind)).sum();
        if bytes > UNREPORTED {
            self.rest()
        } else {
            Vec::new()
        }
    }

    /// Takes all unreported events, which the reply must receive before anything else.
    pub(super) fn rest(&mut self) -> Vec<Event> {
        mem::take(&mut self.unreported)
    }

    /// Whether to request a pattern now: once for each text, as soon as it continues.
    pub(super) fn needs_pattern(&mut self, events: &[Event]) -> bool {
        let needed = self.allowed && !self.requested && !self.silent && self.goes_on(events);
        self.requested |= needed;
        needed
    }

    /// Records that these events were fed.
    pub(super) fn fed(&mut self, events: &[Event]) {
        let Some(last) = events.last() else {
            return;
        };
        let strand = Strand::of(last);
        if strand.is_none() || !events.iter().all(|event| Strand::of(event) == self.strand) {
            (self.strand, self.pattern, self.requested) = (strand, None, false);
        }
        self.silent = piece(last).is_empty();
    }

    /// Sets the pattern of the strand.
    pub(super) fn follow(&mut self, pattern: Option<Pattern>) {
        self.pattern = pattern;
    }

    fn pattern_of(&self, events: &[Event]) -> Option<&Pattern> {
        self.pattern.as_ref().filter(|_| self.goes_on(events))
    }

    /// Whether all of these events continue the strand, and not all are empty: frames of empty pieces are up to the policy.
    fn goes_on(&self, events: &[Event]) -> bool {
        self.strand.is_some()
            && events.iter().all(|event| Strand::of(event) == self.strand)
            && events.iter().any(|event| !piece(event).is_empty())
    }

    fn keep(&mut self, event: &Event) {
        let last = self.unreported.last_mut();
        if !last.is_some_and(|last| events::join(&mut last.kind, &event.kind)) {
            self.unreported.push(event.clone());
        }
    }
}

/// The frame of a text by this pattern.
fn frame_of(pattern: &Pattern, text: &str) -> Option<Frame> {
    let data = airlock_wire::sse::piece(&pattern.before, text, &pattern.after)?;
    let start = data.len() - pattern.after.len();
    let number = pattern.number.map(|offset| offset as usize + start);
    Some(Frame {
        event: pattern.event.clone(),
        number: number.and_then(|number| u32::try_from(number).ok()),
        data,
    })
}

/// The text of a piece.
fn piece(event: &Event) -> &str {
    match &event.kind {
        EventKind::Text(Text { text, .. }) | EventKind::Reasoning(Reasoning { text, .. }) => text,
        EventKind::Opened(_)
        | EventKind::Usage(_)
        | EventKind::Restarted(_)
        | EventKind::Other(_)
        | EventKind::Settled(_)
        | EventKind::Picked(_) => "",
    }
}

#[cfg(test)]
mod tests;
