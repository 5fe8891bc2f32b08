//! Scenarios: words in a request that make the scripted model fail, stall or stop short, so that the error handling of a
//! client can be tried. `docs/rehearsal.md` lists them, and a test compares that list with this one.

use std::time::Duration;

/// The prefix of a word that names a scenario.
pub(super) const PREFIX: &str = "rehearse:";

/// The time between two words of an answer.
const WORD: Duration = Duration::from_millis(30);
const SLOW_WORD: Duration = Duration::from_secs(1);

/// What the scripted model does with one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Scenario {
    /// A complete answer.
    #[default]
    Answer,
    /// A complete answer, one word a second.
    Slow,
    /// The connection breaks in the middle of the answer, at every retry too.
    Broken,
    /// Half of the answer, and `response.incomplete` with this reason.
    Incomplete(&'static str),
    /// `response.failed` with this error code, before any text.
    Failed(&'static str),
    /// The HTTP status 429 with this error code.
    TooManyRequests(&'static str),
}

/// The names of all scenarios.
pub(super) const SCENARIOS: [(&str, Scenario); 8] = [
    ("slow", Scenario::Slow),
    ("broken", Scenario::Broken),
    ("length", Scenario::Incomplete("max_output_tokens")),
    ("content-filter", Scenario::Incomplete("content_filter")),
    (
        "context-length",
        Scenario::Failed("context_length_exceeded"),
    ),
    ("overloaded", Scenario::Failed("server_is_overloaded")),
    (
        "rate-limit",
        Scenario::TooManyRequests("rate_limit_exceeded"),
    ),
    ("quota", Scenario::TooManyRequests("insufficient_quota")),
];

impl Scenario {
    /// The first scenario that these texts name: `rehearse:slow`.
    pub(super) fn named<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let words = texts.into_iter().flat_map(|text| {
            text.split(|it: char| it.is_whitespace() || "\"'`“”.,;!?()[]".contains(it))
        });
        words
            .filter_map(|word| word.strip_prefix(PREFIX))
            .find_map(|name| SCENARIOS.iter().find(|(known, _)| *known == name))
            .map(|(_, scenario)| *scenario)
            .unwrap_or_default()
    }

    /// The time between two words.
    pub(super) fn word_delay(self) -> Duration {
        match self {
            Self::Slow => SLOW_WORD,
            Self::Answer
            | Self::Broken
            | Self::Incomplete(_)
            | Self::Failed(_)
            | Self::TooManyRequests(_) => WORD,
        }
    }

    /// Whether only the first half of a text is sent.
    pub(super) fn cuts(self) -> bool {
        matches!(self, Self::Broken | Self::Incomplete(_))
    }
}
