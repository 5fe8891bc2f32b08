//! Finds the client's stop sequences in a text that arrives in pieces.
//!
//! Each sequence is matched by its Knuth–Morris–Pratt automaton, byte by byte, so the time is linear in the text however
//! it is cut. The match that ends first wins; of those that end together, the one that begins first.

/// Matches stop sequences across pieces. Text that may be the beginning of a sequence is held back.
#[derive(Debug)]
pub(super) struct StopMatcher {
    sequences: Vec<SequenceAutomaton>,
    /// The text that is held back: the longest suffix of the text that begins a sequence.
    held: String,
    /// Bytes of the text since the last `restart`.
    pushed: usize,
    /// Of them, bytes that were released.
    released: usize,
    /// The sequence that the text has reached.
    matched: Option<String>,
}

/// The automaton of one sequence.
#[derive(Debug)]
struct SequenceAutomaton {
    sequence: String,
    /// For each prefix, by its length less one: the bytes of its longest proper suffix that is a prefix, too.
    fallbacks: Vec<usize>,
    /// Bytes of the sequence with which the text so far ends.
    matched: usize,
}

impl StopMatcher {
    /// A matcher of these sequences. None if there is none that is not empty.
    pub(super) fn new(sequences: &[String]) -> Option<Self> {
        let sequences = sequences.iter().filter(|sequence| !sequence.is_empty());
        let sequences: Vec<SequenceAutomaton> = sequences
            .map(|sequence| SequenceAutomaton::new(sequence))
            .collect();
        (!sequences.is_empty()).then_some(Self {
            sequences,
            held: String::new(),
            pushed: 0,
            released: 0,
            matched: None,
        })
    }

    /// Appends a piece of the text, and returns the text that no sequence can contain any more. After a match, that is
    /// the text before the sequence; later pieces are dropped.
    pub(super) fn push(&mut self, piece: &str) -> String {
        self.pushed += piece.len();
        if self.matched.is_some() {
            return String::new();
        }
        let length = self.held.len();
        self.held.push_str(piece);
        for (position, byte) in piece.bytes().enumerate() {
            let complete = self
                .sequences
                .iter_mut()
                .filter_map(|sequence| sequence.advance(byte).then_some(&sequence.sequence));
            if let Some(sequence) = complete.max_by_key(|sequence| sequence.len()) {
                let start = (length + position + 1).saturating_sub(sequence.len());
                self.matched = Some(sequence.clone());
                self.held.truncate(start);
                return self.release(start);
            }
        }
        let begun = self.sequences.iter().map(|sequence| sequence.matched).max();
        let end = self.held.len().saturating_sub(begun.unwrap_or_default());
        self.release(end)
    }

    /// Ends the text, and returns what was held back of it. The next piece begins another text, in which nothing of this
    /// one is matched.
    pub(super) fn restart(&mut self) -> String {
        for sequence in &mut self.sequences {
            sequence.matched = 0;
        }
        (self.pushed, self.released) = (0, 0);
        std::mem::take(&mut self.held)
    }

    /// The sequence that the text has reached.
    pub(super) fn matched(&self) -> Option<&str> {
        self.matched.as_deref()
    }

    /// Bytes at the end of the text that were not released, dropped ones among them.
    pub(super) fn excess(&self) -> usize {
        self.pushed.saturating_sub(self.released)
    }

    /// Releases the first bytes of what is held.
    fn release(&mut self, end: usize) -> String {
        let rest = self.held.split_off(end);
        self.released += end;
        std::mem::replace(&mut self.held, rest)
    }
}

impl SequenceAutomaton {
    fn new(sequence: &str) -> Self {
        let mut automaton = Self {
            sequence: sequence.to_owned(),
            fallbacks: Vec::with_capacity(sequence.len()),
            matched: 0,
        };
        for (index, byte) in sequence.bytes().enumerate() {
            // The sequence is matched against its own rest, with the fallbacks of shorter prefixes.
            if index > 0 {
                automaton.step(byte);
            }
            automaton.fallbacks.push(automaton.matched);
        }
        automaton.matched = 0;
        automaton
    }

    /// Matches the next byte of the text. Whether the text now ends with the sequence.
    fn advance(&mut self, byte: u8) -> bool {
        self.step(byte);
        self.matched == self.sequence.len()
    }

    /// Sets `matched` to the longest prefix with which the text ends after this byte.
    fn step(&mut self, byte: u8) {
        loop {
            if self.sequence.as_bytes().get(self.matched) == Some(&byte) {
                self.matched += 1;
                return;
            }
            if self.matched == 0 {
                return;
            }
            let fallback = self.fallbacks.get(self.matched - 1);
            self.matched = fallback.copied().unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests;
