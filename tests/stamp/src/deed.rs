//! The misbehaviour that a request may trigger, and the call in which it happens.

use std::hint::black_box;

/// The prefix of an instruction: `stamp:trap:feed`.
const SIGN: &str = "stamp:";

/// Rounds of arithmetic that slow one event down. Some milliseconds.
const SLOWNESS: u64 = 4_000_000;

/// The call in which a deed happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// While the request is rendered.
    Render,
    /// While a reply is opened.
    Open,
    /// While a reply is fed, at each text of the answer.
    Feed,
    /// While a reply ends.
    Finish,
    /// While it is decided whether the request may start.
    Decide,
    /// While the panel receives a candidate's outcome.
    Panel,
    /// While models are listed or shown.
    Models,
}

const PLACES: [(&str, Place); 7] = [
    ("render", Place::Render),
    ("open", Place::Open),
    ("feed", Place::Feed),
    ("finish", Place::Finish),
    ("decide", Place::Decide),
    ("panel", Place::Panel),
    ("models", Place::Models),
];

/// A kind of misbehaviour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// The call traps.
    Trap,
    /// The call never returns.
    Loop,
    /// The call recurses until its stack is used up.
    Stack,
    /// The call takes some milliseconds more.
    Slow,
    /// Many large frames. In `feed` only.
    Flood,
    /// One frame, as large as memory allows. In `feed` only.
    Giant,
}

const DEEDS: [(&str, Deed); 6] = [
    ("trap", Deed::Trap),
    ("loop", Deed::Loop),
    ("stack", Deed::Stack),
    ("slow", Deed::Slow),
    ("flood", Deed::Flood),
    ("giant", Deed::Giant),
];

/// An instruction of a request: a deed and its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// The misbehaviour.
    pub deed: Deed,
    /// The call in which it happens.
    pub place: Place,
}

impl Instruction {
    /// Finds the first `stamp:DEED:PLACE` in a text.
    pub fn in_text(text: &str) -> Option<Self> {
        text.split(SIGN).skip(1).find_map(|rest| {
            let (deed, rest) = named(&DEEDS, rest)?;
            let (place, _) = named(&PLACES, rest.strip_prefix(':')?)?;
            Some(Self { deed, place })
        })
    }

    /// The instruction as text.
    pub(crate) fn to_text(self) -> String {
        let deed = spelled(&DEEDS, self.deed);
        let place = spelled(&PLACES, self.place);
        [SIGN, deed, ":", place].concat()
    }

    /// Misbehaves, if this is the place. Floods and giant frames are left to the reply.
    pub fn happen_at(self, place: Place) {
        if self.place == place {
            self.deed.happen();
        }
    }
}

impl Deed {
    #[expect(clippy::panic, reason = "a trap is one of its deeds")]
    fn happen(self) {
        match self {
            Self::Trap => panic!("as the instruction says"),
            Self::Loop => loop {
                std::hint::spin_loop();
            },
            Self::Stack => {
                black_box(deeper(black_box(1)));
            }
            Self::Slow => {
                for round in 0..SLOWNESS {
                    black_box(round);
                }
            }
            Self::Flood | Self::Giant => {}
        }
    }
}

/// Calls itself as often as the stack allows.
fn deeper(depth: u64) -> u64 {
    if depth == 0 {
        return 0;
    }
    black_box(deeper(black_box(depth + 1))) ^ depth
}

/// The value whose name begins the text, and the rest of the text.
fn named<'a, T: Copy>(words: &[(&str, T)], text: &'a str) -> Option<(T, &'a str)> {
    let mut words = words.iter();
    words.find_map(|(word, value)| Some((*value, text.strip_prefix(word)?)))
}

fn spelled<T: Copy + PartialEq>(words: &[(&'static str, T)], value: T) -> &'static str {
    let mut words = words.iter();
    words
        .find_map(|(word, named)| (*named == value).then_some(*word))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_complete_marker_is_recognised() {
        let instruction = |deed, place| Some(Instruction { deed, place });
        for (text, expected) in [
            ("stamp:trap:render", instruction(Deed::Trap, Place::Render)),
            (
                "please stamp:flood:feed!",
                instruction(Deed::Flood, Place::Feed),
            ),
            (
                "stamp:sing:feed, stamp:loop:decide",
                instruction(Deed::Loop, Place::Decide),
            ),
            ("stamp:trap", None),
            ("stamp:trap:", None),
            ("stamp:trap:nowhere", None),
            ("trap:render", None),
        ] {
            assert_eq!(Instruction::in_text(text), expected, "{text}");
            let spelled = expected.map(Instruction::to_text).unwrap_or_default();
            assert_eq!(Instruction::in_text(&spelled), expected, "{spelled}");
        }
    }

    #[test]
    #[should_panic(expected = "as the instruction says")]
    fn it_happens_in_its_place_alone() {
        let instruction = Instruction {
            deed: Deed::Trap,
            place: Place::Panel,
        };
        instruction.happen_at(Place::Feed);
        instruction.happen_at(Place::Panel);
    }
}
