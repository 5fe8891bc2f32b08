//! Formats texts for a model: each between fences that it cannot forge, and truncated so that all fit.

use super::random::SeededRandom;

/// The most characters of one turn's input, with the fences. Codex (0.169) accepts 1,048,576.
pub(super) const CHARACTERS_AT_MOST: usize = 1_000_000;
/// The most characters of a truncation mark.
const MARK_AT_MOST: usize = 48;
/// The most characters of a fence's two lines besides name and tag.
const FENCE_AT_MOST: usize = 40;

/// A text, or an excerpt of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Excerpt<'a> {
    pub(super) text: &'a str,
    /// Where its middle was removed, in bytes of `text`.
    pub(super) gap: Option<usize>,
    /// The length of the whole, in characters.
    pub(super) length: usize,
}

impl<'a> Excerpt<'a> {
    /// A complete text.
    pub(super) fn whole(text: &'a str, length: usize) -> Self {
        Self {
            text,
            gap: None,
            length,
        }
    }

    /// The first and the last characters of the text, this many together. The text must be longer.
    pub(super) fn ends(self, characters: usize) -> (&'a str, &'a str) {
        let back = characters / 2;
        let front = characters - back;
        let (head, tail) = match self.gap {
            Some(gap) => self.text.split_at(gap),
            None => (self.text, self.text),
        };
        let front = head.char_indices().nth(front).map_or(head.len(), |at| at.0);
        let back = match back.checked_sub(1) {
            Some(before) => tail.char_indices().nth_back(before).map_or(0, |at| at.0),
            None => tail.len(),
        };
        (&head[..front], &tail[back..])
    }

    /// Writes the text, truncated in its middle if it has more characters than this.
    fn write(self, characters: usize, out: &mut String) {
        if self.length <= characters {
            out.push_str(self.text);
            return;
        }
        let (front, back) = self.ends(characters);
        let left_out = self.length - characters;
        out.push_str(front);
        out.push_str(&format!("\n[… {left_out} characters left out]\n"));
        out.push_str(back);
    }
}

/// A text and the name by which the instructions refer to it.
#[derive(Clone, Debug)]
pub(super) struct FencedText<'a> {
    pub(super) name: String,
    pub(super) excerpt: Excerpt<'a>,
}

/// Several texts in their fences.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FencedTexts {
    pub(super) text: String,
    /// The tag at the end of each fence line, which occurs in none of the texts.
    pub(super) tag: String,
}

/// Formats the texts in this order, within `most` characters.
pub(super) fn format_texts(id: &str, texts: &[FencedText<'_>], most: usize) -> FencedTexts {
    let tag = tag(id, texts);
    let fences: usize = texts
        .iter()
        .map(|it| 2 * (it.name.chars().count() + tag.len()) + FENCE_AT_MOST + MARK_AT_MOST)
        .sum();
    let lengths: Vec<usize> = texts.iter().map(|it| it.excerpt.length).collect();
    let share = share(lengths, most.saturating_sub(fences));
    let mut text = String::new();
    for fenced in texts {
        if !text.is_empty() {
            text.push_str("\n\n");
        }
        text.push_str(&format!("===== {} ===== {tag}\n", fenced.name));
        fenced.excerpt.write(share, &mut text);
        text.push_str(&format!("\n===== end of {} ===== {tag}", fenced.name));
    }
    FencedTexts { text, tag }
}

/// A tag that occurs in none of the texts, so that no text can end its own fence.
fn tag(id: &str, texts: &[FencedText<'_>]) -> String {
    let mut draw = SeededRandom::new(id, "fence");
    loop {
        let tag = format!("{:016x}", draw.number());
        if !texts.iter().any(|it| it.excerpt.text.contains(&tag)) {
            return tag;
        }
    }
}

/// The largest length to which the texts must be truncated so that all fit: short ones stay complete, and leave their
/// room to the others. The maximum if nothing must be truncated.
fn share(mut lengths: Vec<usize>, mut room: usize) -> usize {
    lengths.sort_unstable();
    let count = lengths.len();
    for (index, length) in lengths.into_iter().enumerate() {
        let fair = room / (count - index);
        if length > fair {
            return fair;
        }
        room -= length;
    }
    usize::MAX
}

#[cfg(test)]
mod tests;
