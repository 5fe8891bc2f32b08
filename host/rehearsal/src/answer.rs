//! The answers of the scripted model.

use serde_json::json;

use super::request::ModelRequest;
use super::scenario::PREFIX;
use super::schema;

/// The most characters of a quoted text.
const QUOTED: usize = 400;

/// The most tool results that an answer quotes.
const RESULTS: usize = 3;

/// The beginning of every answer in prose.
const SENTENCE: &str =
    "This is a rehearsal: Codex ran, but no model was asked and nothing left this machine.";

/// The continuations of `SENTENCE`, used in turn, so that some candidates of a fan-out differ and some agree.
const VARIANTS: [&str; 3] = [
    "",
    " A model would have answered here.",
    " With a real login, a model of your account would have written this answer, and it would be about your question.",
];

/// An answer with its reasoning summary.
pub(super) struct ScriptedAnswer {
    pub(super) summary: Option<String>,
    /// None: the answer consists of calls.
    pub(super) text: Option<String>,
    /// The names of the functions to call, with their arguments as JSON.
    pub(super) calls: Vec<(String, String)>,
}

/// The answer to a request that comes after `earlier` others.
pub(super) fn to(request: &ModelRequest, earlier: usize) -> ScriptedAnswer {
    let summary = request.wants_summary().then(|| {
        "**Rehearsing**\n\nNo model thinks here. This stands where a model's summary of its reasoning would.".to_owned()
    });
    let calls = request.wanted().into_iter().map(|tool| {
        let arguments = schema::instance(&tool.parameters);
        (tool.name.clone(), arguments.to_string())
    });
    let calls: Vec<_> = calls.collect();
    if !calls.is_empty() {
        return ScriptedAnswer {
            summary,
            text: None,
            calls,
        };
    }
    let text = match request.schema() {
        Some(schema) => schema::instance(schema).to_string(),
        None if request.wants_object() => {
            json!({"rehearsal": SENTENCE, "you_said": quoted(&request.question())}).to_string()
        }
        None => prose(request, VARIANTS[earlier % VARIANTS.len()]),
    };
    ScriptedAnswer {
        summary,
        text: Some(text),
        calls,
    }
}

fn prose(request: &ModelRequest, variant: &str) -> String {
    let question = request.question();
    let mut text = [SENTENCE, variant].concat();
    if let Some(hint) = request.hint() {
        text.push_str(&format!(" The hint was: “{}”.", quoted(hint)));
    }
    if request.earlier() > 0 {
        text.push_str(&format!(
            " I have {} of this conversation.",
            counted(request.earlier(), "earlier message")
        ));
    }
    if request.images() > 0 {
        text.push_str(&format!(
            " You sent {}.",
            counted(request.images(), "image")
        ));
    }
    let results = request.results();
    for (name, result) in results.iter().take(RESULTS) {
        text.push_str(&format!(" {name} returned: “{}”.", quoted(result)));
    }
    if results.len() > RESULTS {
        let more = counted(results.len() - RESULTS, "more result");
        text.push_str(&format!(" There are {more}."));
    }
    if question.trim().is_empty() {
        text.push_str(" You said nothing.");
    } else {
        text.push_str(&format!(" You said: “{}”", quoted(&question)));
    }
    text
}

/// The beginning of a text, for an answer that quotes it. Names of scenarios are altered: the answer may become part of a
/// synthesis's prompt, which must not trigger the scenario again.
fn quoted(text: &str) -> String {
    let text = text.replace(PREFIX, "rehearse ");
    match text.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{} …", &text[..end]),
        None => text,
    }
}

fn counted(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}
