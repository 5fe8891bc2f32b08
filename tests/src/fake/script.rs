//! The script: what the fake Codex answers, by default sensibly, otherwise as the test says.

use std::collections::{HashMap, VecDeque};

use serde_json::{Value, json};

use super::plan::TurnPlan;
use super::schema::Protocol;

/// How the fake behaves from its start on. Without orders it answers every turn with what the user said.
#[derive(Clone, Debug)]
pub struct Script {
    pub(super) version: String,
    pub(super) stubborn: bool,
    pub(super) bundled: bool,
    /// What it tells of its protocol. None: it does not.
    pub(super) protocol: Option<Protocol>,
    pub(super) models: Vec<Value>,
    answers: HashMap<String, Answers>,
    turns: VecDeque<TurnPlan>,
    matching: Vec<(Sign, TurnPlan)>,
    otherwise: Option<TurnPlan>,
}

/// What tells a turn from others.
#[derive(Clone, Debug)]
enum Sign {
    /// Its input contains this.
    Said(String),
    /// Its thread's instructions contain this.
    Instructed(String),
    /// Its thread's model is this.
    Model(String),
}

/// A turn that is about to start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spoken<'a> {
    /// What the user says: the input, or where it is empty the last message of the user that was injected.
    pub(super) said: &'a str,
    /// The thread's instructions.
    pub(super) instructions: &'a str,
    /// The thread's model.
    pub(super) model: &'a str,
}

impl Sign {
    fn is_in(&self, spoken: Spoken<'_>) -> bool {
        match self {
            Self::Said(needle) => spoken.said.contains(needle),
            Self::Instructed(needle) => spoken.instructions.contains(needle),
            Self::Model(name) => spoken.model == name,
        }
    }
}

/// How one request is answered.
#[derive(Clone, Debug)]
pub enum Answer {
    /// As usual, with these members put over the usual result.
    With(Value),
    /// This result.
    Result(Value),
    /// An error.
    Error {
        /// Codex's number for it.
        code: i64,
        /// What it says.
        message: String,
    },
    /// Never.
    Silence,
    /// The process ends in place of an answer.
    Exit(i32),
}

impl Answer {
    /// What Codex says when it has too much to do.
    pub fn overloaded() -> Self {
        Self::Error {
            code: -32001,
            message: "Server overloaded; retry later.".to_owned(),
        }
    }
}

#[derive(Clone, Debug, Default)]
struct Answers {
    next: VecDeque<Answer>,
    always: Option<Answer>,
}

impl Script {
    /// A Codex of the tested version, signed in with a key, that echoes.
    pub fn new() -> Self {
        let models = serde_json::from_str(include_str!("models.json")).unwrap_or_default();
        Self {
            version: "codex-cli 0.169.0".to_owned(),
            stubborn: false,
            bundled: true,
            protocol: Some(Protocol::tested()),
            models,
            answers: HashMap::new(),
            turns: VecDeque::new(),
            matching: Vec::new(),
            otherwise: None,
        }
    }

    /// What `--version` prints.
    #[must_use]
    pub fn version(mut self, text: &str) -> Self {
        text.clone_into(&mut self.version);
        self
    }

    /// It neither ends with its input nor on SIGTERM.
    #[must_use]
    pub fn stubborn(mut self) -> Self {
        self.stubborn = true;
        self
    }

    /// It cannot print the catalogue that it has built in: `debug models` fails.
    #[must_use]
    pub fn no_bundled_models(mut self) -> Self {
        self.bundled = false;
        self
    }

    /// It fails to tell its protocol, as old ones and broken ones do.
    #[must_use]
    pub fn no_schema(mut self) -> Self {
        self.protocol = None;
        self
    }

    /// It tells its protocol with this change.
    #[must_use]
    pub fn protocol(mut self, change: impl FnOnce(&mut Protocol)) -> Self {
        change(self.protocol.get_or_insert_with(Protocol::tested));
        self
    }

    /// Nobody is signed in, and the provider wants somebody to be.
    #[must_use]
    pub fn signed_out(self) -> Self {
        let account = json!({"account": null, "userId": null, "requiresOpenaiAuth": true, "workspaceRouting": null});
        self.always("account/read", Answer::Result(account))
    }

    /// Every model that it offers is described so.
    #[must_use]
    pub fn describe_models(mut self, text: &str) -> Self {
        for model in self.models.iter_mut().filter_map(Value::as_object_mut) {
            model.insert("description".to_owned(), json!(text));
        }
        self
    }

    /// The next turn that no `when` claims.
    #[must_use]
    pub fn turn(mut self, plan: impl FnOnce(TurnPlan) -> TurnPlan) -> Self {
        self.turns.push_back(plan(TurnPlan::default()));
        self
    }

    /// Each turn whose input contains `needle`, as that of a synthesis contains the candidates. Of several that
    /// claim a turn, in this way or another, the first has it.
    #[must_use]
    pub fn when(self, needle: &str, plan: impl FnOnce(TurnPlan) -> TurnPlan) -> Self {
        self.matched(Sign::Said(needle.to_owned()), plan)
    }

    /// Each turn whose thread's instructions contain `needle`, as those of a candidate contain its hint.
    #[must_use]
    pub fn when_instructed(self, needle: &str, plan: impl FnOnce(TurnPlan) -> TurnPlan) -> Self {
        self.matched(Sign::Instructed(needle.to_owned()), plan)
    }

    /// Each turn whose thread has this model.
    #[must_use]
    pub fn when_model(self, name: &str, plan: impl FnOnce(TurnPlan) -> TurnPlan) -> Self {
        self.matched(Sign::Model(name.to_owned()), plan)
    }

    /// Each turn for which nothing else is said, in place of the echo.
    #[must_use]
    pub fn every_turn(mut self, plan: impl FnOnce(TurnPlan) -> TurnPlan) -> Self {
        self.otherwise = Some(plan(TurnPlan::default()));
        self
    }

    /// The answer to the next request of this method. Several are used in order.
    #[must_use]
    pub fn answer(mut self, method: &str, answer: Answer) -> Self {
        self.answers
            .entry(method.to_owned())
            .or_default()
            .next
            .push_back(answer);
        self
    }

    /// The answer to every other request of this method.
    #[must_use]
    pub fn always(mut self, method: &str, answer: Answer) -> Self {
        self.answers.entry(method.to_owned()).or_default().always = Some(answer);
        self
    }

    pub(super) fn take_answer(&mut self, method: &str) -> Option<Answer> {
        let answers = self.answers.get_mut(method)?;
        answers.next.pop_front().or_else(|| answers.always.clone())
    }

    pub(super) fn take_turn(&mut self, spoken: Spoken<'_>) -> TurnPlan {
        if let Some((_, plan)) = self.matching.iter().find(|(sign, _)| sign.is_in(spoken)) {
            return plan.clone();
        }
        let next = self.turns.pop_front().or_else(|| self.otherwise.clone());
        next.unwrap_or_else(|| echo(spoken.said))
    }

    fn matched(mut self, sign: Sign, plan: impl FnOnce(TurnPlan) -> TurnPlan) -> Self {
        self.matching.push((sign, plan(TurnPlan::default())));
        self
    }
}

impl Default for Script {
    fn default() -> Self {
        Self::new()
    }
}

/// Says what the user said, a word a delta.
fn echo(said: &str) -> TurnPlan {
    let words = format!("You said: {said}");
    words
        .split_inclusive(' ')
        .fold(TurnPlan::default(), TurnPlan::text)
}
