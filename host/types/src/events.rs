//! Events that wait: their size in memory, and the joining of pieces that continue one another.

use std::collections::HashMap;

use crate::wit::{Event, EventKind};

/// Bytes that an event counts besides its text, so that many small events count, too.
pub const COST: usize = 128;

/// The most bytes of a joined text, so that no call into a policy carries a huge one.
const JOINED: usize = 256 << 10;

/// Bytes that a waiting event counts: its text and [`COST`].
pub fn cost(kind: &EventKind) -> usize {
    COST + size(kind)
}

/// Bytes of an event's text, or of Codex's notification.
pub fn size(kind: &EventKind) -> usize {
    match kind {
        EventKind::Text(text) => text.text.len(),
        EventKind::Reasoning(reasoning) => reasoning.text.len(),
        EventKind::Other(other) => other.method.len() + other.params.len(),
        EventKind::Usage(_)
        | EventKind::Restarted(_)
        | EventKind::Opened(_)
        | EventKind::Settled(_)
        | EventKind::Picked(_) => 0,
    }
}

/// Appends `next` to `last` if it continues the same message or the same part of the reasoning. Returns whether it did.
pub fn join(last: &mut EventKind, next: &EventKind) -> bool {
    match (last, next) {
        (EventKind::Text(last), EventKind::Text(next))
            if last.message == next.message && fits(&last.text, &next.text) =>
        {
            last.text.push_str(&next.text);
            true
        }
        (EventKind::Reasoning(last), EventKind::Reasoning(next))
            if last.part == next.part && last.raw == next.raw && fits(&last.text, &next.text) =>
        {
            last.text.push_str(&next.text);
            true
        }
        _ => false,
    }
}

fn fits(last: &str, next: &str) -> bool {
    last.len() + next.len() <= JOINED
}

/// Joins pieces that continue one another, source by source. Each source keeps its order; a joined piece moves to the position
/// of its first part.
pub fn compact(events: &mut Vec<Event>) {
    let mut last: HashMap<u32, usize> = HashMap::new();
    let mut compacted: Vec<Event> = Vec::new();
    for event in events.drain(..) {
        let earlier = last
            .get(&event.source)
            .and_then(|&at| compacted.get_mut(at));
        if earlier.is_some_and(|earlier| join(&mut earlier.kind, &event.kind)) {
            continue;
        }
        last.insert(event.source, compacted.len());
        compacted.push(event);
    }
    *events = compacted;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wit::Text;

    fn text_event(source: u32, message: u32, text: &str) -> Event {
        Event {
            source,
            at: 0,
            kind: EventKind::Text(Text {
                message,
                phase: None,
                text: text.to_owned(),
                item: None,
            }),
        }
    }

    #[test]
    fn each_source_keeps_its_order() {
        let opened = Event {
            source: 2,
            at: 0,
            kind: EventKind::Opened("m".to_owned()),
        };
        let mut events = vec![
            text_event(1, 0, "a"),
            opened.clone(),
            text_event(1, 0, "b"),
            text_event(2, 0, "x"),
            text_event(1, 1, "c"),
            text_event(2, 0, "y"),
            text_event(1, 0, "d"),
        ];
        compact(&mut events);
        let expected = [
            text_event(1, 0, "ab"),
            opened,
            text_event(2, 0, "xy"),
            text_event(1, 1, "c"),
            text_event(1, 0, "d"),
        ];
        assert_eq!(events, expected);
    }

    #[test]
    fn pieces_are_joined_only_to_a_size_that_one_call_can_carry() {
        let piece = "x".repeat(JOINED / 4);
        let mut events: Vec<Event> = (0..10).map(|_| text_event(1, 0, &piece)).collect();
        compact(&mut events);
        let sizes: Vec<usize> = events
            .iter()
            .map(|event| cost(&event.kind) - COST)
            .collect();
        assert_eq!(sizes, [JOINED, JOINED, JOINED / 2]);
    }
}
