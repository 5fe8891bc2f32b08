//! Frames that the host writes itself while a text is told piece by piece, by the pattern that the policy gives for it.
//!
//! A call into a sandbox that has cooled down costs more than all else that is done for a piece. The policy still
//! decides every byte: it says what stands around a text, and is called again as soon as anything else happens.

use std::mem;

use airlock_types::events;
use airlock_types::wit::{Event, EventKind, Frame, Pattern, Phase, Reasoning, Text};

/// Bytes of what was told without the reply, up to which its report waits.
const UNREPORTED: usize = 8 << 10;

/// What one reply is at.
#[derive(Debug, Default)]
pub(super) struct Relay {
    allowed: bool,
    /// What was told last, if it may go on.
    strand: Option<Strand>,
    /// What was fed last of it is empty: a policy need not know where more of it goes.
    silent: bool,
    /// The policy was asked about this strand.
    requested: bool,
    /// How more of the strand is told. Only where there is one.
    pattern: Option<Pattern>,
    /// What the reply has yet to hear of, joined where one event can hold it.
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
    /// From now on patterns may be asked for.
    pub(super) fn allow(&mut self) {
        self.allowed = true;
    }

    /// Whether these events become a frame without a call.
    pub(super) fn covers(&self, events: &[Event]) -> bool {
        self.pattern_of(events).is_some()
    }

    /// The frame that these events become, if all of them go on with what there is a pattern for.
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

    /// What the reply must hear of before more is told, because it has become much. Mostly nothing.
    pub(super) fn due(&mut self) -> Vec<Event> {
        let waiting = self.unreported.iter();
        let bytes: usize = waiting.map(|event| events::cost(&event.kind)).sum();
        if bytes > UNREPORTED {
            self.rest()
        } else {
            Vec::new()
        }
    }

    /// All that the reply must hear of before anything else.
    pub(super) fn rest(&mut self) -> Vec<Event> {
        mem::take(&mut self.unreported)
    }

    /// Whether to ask how these events are told: as soon as a text goes on, once for each.
    pub(super) fn needs_pattern(&mut self, events: &[Event]) -> bool {
        let needed = self.allowed && !self.requested && !self.silent && self.goes_on(events);
        self.requested |= needed;
        needed
    }

    /// These events were fed.
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

    /// What comes is told so.
    pub(super) fn follow(&mut self, pattern: Option<Pattern>) {
        self.pattern = pattern;
    }

    fn pattern_of(&self, events: &[Event]) -> Option<&Pattern> {
        self.pattern.as_ref().filter(|_| self.goes_on(events))
    }

    /// Whether all of these continue the strand, and say something: what is empty policies may tell as they like.
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
    Some(Frame {
        event: pattern.event.clone(),
        data: airlock_wire::sse::piece(&pattern.before, text, &pattern.after)?,
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
