//! The script: what the fake Codex answers, by default sensibly, otherwise as the test says.

use std::collections::{HashMap, VecDeque};

use serde_json::{Value, json};

use super::plan::TurnPlan;

/// How the fake behaves from its start on. Without orders it answers every turn with what the user said.
#[derive(Clone, Debug)]
pub struct Script {
    pub(super) version: String,
    pub(super) stubborn: bool,
    pub(super) models: Vec<Value>,
    answers: HashMap<String, Answers>,
    turns: VecDeque<TurnPlan>,
    matching: Vec<(String, TurnPlan)>,
    otherwise: Option<TurnPlan>,
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

    /// Nobody is signed in, and the provider wants somebody to be.
    #[must_use]
    pub fn signed_out(self) -> Self {
        let account = json!({"account": null, "userId": null, "requiresOpenaiAuth": true, "workspaceRouting": null});
        self.always("account/read", Answer::Result(account))
    }

    /// The next turn that no `when` claims.
    #[must_use]
    pub fn turn(mut self, plan: impl FnOnce(TurnPlan) -> TurnPlan) -> Self {
        self.turns.push_back(plan(TurnPlan::default()));
        self
    }

    /// Each turn whose input contains `needle`.
    #[must_use]
    pub fn when(mut self, needle: &str, plan: impl FnOnce(TurnPlan) -> TurnPlan) -> Self {
        self.matching
            .push((needle.to_owned(), plan(TurnPlan::default())));
        self
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

    pub(super) fn take_turn(&mut self, said: &str) -> TurnPlan {
        if let Some((_, plan)) = self
            .matching
            .iter()
            .find(|(needle, _)| said.contains(needle))
        {
            return plan.clone();
        }
        let next = self.turns.pop_front().or_else(|| self.otherwise.clone());
        next.unwrap_or_else(|| echo(said))
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
