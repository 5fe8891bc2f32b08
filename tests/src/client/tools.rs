//! Tool calls of a client: responses are read and checked by the rules that SDKs rely on, and results are sent.

use std::collections::HashSet;

use anyhow::{Context, Result, bail, ensure};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::{Client, Frame, Reply};

/// A function with one string argument, `city`, for a request's `tools`.
pub fn tool(name: &str) -> Value {
    let parameters =
        json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    json!({"type": "function", "function": {"name": name, "description": format!("Does {name}."), "parameters": parameters}})
}

/// A request whose history has this many calls and results, of about 130 bytes each.
pub fn many_calls(count: usize) -> Value {
    let calls: Vec<Value> = (0..count)
        .map(|number| {
            json!({"id": format!("c{number}"), "type": "function", "function": {"name": "f", "arguments": "{}"}})
        })
        .collect();
    let result =
        |it: usize| json!({"role": "tool", "tool_call_id": format!("c{it}"), "content": "x"});
    let mut messages = vec![
        json!({"role": "user", "content": "hi"}),
        json!({"role": "assistant", "tool_calls": calls}),
    ];
    messages.extend((0..count).map(result));
    json!({"model": "default", "messages": messages})
}

/// A function call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolCall {
    /// The call's ID.
    pub id: String,
    /// The function's name.
    pub name: String,
    /// The arguments as the model wrote them.
    pub arguments: String,
}

/// A complete response.
#[derive(Clone, Debug, Default)]
pub struct Completion {
    /// The message as a client stores it: as received, or as an SDK assembles it from a stream.
    pub message: Value,
    /// The text, or an empty string.
    pub text: String,
    /// The calls, in order.
    pub calls: Vec<ToolCall>,
    /// The finish reason.
    pub finish_reason: String,
    /// The usage.
    pub usage: Option<Value>,
    /// `resumed`, `rebuilt`, or an empty string.
    pub turn: String,
}

impl Completion {
    /// Reads a body. Fails if it is not a completion, or violates a rule.
    pub fn of_reply(reply: &Reply) -> Result<Self> {
        let body = &reply.body;
        ensure!(reply.status.as_u16() == 200, "{}: {body}", reply.status);
        ensure!(body["object"] == "chat.completion", "{body}");
        ensure!(
            body["choices"].as_array().map(Vec::len) == Some(1),
            "{body}"
        );
        let choice = &body["choices"][0];
        let message = choice.get("message").context("no message")?;
        ensure!(message["role"] == "assistant", "{message}");
        let mut completion = Self {
            message: message.clone(),
            finish_reason: text_at(choice, "finish_reason")?,
            usage: body.get("usage").cloned(),
            turn: turn_of(&reply.headers),
            ..Self::default()
        };
        match message.get("content") {
            Some(Value::String(text)) => text.clone_into(&mut completion.text),
            Some(Value::Null) => {}
            _ => bail!("content that is neither text nor null: {message}"),
        }
        if let Some(calls) = message.get("tool_calls") {
            for call in calls.as_array().context("tool_calls that are no array")? {
                no_nulls(call)?;
                ensure!(call["type"] == "function", "{call}");
                completion.calls.push(ToolCall {
                    id: text_at(call, "id")?,
                    name: text_at(&call["function"], "name")?,
                    arguments: text_at(&call["function"], "arguments")?,
                });
            }
            ensure!(!completion.calls.is_empty(), "tool_calls without a call");
        }
        ensure!(
            message["content"].is_string() || !completion.calls.is_empty(),
            "neither text nor calls: {message}"
        );
        completion.check()
    }

    /// Assembles the frames of a stream as SDKs do: call deltas are concatenated by index. Fails at an error frame.
    pub fn of_frames(frames: &[Frame], headers: &HeaderMap) -> Result<Self> {
        let mut completion = Self {
            turn: turn_of(headers),
            ..Self::default()
        };
        let Some((Frame::Done, chunks)) = frames.split_last() else {
            bail!("no [DONE] at the end: {frames:?}");
        };
        for chunk in chunks {
            let data = chunk.data().context("a second [DONE]")?;
            if let Some(error) = chunk.error() {
                bail!("an error frame: {error}");
            }
            ensure!(data["object"] == "chat.completion.chunk", "{data}");
            if let Some(usage) = chunk.usage() {
                ensure!(data["choices"] == json!([]), "{data}");
                completion.usage = Some(usage.clone());
                continue;
            }
            completion.apply(chunk, &data["choices"][0]["delta"])?;
        }
        let content = match completion.text.as_str() {
            "" if !completion.calls.is_empty() => Value::Null,
            text => json!(text),
        };
        completion.message = json!({"role": "assistant", "content": content});
        if !completion.calls.is_empty() {
            let calls = completion.calls.iter().map(|call| {
                json!({"id": call.id, "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments}})
            });
            completion.message["tool_calls"] = calls.collect();
        }
        completion.check()
    }

    /// The only call.
    pub fn call(&self) -> Result<&ToolCall> {
        match self.calls.as_slice() {
            [call] => Ok(call),
            _ => bail!("not one call: {self:?}"),
        }
    }

    /// The ids of its calls.
    pub fn ids(&self) -> Vec<&str> {
        self.calls.iter().map(|call| call.id.as_str()).collect()
    }

    /// A number of its usage, such as `prompt_tokens`.
    pub fn tokens(&self, kind: &str) -> Option<u64> {
        self.usage.as_ref()?.get(kind)?.as_u64()
    }

    fn apply(&mut self, chunk: &Frame, delta: &Value) -> Result<()> {
        ensure!(
            self.finish_reason.is_empty(),
            "something after the finish reason: {delta}"
        );
        no_nulls(delta)?;
        self.text.push_str(chunk.text());
        self.finish_reason.push_str(chunk.finish_reason());
        let Some(calls) = delta.get("tool_calls") else {
            return Ok(());
        };
        let calls = calls.as_array().context("tool_calls that are no array")?;
        ensure!(!calls.is_empty(), "tool_calls without a call");
        for piece in calls {
            let index: usize = piece["index"].as_u64().context("no index")?.try_into()?;
            let function = &piece["function"];
            if index == self.calls.len() {
                ensure!(piece["type"] == "function", "{piece}");
                self.calls.push(ToolCall {
                    id: text_at(piece, "id")?,
                    name: text_at(function, "name")?,
                    arguments: text_at(function, "arguments")?,
                });
                continue;
            }
            // Some SDKs concatenate IDs and names as they do arguments.
            ensure!(
                piece.get("id").is_none() && piece.get("type").is_none(),
                "an id or a type once more: {piece}"
            );
            ensure!(function.get("name").is_none(), "a name again: {piece}");
            let call = self.calls.get_mut(index).context("an index left out")?;
            call.arguments.push_str(&text_at(function, "arguments")?);
        }
        Ok(())
    }

    fn check(self) -> Result<Self> {
        let mut ids = HashSet::new();
        for call in &self.calls {
            ensure!(!call.id.is_empty() && !call.name.is_empty(), "{call:?}");
            ensure!(ids.insert(&call.id), "an id that is used twice: {call:?}");
        }
        let calls = self.finish_reason == "tool_calls";
        ensure!(calls != self.calls.is_empty(), "a wrong reason: {self:?}");
        ensure!(!self.finish_reason.is_empty(), "no finish reason: {self:?}");
        Ok(self)
    }
}

/// A conversation in which the client runs the tools. Clones continue independently.
#[derive(Clone, Debug)]
pub struct Conversation {
    client: Client,
    /// The request without its messages.
    body: Value,
    /// The messages so far, which a test may edit.
    pub messages: Vec<Value>,
    streaming: bool,
}

impl Conversation {
    /// A conversation that begins with `question`. `body` holds the other members of its requests, such as `tools`.
    pub fn new(client: &Client, question: &str, body: Value) -> Self {
        Self {
            client: client.clone(),
            body,
            messages: vec![json!({"role": "user", "content": question})],
            streaming: false,
        }
    }

    /// Sets whether responses are streamed.
    #[must_use]
    pub fn streaming(mut self, streaming: bool) -> Self {
        self.streaming = streaming;
        self
    }

    /// Continues the conversation at another gateway.
    #[must_use]
    pub fn at(mut self, client: &Client) -> Self {
        self.client = client.clone();
        self
    }

    /// The body of the next request.
    pub fn request(&self) -> Value {
        let mut body = self.body.clone();
        body["messages"] = json!(self.messages);
        if self.streaming {
            body["stream_options"] = json!({"include_usage": true});
        }
        body
    }

    /// Posts the conversation, and returns the response without adding it to the messages.
    pub async fn send(&self) -> Result<Completion> {
        if !self.streaming {
            return Completion::of_reply(&self.client.chat(self.request()).await?);
        }
        let mut stream = self.client.stream(self.request()).await?;
        let status = stream.status();
        ensure!(status == 200, "{status}: {}", stream.rest().await?);
        let frames = stream.frames().await?;
        Completion::of_frames(&frames, stream.headers())
    }

    /// Posts the conversation, and adds the response to the messages.
    pub async fn ask(&mut self) -> Result<Completion> {
        let completion = self.send().await?;
        self.messages.push(completion.message.clone());
        Ok(completion)
    }

    /// Adds a message of the user.
    pub fn say(&mut self, text: &str) {
        self.messages.push(json!({"role": "user", "content": text}));
    }

    /// Adds the result of a call: a text or parts.
    pub fn result(&mut self, call: &str, content: impl Into<Value>) {
        let content: Value = content.into();
        self.messages
            .push(json!({"role": "tool", "tool_call_id": call, "content": content}));
    }

    /// Adds the results of calls, in this order, and posts the conversation.
    pub async fn answer(&mut self, results: &[(&str, &str)]) -> Result<Completion> {
        for (call, text) in results {
            self.result(call, *text);
        }
        self.ask().await
    }
}

fn turn_of(headers: &HeaderMap) -> String {
    let turn = headers.get("x-airlock-turn");
    let turn = turn.and_then(|value| value.to_str().ok());
    turn.unwrap_or_default().to_owned()
}

fn text_at(value: &Value, key: &str) -> Result<String> {
    let text = value.get(key).and_then(Value::as_str);
    Ok(text
        .with_context(|| format!("no text `{key}`: {value}"))?
        .to_owned())
}

fn no_nulls(value: &Value) -> Result<()> {
    match value {
        Value::Null => bail!("a null"),
        Value::Array(values) => values.iter().try_for_each(no_nulls),
        // OpenAI's own first chunk has `"refusal": null`, and for an answer without text `"content": null`.
        Value::Object(members) => members.iter().try_for_each(|(name, value)| {
            if value.is_null() && (name == "refusal" || name == "content") {
                return Ok(());
            }
            no_nulls(value).with_context(|| format!("in the member {name}"))
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(deltas: &[Value], reason: &str) -> Result<Completion> {
        let chunk = |delta: &Value, reason: Option<&str>| {
            Frame::Data(json!({"object": "chat.completion.chunk",
                "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}))
        };
        let mut frames: Vec<_> = deltas.iter().map(|delta| chunk(delta, None)).collect();
        frames.push(chunk(&json!({}), Some(reason)));
        frames.push(Frame::Done);
        Completion::of_frames(&frames, &HeaderMap::new())
    }

    fn first(index: usize, id: &str) -> Value {
        json!({"tool_calls": [{"index": index, "id": id, "type": "function", "function": {"name": "f", "arguments": ""}}]})
    }

    fn more(index: usize, arguments: &str) -> Value {
        json!({"tool_calls": [{"index": index, "function": {"arguments": arguments}}]})
    }

    #[test]
    fn calls_are_joined_by_index() -> Result<()> {
        let deltas = [
            first(0, "a"),
            more(0, "{"),
            more(0, "}"),
            first(1, "b"),
            more(1, "[]"),
        ];
        let completion = read(&deltas, "tool_calls")?;
        let arguments: Vec<_> = completion
            .calls
            .iter()
            .map(|call| call.arguments.as_str())
            .collect();
        assert_eq!(
            (completion.ids(), arguments),
            (vec!["a", "b"], vec!["{}", "[]"])
        );
        assert_eq!(completion.message["content"], Value::Null);
        Ok(())
    }

    #[test]
    fn streams_that_break_a_rule_are_refused() {
        let mut again = more(0, "{}");
        again["tool_calls"][0]["id"] = json!("a");
        let mut null = more(0, "{}");
        null["tool_calls"][0]["id"] = Value::Null;
        let rows: [(&str, Vec<Value>, &str); 8] = [
            ("an index left out", vec![first(1, "a")], "tool_calls"),
            ("no id", vec![first(0, "")], "tool_calls"),
            (
                "one id twice",
                vec![first(0, "a"), first(1, "a")],
                "tool_calls",
            ),
            ("an id again", vec![first(0, "a"), again], "tool_calls"),
            ("a null", vec![first(0, "a"), null], "tool_calls"),
            ("no calls", vec![json!({"tool_calls": []})], "stop"),
            ("another reason", vec![first(0, "a")], "stop"),
            (
                "a reason without calls",
                vec![json!({"content": "a"})],
                "tool_calls",
            ),
        ];
        for (what, deltas, reason) in rows {
            assert!(read(&deltas, reason).is_err(), "{what}");
        }
    }
}
