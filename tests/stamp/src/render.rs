//! Renders a request into a plan: the user's last message, in one turn or several.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::bindings::airlock::policy::types::{
    Brief, InputItem, Problem, ProblemKind, Request, Selection,
};
use crate::bindings::exports::airlock::policy::prompt::Plan;
use crate::misbehaviour::Instruction;
use crate::{DIALECT, problem};

/// The fields of a body that are used. Values are parsed only when needed, which keeps the component small.
#[derive(Default, Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    messages: Option<&'a RawValue>,
    #[serde(borrow)]
    stream: Option<&'a RawValue>,
    #[serde(borrow)]
    parallel_calls: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    role: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct Settings<'a> {
    #[serde(borrow)]
    greeting: Option<&'a RawValue>,
}

/// The plan's notes: the attributes of the request that the reply needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Notes {
    pub(crate) streaming: bool,
    pub(crate) greeting: String,
    pub(crate) instruction: Option<Instruction>,
}

impl Notes {
    /// Parses what `render` wrote: a line with the form of the answer and the instruction, and the greeting. Any other text gives
    /// the default.
    pub(crate) fn read(text: &str) -> Self {
        let (line, greeting) = text.split_once('\n').unwrap_or_default();
        Self {
            streaming: line.starts_with(STREAMED),
            greeting: greeting.to_owned(),
            instruction: Instruction::in_text(line),
        }
    }

    fn to_text(&self) -> String {
        let kind = if self.streaming { STREAMED } else { WHOLE };
        let instruction = self
            .instruction
            .map(Instruction::to_text)
            .unwrap_or_default();
        format!("{kind} {instruction}\n{}", self.greeting)
    }
}

const STREAMED: &str = "stream";
const WHOLE: &str = "whole";

/// Renders the request into a plan, and finds its instruction.
///
/// # Errors
/// `not-found` for another dialect, `invalid-request` with the field at fault.
pub(crate) fn render(request: &Request) -> Result<(Plan, Option<Instruction>), Problem> {
    if request.dialect != DIALECT {
        let message = "the policy speaks `chat-completions` only";
        return Err(problem(ProblemKind::NotFound, "unknown_dialect", message));
    }
    let greeting = greeting(&request.settings)?;
    let body: Body<'_> = object(&request.body).ok_or_else(|| {
        let message = "the body is not a valid JSON object";
        problem(ProblemKind::InvalidRequest, "invalid_json", message)
    })?;
    let Some(model) = body.model.and_then(text) else {
        return Err(wrong("model", "required: name a model, or `default`"));
    };
    let Some(prompt) = body.messages.and_then(last_user_text) else {
        let message = "required: give at least one message of role `user` with text";
        return Err(wrong("messages", message));
    };
    let streaming = match body.stream.map(RawValue::get) {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(wrong("stream", "must be `true` or `false`")),
    };
    let attempts = match body.parallel_calls {
        None => 1,
        Some(given) => given.get().parse().unwrap_or(0),
    };
    if !(1..=20).contains(&attempts) {
        let message = "must be a whole number from 1 to 20";
        return Err(wrong("parallel_calls", message));
    }
    if request.nested && attempts > 1 {
        let message = "this request comes from a turn of a gateway like this one: give `1`";
        return Err(wrong("parallel_calls", message));
    }
    #[cfg(feature = "wasi")]
    let greeting = crate::outside::greeting(&prompt).unwrap_or(greeting);
    let instruction = Instruction::in_text(&prompt);
    let notes = Notes {
        streaming,
        greeting,
        instruction,
    };
    let brief = Brief {
        model: None,
        effort: None,
        summary: None,
        instructions: String::new(),
        input: vec![InputItem::Text(prompt)],
        output_schema: None,
        tools: false,
        verbosity: None,
    };
    let plan = Plan {
        streaming,
        model: (model != "default").then(|| Selection {
            name: model,
            param: "model".to_owned(),
        }),
        instructions: String::new(),
        history: Vec::new(),
        tools: Vec::new(),
        resume: None,
        briefs: vec![brief; attempts],
        notes: notes.to_text(),
        ignored: Vec::new(),
        raw_items: false,
        #[cfg(not(feature = "earlier"))]
        object: None,
        #[cfg(not(feature = "earlier"))]
        background: None,
        #[cfg(not(feature = "earlier"))]
        lock: None,
    };
    Ok((plan, instruction))
}

/// The text of the user's last message: a string, or the text parts of a list.
fn last_user_text(messages: &RawValue) -> Option<String> {
    let messages: Vec<&RawValue> = serde_json::from_str(messages.get()).ok()?;
    let mut latest = messages.iter().rev();
    let content = latest.find_map(|message| {
        let message: Message<'_> = object(message.get())?;
        (text(message.role?)? == "user").then_some(message.content)
    })??;
    let prompt = text(content).or_else(|| {
        let parts: Vec<Part<'_>> = serde_json::from_str(content.get()).ok()?;
        let parts = parts.iter().filter_map(|part| part.text);
        Some(parts.filter_map(text).collect())
    })?;
    (!prompt.trim().is_empty()).then_some(prompt)
}

fn greeting(settings: &str) -> Result<String, Problem> {
    if settings.trim().is_empty() {
        return Ok(String::new());
    }
    let read = object(settings).and_then(|settings: Settings<'_>| match settings.greeting {
        None => Some(String::new()),
        Some(greeting) => text(greeting),
    });
    read.ok_or_else(|| {
        let message = "the policy cannot read its settings: they must be an object like {\"greeting\": \"Hello.\"}";
        problem(ProblemKind::Internal, "invalid_settings", message)
    })
}

/// A JSON object. An array would be read too, member by member.
fn object<'a, T: Deserialize<'a>>(json: &'a str) -> Option<T> {
    let is_object = json.trim_start().starts_with('{');
    is_object.then(|| serde_json::from_str(json).ok())?
}

fn text(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

fn wrong(param: &str, message: &str) -> Problem {
    Problem {
        param: Some(param.to_owned()),
        ..problem(ProblemKind::InvalidRequest, "invalid_value", message)
    }
}
