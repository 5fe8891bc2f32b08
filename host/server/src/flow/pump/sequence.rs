//! The sequence numbers of a stream's frames.

use airlock_types::wit::Frame;

/// Counts the numbered frames of one stream, from 0.
#[derive(Debug, Default)]
pub(in crate::flow) struct SequenceNumbers(u64);

impl SequenceNumbers {
    /// Inserts the next number into each frame that has an offset for one. The offsets have been checked.
    pub(in crate::flow) fn insert(&mut self, frames: &mut [Frame]) {
        for frame in frames {
            let offset = frame.number.and_then(|offset| usize::try_from(offset).ok());
            if let Some(offset) = offset.filter(|offset| frame.data.is_char_boundary(*offset)) {
                frame.data.insert_str(offset, &self.0.to_string());
                self.0 += 1;
            }
        }
    }

    /// The number of the next frame.
    pub(super) fn next(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(data: &str, number: Option<u32>) -> Frame {
        Frame {
            event: None,
            data: data.to_owned(),
            number,
        }
    }

    #[test]
    fn numbers_go_into_the_frames_that_have_an_offset() {
        let mut numbers = SequenceNumbers::default();
        let mut frames = [frame("{\"n\":}", Some(5)), frame("[DONE]", None)];
        numbers.insert(&mut frames);
        let mut more = [frame("\u{e9}", Some(2)), frame("", Some(0))];
        numbers.insert(&mut more);
        let written = frames.iter().chain(&more).map(|it| it.data.as_str());
        assert!(written.eq(["{\"n\":0}", "[DONE]", "\u{e9}1", "2"]));
        assert_eq!(numbers.next(), 3);
    }
}
