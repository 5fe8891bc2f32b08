//! The misbehaviour that a request may trigger, and the call in which it happens.

use std::hint::black_box;

/// The prefix of an instruction: `stamp:trap:feed`.
const SIGN: &str = "stamp:";

/// Rounds of arithmetic that slow one event down. Some milliseconds.
const SLOWNESS: u64 = 4_000_000;

/// The call in which a misbehaviour happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StampedCall {
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

const CALLS: [(&str, StampedCall); 7] = [
    ("render", StampedCall::Render),
    ("open", StampedCall::Open),
    ("feed", StampedCall::Feed),
    ("finish", StampedCall::Finish),
    ("decide", StampedCall::Decide),
    ("panel", StampedCall::Panel),
    ("models", StampedCall::Models),
];

/// A kind of misbehaviour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misbehaviour {
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

const MISBEHAVIOURS: [(&str, Misbehaviour); 6] = [
    ("trap", Misbehaviour::Trap),
    ("loop", Misbehaviour::Loop),
    ("stack", Misbehaviour::Stack),
    ("slow", Misbehaviour::Slow),
    ("flood", Misbehaviour::Flood),
    ("giant", Misbehaviour::Giant),
];

/// An instruction of a request: a misbehaviour and its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// The misbehaviour.
    pub misbehaviour: Misbehaviour,
    /// The call in which it happens.
    pub call: StampedCall,
}

impl Instruction {
    /// Finds the first `stamp:MISBEHAVIOUR:CALL` in a text.
    pub fn in_text(text: &str) -> Option<Self> {
        text.split(SIGN).skip(1).find_map(|rest| {
            let (misbehaviour, rest) = named(&MISBEHAVIOURS, rest)?;
            let (call, _) = named(&CALLS, rest.strip_prefix(':')?)?;
            Some(Self { misbehaviour, call })
        })
    }

    /// The instruction as text.
    pub(crate) fn to_text(self) -> String {
        let misbehaviour = spelled(&MISBEHAVIOURS, self.misbehaviour);
        let call = spelled(&CALLS, self.call);
        [SIGN, misbehaviour, ":", call].concat()
    }

    /// Misbehaves, if this is the call. Floods and giant frames are left to the reply.
    pub fn happen_at(self, call: StampedCall) {
        if self.call == call {
            self.misbehaviour.happen();
        }
    }
}

impl Misbehaviour {
    #[expect(clippy::panic, reason = "a trap is one of its misbehaviours")]
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
        let instruction = |misbehaviour, call| Some(Instruction { misbehaviour, call });
        for (text, expected) in [
            (
                "stamp:trap:render",
                instruction(Misbehaviour::Trap, StampedCall::Render),
            ),
            (
                "please stamp:flood:feed!",
                instruction(Misbehaviour::Flood, StampedCall::Feed),
            ),
            (
                "stamp:sing:feed, stamp:loop:decide",
                instruction(Misbehaviour::Loop, StampedCall::Decide),
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
    fn a_misbehaviour_happens_in_its_call_alone() {
        let instruction = Instruction {
            misbehaviour: Misbehaviour::Trap,
            call: StampedCall::Panel,
        };
        instruction.happen_at(StampedCall::Feed);
        instruction.happen_at(StampedCall::Panel);
    }
}
