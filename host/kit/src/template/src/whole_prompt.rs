//! Renders a chat completion request of text into turns for Codex, with a rule of the house before the system message.
//!
//! Tools, images, formats and efforts are not in it.

use serde_json::{Value, json};

use crate::Policy;
use crate::bindings::airlock::policy::types::{
    Brief, InputItem, Problem, ProblemKind, Request, Selection,
};
use crate::bindings::exports::airlock::policy::prompt::{Action, Guest, Plan};

/// A rule for every answer.
const HOUSE_RULE: &str = "Answer in at most five sentences, unless the user asks for more.";

/// The parameters of a request that are read. Others are reported as ignored.
const READ: [&str; 4] = ["messages", "model", "stream", "parallel_calls"];

/// The most turns of one request.
const TURNS: usize = 20;

impl Guest for Policy {
    fn render(request: Request) -> Result<Action, Problem> {
        let body: Value = serde_json::from_str(&request.body).unwrap_or_default();
        let Some(members) = body.as_object() else {
            return Err(wrong("the body is not a JSON object", None));
        };
        let ignored = members.keys().cloned();
        let ignored = ignored
            .filter(|name| !READ.contains(&name.as_str()))
            .collect();
        // A missing member reads as null.
        let streaming = match &body["stream"] {
            Value::Null => false,
            Value::Bool(streaming) => *streaming,
            _ => return Err(wrong("`stream` is true or false", Some("stream"))),
        };
        let turns = turns(&body["parallel_calls"], request.nested)?;
        let mut conversation = Conversation::default();
        for message in body["messages"].as_array().into_iter().flatten() {
            conversation.add(message)?;
        }
        let brief = conversation.brief()?;
        Ok(Action::Run(Plan {
            streaming,
            model: body["model"].as_str().map(|name| Selection {
                name: name.to_owned(),
                param: "model".to_owned(),
            }),
            instructions: conversation.instructions,
            history: conversation.history,
            tools: Vec::new(),
            resume: None,
            briefs: vec![brief; turns],
            notes: notes(streaming, turns),
            ignored,
            raw_items: false,
 object: None,
 background: None,
 lock: None,
        }))
    }
}

/// The notes for the translator and the panel, in the format of those that Airlock ships.
fn notes(streaming: bool, turns: usize) -> String {
    let mut notes = json!({"streaming": streaming});
    if turns > 1 {
        notes["fan_out"] = json!({"candidates": turns, "strategy": "merge", "quorum": turns});
    }
    notes.to_string()
}

/// The number of candidates. A request that a gateway's own turn makes may not fan out.
fn turns(parallel_calls: &Value, nested: bool) -> Result<usize, Problem> {
    let requested = match parallel_calls {
        Value::Null => Some(1),
        value => value.as_u64().and_then(|number| usize::try_from(number).ok()),
    };
    match requested {
        Some(turns) if (1..=TURNS).contains(&turns) => Ok(if nested { 1 } else { turns }),
        _ => {
            let message = format!("`parallel_calls` is a whole number from 1 to {TURNS}");
            Err(wrong(&message, Some("parallel_calls")))
        }
    }
}

/// The conversation, as far as it was read.
struct Conversation {
    instructions: String,
    /// Earlier items, as JSON of the Responses API.
    history: Vec<String>,
    /// The user's last message, unless an assistant's follows.
    last: Option<String>,
    /// The number of messages that were read.
    count: usize,
}

impl Default for Conversation {
    fn default() -> Self {
        Self {
            instructions: HOUSE_RULE.to_owned(),
            history: Vec::new(),
            last: None,
            count: 0,
        }
    }
}

impl Conversation {
    fn add(&mut self, message: &Value) -> Result<(), Problem> {
        let param = format!("messages[{}]", self.count);
        self.count += 1;
        let text = text_of(&message["content"]);
        let text = text.ok_or_else(|| wrong("only text is understood here", Some(&param)))?;
        match message["role"].as_str() {
            Some("system" | "developer") => {
                self.instructions.push_str("\n\n");
                self.instructions.push_str(&text);
            }
            Some("user") => {
                self.settle();
                self.last = Some(text);
            }
            Some("assistant") => {
                self.settle();
                self.history.push(item("assistant", "output_text", &text));
            }
            _ => {
                let message = "the role is system, developer, user or assistant";
                return Err(wrong(message, Some(&param)));
            }
        }
        Ok(())
    }

    /// Moves the user's last message into the history.
    fn settle(&mut self) {
        if let Some(text) = self.last.take() {
            self.history.push(item("user", "input_text", &text));
        }
    }

    fn brief(&mut self) -> Result<Brief, Problem> {
        let input = match self.last.take() {
            Some(text) => vec![InputItem::Text(text)],
            None if !self.history.is_empty() => Vec::new(),
            None => return Err(wrong("there is no message of a user", Some("messages"))),
        };
        Ok(Brief {
            model: None,
            effort: None,
            summary: None,
            instructions: String::new(),
            input,
            output_schema: None,
            tools: false,
            verbosity: None,
        })
    }
}

/// The text of a content: a string, or a list of text parts.
fn text_of(content: &Value) -> Option<String> {
    match content {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => parts.iter().map(|part| part["text"].as_str()).collect(),
        _ => None,
    }
}

/// An item of the Responses API, on one line.
fn item(role: &str, kind: &str, text: &str) -> String {
    let content = json!([{"type": kind, "text": text}]);
    json!({"type": "message", "role": role, "content": content}).to_string()
}

fn wrong(message: &str, param: Option<&str>) -> Problem {
    Problem {
        kind: ProblemKind::InvalidRequest,
        code: None,
        message: message.to_owned(),
        param: param.map(str::to_owned),
        retry_after_seconds: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::airlock::policy::types::Transport;

    fn render(body: &str) -> Result<Plan, Problem> {
        let action = Policy::render(Request {
            id: "req_1".to_owned(),
            arrived: 0,
            dialect: "chat-completions".to_owned(),
            body: body.to_owned(),
            attachments: Vec::new(),
            settings: "{}".to_owned(),
            nested: false,
            route: "POST /v1/chat/completions".to_owned(),
            path_parameters: Vec::new(),
            query: Vec::new(),
            seed: String::new(),
            transport: Transport::Http,
            has_store: true,
            loaded: None,
        })?;
        let Action::Run(plan) = action else {
            panic!("a plan is expected");
        };
        Ok(plan)
    }

    #[test]
    fn the_rule_comes_first_and_the_user_last() {
        let body = r#"{"model": "gpt-5.5", "stream": true, "temperature": 1, "messages": [
            {"role": "system", "content": "Be kind."}, {"role": "user", "content": "one"},
            {"role": "assistant", "content": "two"},
            {"role": "user", "content": [{"type": "text", "text": "three"}]}]}"#;
        let plan = render(body).unwrap();
        assert_eq!(plan.instructions, format!("{HOUSE_RULE}\n\nBe kind."));
        assert_eq!(plan.briefs.len(), 1);
        assert_eq!(plan.briefs[0].input, [InputItem::Text("three".to_owned())]);
        assert_eq!(plan.history.len(), 2);
        let answer: Value = serde_json::from_str(&plan.history[1]).unwrap();
        assert_eq!(answer["content"][0]["text"], "two");
        assert!(plan.streaming && plan.notes == r#"{"streaming":true}"#);
        assert_eq!(plan.ignored, ["temperature"]);
    }

    #[test]
    fn several_candidates_have_a_brief_each() {
        let body = r#"{"parallel_calls": 3, "messages": [{"role": "user", "content": "one"}]}"#;
        let plan = render(body).unwrap();
        assert_eq!(plan.briefs.len(), 3);
        let notes: Value = serde_json::from_str(&plan.notes).unwrap();
        assert_eq!(notes["fan_out"]["candidates"], 3);
    }

    #[test]
    fn the_wrong_parameter_is_named() {
        let message = r#"{"role": "user", "content": "one"}"#;
        let cases = [
            ("[]".to_owned(), None),
            ("{}".to_owned(), Some("messages")),
            (
                r#"{"messages": [{"role": "user"}]}"#.to_owned(),
                Some("messages[0]"),
            ),
            (
                format!(r#"{{"messages": [{message}], "stream": 1}}"#),
                Some("stream"),
            ),
            (
                format!(r#"{{"messages": [{message}], "parallel_calls": 21}}"#),
                Some("parallel_calls"),
            ),
        ];
        for (body, param) in cases {
            let problem = render(&body).unwrap_err();
            assert_eq!(problem.kind, ProblemKind::InvalidRequest);
            assert_eq!(problem.param.as_deref(), param, "{body}");
        }
    }
}
