//! The script: responses and turns of the scripted Codex. By default they are those of a healthy Codex.

use std::collections::{HashMap, VecDeque};

use serde_json::{Value, json};

use super::plan::TurnPlan;
use super::schema::Protocol;

/// The behaviour of a scripted Codex. By default every turn echoes the user's text.
#[derive(Clone, Debug)]
pub struct Script {
    pub(super) version: String,
    pub(super) stubborn: bool,
    pub(super) bundled: bool,
    /// Codex's protocol. `None`: this Codex cannot generate a schema.
    pub(super) protocol: Option<Protocol>,
    pub(super) models: Vec<Value>,
    answers: HashMap<String, ResponseQueue>,
    turns: VecDeque<TurnPlan>,
    matching: Vec<(TurnMatcher, TurnPlan)>,
    otherwise: Option<TurnPlan>,
}

/// Selects turns.
#[derive(Clone, Debug)]
enum TurnMatcher {
    /// The turn's input contains this.
    Input(String),
    /// The instructions of the turn's thread contain this.
    Instructions(String),
    /// The model of the turn's thread is this.
    Model(String),
}

/// The properties by which a turn is selected.
#[derive(Clone, Copy, Debug)]
pub(super) struct TurnInput<'a> {
    /// The input's text, or if that is empty the last injected message of the user.
    pub(super) user_text: &'a str,
    /// The thread's instructions.
    pub(super) instructions: &'a str,
    /// The thread's model.
    pub(super) model: &'a str,
}

impl TurnMatcher {
    fn matches(&self, input: TurnInput<'_>) -> bool {
        match self {
            Self::Input(needle) => input.user_text.contains(needle),
            Self::Instructions(needle) => input.instructions.contains(needle),
            Self::Model(name) => input.model == name,
        }
    }
}

/// A scripted response to a request.
#[derive(Clone, Debug)]
pub enum ScriptedResponse {
    /// The default result with these members added or replaced.
    With(Value),
    /// This result.
    Result(Value),
    /// An error.
    Error {
        /// The JSON-RPC error code.
        code: i64,
        /// The message.
        message: String,
    },
    /// No response.
    Silence,
    /// The process exits in place of a response.
    Exit(i32),
}

impl ScriptedResponse {
    /// Codex's error when it is overloaded.
    pub fn overloaded() -> Self {
        Self::Error {
            code: -32001,
            message: "Server overloaded; retry later.".to_owned(),
        }
    }
}

#[derive(Clone, Debug, Default)]
struct ResponseQueue {
    next: VecDeque<ScriptedResponse>,
    always: Option<ScriptedResponse>,
}

impl Script {
    /// A Codex of the tested version that is signed in with an API key and echoes the user's text.
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

    /// Sets the output of `--version`.
    #[must_use]
    pub fn version(mut self, text: &str) -> Self {
        text.clone_into(&mut self.version);
        self
    }

    /// The process exits neither at the end of its input nor on SIGTERM.
    #[must_use]
    pub fn stubborn(mut self) -> Self {
        self.stubborn = true;
        self
    }

    /// `debug models`, which prints the built-in catalogue, fails.
    #[must_use]
    pub fn no_bundled_models(mut self) -> Self {
        self.bundled = false;
        self
    }

    /// `generate-json-schema` fails, as in old or broken versions.
    #[must_use]
    pub fn no_schema(mut self) -> Self {
        self.protocol = None;
        self
    }

    /// Changes its protocol.
    #[must_use]
    pub fn protocol(mut self, change: impl FnOnce(&mut Protocol)) -> Self {
        change(self.protocol.get_or_insert_with(Protocol::tested));
        self
    }

    /// No account is signed in, and the provider requires one.
    #[must_use]
    pub fn signed_out(self) -> Self {
        let account = json!({"account": null, "userId": null, "requiresOpenaiAuth": true, "workspaceRouting": null});
        self.always("account/read", ScriptedResponse::Result(account))
    }

    /// Sets the description of every model.
    #[must_use]
    pub fn describe_models(mut self, text: &str) -> Self {
        for model in self.models.iter_mut().filter_map(Value::as_object_mut) {
            model.insert("description".to_owned(), json!(text));
        }
        self
    }

    /// The plan of the next turn that no `when` selects.
    #[must_use]
    pub fn turn(mut self, plan: impl FnOnce(TurnPlan) -> TurnPlan) -> Self {
        self.turns.push_back(plan(TurnPlan::default()));
        self
    }

    /// The plan of each turn whose input contains `needle`, as that of a synthesis contains the candidates. Of several
    /// plans that select a turn, in this way or another, the first is used.
    #[must_use]
    pub fn when(self, needle: &str, plan: impl FnOnce(TurnPlan) -> TurnPlan) -> Self {
        self.matched(TurnMatcher::Input(needle.to_owned()), plan)
    }

    /// The plan of each turn whose thread's instructions contain `needle`, as those of a candidate contain its hint.
    #[must_use]
    pub fn when_instructed(self, needle: &str, plan: impl FnOnce(TurnPlan) -> TurnPlan) -> Self {
        self.matched(TurnMatcher::Instructions(needle.to_owned()), plan)
    }

    /// The plan of each turn whose thread has this model.
    #[must_use]
    pub fn when_model(self, name: &str, plan: impl FnOnce(TurnPlan) -> TurnPlan) -> Self {
        self.matched(TurnMatcher::Model(name.to_owned()), plan)
    }

    /// The plan of every other turn, in place of the echo.
    #[must_use]
    pub fn every_turn(mut self, plan: impl FnOnce(TurnPlan) -> TurnPlan) -> Self {
        self.otherwise = Some(plan(TurnPlan::default()));
        self
    }

    /// The response to the next request of this method. Several are used in order.
    #[must_use]
    pub fn answer(mut self, method: &str, answer: ScriptedResponse) -> Self {
        self.answers
            .entry(method.to_owned())
            .or_default()
            .next
            .push_back(answer);
        self
    }

    /// The response to every other request of this method.
    #[must_use]
    pub fn always(mut self, method: &str, answer: ScriptedResponse) -> Self {
        self.answers.entry(method.to_owned()).or_default().always = Some(answer);
        self
    }

    pub(super) fn take_answer(&mut self, method: &str) -> Option<ScriptedResponse> {
        let answers = self.answers.get_mut(method)?;
        answers.next.pop_front().or_else(|| answers.always.clone())
    }

    pub(super) fn take_turn(&mut self, input: TurnInput<'_>) -> TurnPlan {
        if let Some((_, plan)) = self
            .matching
            .iter()
            .find(|(matcher, _)| matcher.matches(input))
        {
            return plan.clone();
        }
        let next = self.turns.pop_front().or_else(|| self.otherwise.clone());
        next.unwrap_or_else(|| echo(input.user_text))
    }

    fn matched(mut self, matcher: TurnMatcher, plan: impl FnOnce(TurnPlan) -> TurnPlan) -> Self {
        self.matching.push((matcher, plan(TurnPlan::default())));
        self
    }
}

impl Default for Script {
    fn default() -> Self {
        Self::new()
    }
}

/// A turn that echoes the user's text, with a delta for each word.
fn echo(user_text: &str) -> TurnPlan {
    let words = format!("You said: {user_text}");
    words
        .split_inclusive(' ')
        .fold(TurnPlan::default(), TurnPlan::text)
}
