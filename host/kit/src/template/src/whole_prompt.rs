//! Turns a chat completion request of text into turns for Codex, with a rule of the house before the system message.
//!
//! Tools, images, formats and efforts are not in it.

use crate::Policy;
use crate::bindings::airlock::policy::types::{
    Brief, InputItem, Problem, ProblemKind, Request, Selection,
};
use crate::bindings::exports::airlock::policy::prompt::{Guest, Plan};
use crate::json::{Value, quote};

/// What every answer keeps to.
const HOUSE_RULE: &str = "Answer in at most five sentences, unless the user asks for more.";

/// What it reads of a request. Anything else is named as ignored.
const READ: [&str; 4] = ["messages", "model", "stream", "parallel_calls"];

/// Turns of one request, at most.
const TURNS: usize = 20;

impl Guest for Policy {
    fn render(request: Request) -> Result<Plan, Problem> {
        let Some(Value::Object(members)) = Value::read(&request.body) else {
            return Err(wrong("the body is not a JSON object", None));
        };
        let ignored = members.iter().map(|(name, _)| name.clone());
        let ignored = ignored
            .filter(|name| !READ.contains(&name.as_str()))
            .collect();
        let body = Value::Object(members);
        let streaming = match body.get("stream") {
            None | Some(Value::Null) => false,
            Some(Value::Bool(streaming)) => *streaming,
            Some(_) => return Err(wrong("`stream` is true or false", Some("stream"))),
        };
        let turns = turns(&body, request.nested)?;
        let mut talk = Talk::default();
        for message in body
            .get("messages")
            .and_then(Value::list)
            .unwrap_or_default()
        {
            talk.hear(message)?;
        }
        let brief = talk.brief()?;
        Ok(Plan {
            streaming,
            model: body.get("model").and_then(Value::text).map(|name| Selection {
                name: name.to_owned(),
                param: "model".to_owned(),
            }),
            instructions: talk.instructions,
            history: talk.history,
            tools: Vec::new(),
            resume: None,
            briefs: vec![brief; turns],
            notes: notes(streaming, turns),
            ignored,
        })
    }
}

/// What the translator and the panel are told, in the words of those that Airlock ships.
fn notes(streaming: bool, turns: usize) -> String {
    let fan_out = match turns {
        1 => String::new(),
        turns => {
            format!(r#","fan_out":{{"candidates":{turns},"strategy":"merge","quorum":{turns}}}"#)
        }
    };
    format!(r#"{{"streaming":{streaming}{fan_out}}}"#)
}

/// How many candidates the request asks for. A turn of a gateway's own may not fan out.
fn turns(body: &Value, nested: bool) -> Result<usize, Problem> {
    let asked = match body.get("parallel_calls") {
        None | Some(Value::Null) => 1,
        Some(Value::Number(number)) => number.parse().unwrap_or_default(),
        Some(_) => 0,
    };
    if !(1..=TURNS).contains(&asked) {
        let message = format!("`parallel_calls` is a whole number from 1 to {TURNS}");
        return Err(wrong(&message, Some("parallel_calls")));
    }
    Ok(if nested { 1 } else { asked })
}

/// The conversation, as far as it was heard.
struct Talk {
    instructions: String,
    /// Earlier items, as Codex keeps them.
    history: Vec<String>,
    /// What the user said last, until somebody else speaks.
    last: Option<String>,
    /// How many messages there were.
    count: usize,
}

impl Default for Talk {
    fn default() -> Self {
        Self {
            instructions: HOUSE_RULE.to_owned(),
            history: Vec::new(),
            last: None,
            count: 0,
        }
    }
}

impl Talk {
    fn hear(&mut self, message: &Value) -> Result<(), Problem> {
        let param = format!("messages[{}]", self.count);
        self.count += 1;
        let text = message.get("content").and_then(text_of);
        let text = text.ok_or_else(|| wrong("only text is understood here", Some(&param)))?;
        match message.get("role").and_then(Value::text) {
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

    /// What the user said has become history.
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
        })
    }
}

/// A content: a text, or a list of parts that are text.
fn text_of(content: &Value) -> Option<String> {
    match content {
        Value::Text(text) => Some(text.clone()),
        Value::List(parts) => parts
            .iter()
            .map(|part| part.get("text").and_then(Value::text))
            .collect(),
        _ => None,
    }
}

/// An item of the Responses API, on one line.
fn item(role: &str, kind: &str, text: &str) -> String {
    format!(
        r#"{{"type":"message","role":"{role}","content":[{{"type":"{kind}","text":{}}}]}}"#,
        quote(text)
    )
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

    fn render(body: &str) -> Result<Plan, Problem> {
        Policy::render(Request {
            id: "req_1".to_owned(),
            arrived: 0,
            dialect: "chat-completions".to_owned(),
            body: body.to_owned(),
            attachments: Vec::new(),
            settings: "{}".to_owned(),
            nested: false,
        })
    }

    #[test]
    fn the_house_speaks_first_and_the_user_last() {
        let body = r#"{"model": "gpt-5.5", "stream": true, "temperature": 1, "messages": [
            {"role": "system", "content": "Be kind."}, {"role": "user", "content": "one"},
            {"role": "assistant", "content": "two"},
            {"role": "user", "content": [{"type": "text", "text": "three"}]}]}"#;
        let plan = render(body).unwrap();
        assert_eq!(plan.instructions, format!("{HOUSE_RULE}\n\nBe kind."));
        assert_eq!(plan.briefs.len(), 1);
        assert_eq!(plan.briefs[0].input, [InputItem::Text("three".to_owned())]);
        assert_eq!(plan.history.len(), 2);
        assert!(plan.history[1].contains(r#""text":"two""#));
        assert!(plan.streaming && plan.notes == r#"{"streaming":true}"#);
        assert_eq!(plan.ignored, ["temperature"]);
    }

    #[test]
    fn several_candidates_have_a_brief_each() {
        let body = r#"{"parallel_calls": 3, "messages": [{"role": "user", "content": "one"}]}"#;
        let plan = render(body).unwrap();
        assert_eq!(plan.briefs.len(), 3);
        assert!(Value::read(&plan.notes).unwrap().get("fan_out").is_some());
    }

    #[test]
    fn what_is_wrong_is_named() {
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
