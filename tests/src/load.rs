//! A load: how many deltas a turn of the standalone fake has and when, and the timestamps in those deltas.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use memchr::memmem;

/// The deltas of a turn. A load is requested in the text of the turn's input, so every gateway passes it on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Deltas of the answer.
    pub deltas: usize,
    /// The interval between deltas. Zero: as fast as they can be written.
    pub every: Duration,
    /// Bytes of each delta, with its timestamp.
    pub bytes: usize,
}

/// The prefix of a load in a text.
const WORD: &[u8] = b"load ";

/// The prefix of a timestamp. Neither JSON syntax nor chunked encoding contains it.
const MARK: u8 = b'@';

/// Hexadecimal digits of a timestamp.
const DIGITS: usize = 16;

impl Default for Load {
    fn default() -> Self {
        Self {
            deltas: 20,
            every: Duration::ZERO,
            bytes: 24,
        }
    }
}

impl Load {
    /// This many deltas at this interval.
    pub fn new(deltas: usize, every: Duration) -> Self {
        Self {
            deltas,
            every,
            ..Self::default()
        }
    }

    /// The load as text: `load 200 5000 24`, the interval in microseconds.
    pub fn words(&self) -> String {
        format!(
            "load {} {} {}",
            self.deltas,
            self.every.as_micros(),
            self.bytes
        )
    }

    /// The last load in a text, if any.
    pub fn find(text: &[u8]) -> Option<Self> {
        let rest = &text[memmem::rfind(text, WORD)? + WORD.len()..];
        let mut numbers = rest
            .split(|byte| !byte.is_ascii_digit())
            .map(|digits| std::str::from_utf8(digits).ok()?.parse::<u64>().ok());
        let mut next = || numbers.next().flatten();
        Some(Self {
            deltas: usize::try_from(next()?).ok()?,
            every: Duration::from_micros(next()?),
            bytes: usize::try_from(next()?).ok()?,
        })
    }
}

/// Unix time in nanoseconds.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
}

/// Appends the current time as a timestamp for `Stamps`.
pub fn stamp(text: &mut Vec<u8>) {
    let now = now();
    text.push(MARK);
    for place in (0..DIGITS).rev() {
        let digit = (now >> (4 * place)) & 0xf;
        text.push(b"0123456789abcdef"[usize::try_from(digit).unwrap_or_default()]);
    }
}

/// Finds timestamps in chunks of a stream, also across chunk boundaries.
#[derive(Debug, Default)]
pub struct Stamps {
    /// The beginning of a timestamp at the end of the last chunk.
    cut: Vec<u8>,
}

impl Stamps {
    /// Calls `found` with each timestamp that ends in this chunk, in Unix nanoseconds.
    pub fn read(&mut self, mut piece: &[u8], mut found: impl FnMut(u64)) {
        if !self.cut.is_empty() {
            let missing = (1 + DIGITS - self.cut.len()).min(piece.len());
            self.cut.extend_from_slice(&piece[..missing]);
            piece = &piece[missing..];
            if self.cut.len() < 1 + DIGITS {
                return;
            }
            found_in(&self.cut, &mut found);
            self.cut.clear();
        }
        while let Some(at) = memchr::memchr(MARK, piece) {
            piece = &piece[at..];
            if piece.len() < 1 + DIGITS {
                self.cut.extend_from_slice(piece);
                return;
            }
            found_in(&piece[..=DIGITS], &mut found);
            piece = &piece[1 + DIGITS..];
        }
    }
}

fn found_in(stamp: &[u8], found: &mut impl FnMut(u64)) {
    let digits = std::str::from_utf8(&stamp[1..]).unwrap_or_default();
    if let Ok(at) = u64::from_str_radix(digits, 16) {
        found(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_is_found_in_the_words_that_ask_for_it() {
        let load = Load::new(200, Duration::from_millis(5));
        let text = format!("load 1 2 3, no: {}.", load.words());
        assert_eq!(Load::find(text.as_bytes()), Some(load));
        assert_eq!(Load::find(b"load of 3"), None);
        assert_eq!(Load::find(b"hi"), None);
    }

    #[test]
    fn stamps_are_found_wherever_a_stream_is_cut() {
        let before = now();
        let mut text = b"data: ".to_vec();
        stamp(&mut text);
        text.extend_from_slice(b"xx\n\n");
        stamp(&mut text);
        for cut in 0..text.len() {
            let (mut stamps, mut found) = (Stamps::default(), Vec::new());
            stamps.read(&text[..cut], |at| found.push(at));
            stamps.read(&text[cut..], |at| found.push(at));
            assert_eq!(found.len(), 2, "cut at {cut}");
            assert!(found.iter().all(|at| (before..=now()).contains(at)));
        }
    }
}
