//! The answers of the scripted model.

use serde_json::json;

use super::request::ModelRequest;
use super::scenario::PREFIX;
use super::schema;

/// Characters of the question that are repeated.
const QUOTED: usize = 400;

/// Results that are repeated.
const RESULTS: usize = 3;

/// What every answer in words begins with.
const SENTENCE: &str =
    "This is a rehearsal: Codex ran, but no model was asked and nothing left this machine.";

/// What follows it, by turns, so that candidates of a fan-out differ and some of them agree.
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
    /// Names of functions, and their arguments.
    pub(super) calls: Vec<(String, String)>,
}

/// The answer to a request, of which there were `earlier` before.
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
        None => words(request, VARIANTS[earlier % VARIANTS.len()]),
    };
    ScriptedAnswer {
        summary,
        text: Some(text),
        calls,
    }
}

fn words(request: &ModelRequest, variant: &str) -> String {
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

/// As much of a text as is repeated. A scenario that it names is not named again: the answer may become part of the
/// question that a synthesis asks.
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
