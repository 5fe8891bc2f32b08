//! The objects of the dialect: chunks, a whole completion and an error, each with the stamp.

use crate::bindings::airlock::policy::types::{Context, Problem, ProblemKind, Usage};
use crate::bindings::exports::airlock::policy::translate::Frame;
use crate::stamp;

/// The fields with which every object of a response begins.
#[derive(Debug)]
pub(crate) struct Heading {
    id: String,
    /// Unix seconds.
    created: u64,
    model: String,
}

impl Heading {
    pub(crate) fn of(context: &Context) -> Self {
        Self {
            id: format!("chatcmpl-{}", context.id),
            created: context.arrived / 1000,
            model: context.model.clone(),
        }
    }

    /// A piece of the answer.
    pub(crate) fn piece(&self, text: &str) -> Frame {
        self.chunk(&format!(r#"{{"content":{}}}"#, quoted(text)), "null")
    }

    /// The last chunk, with the `finish_reason`.
    pub(crate) fn end(&self, reason: &str) -> Frame {
        self.chunk("{}", &quoted(reason))
    }

    /// The whole answer.
    pub(crate) fn whole(&self, text: &str, reason: &str, usage: Option<Usage>) -> String {
        let (text, reason) = (quoted(text), quoted(reason));
        let choice = format!(
            r#"{{"index":0,"message":{{"role":"assistant","content":{text}}},"finish_reason":{reason}}}"#
        );
        let usage = usage.map(|Usage { input, output, .. }| {
            let total = input.saturating_add(output);
            format!(
                r#","usage":{{"prompt_tokens":{input},"completion_tokens":{output},"total_tokens":{total}}}"#
            )
        });
        self.object("chat.completion", &choice, &usage.unwrap_or_default())
    }

    fn chunk(&self, delta: &str, reason: &str) -> Frame {
        let choice = format!(r#"{{"index":0,"delta":{delta},"finish_reason":{reason}}}"#);
        frame(self.object("chat.completion.chunk", &choice, ""))
    }

    fn object(&self, kind: &str, choice: &str, more: &str) -> String {
        let (id, created, model) = (quoted(&self.id), self.created, quoted(&self.model));
        let stamp = quoted(&stamp());
        format!(
            r#"{{"id":{id},"object":"{kind}","created":{created},"model":{model},"choices":[{choice}]{more},"stamp":{stamp}}}"#
        )
    }
}

/// One of the models that the home offers.
pub(crate) fn model(id: &str) -> String {
    let (id, stamp) = (quoted(id), quoted(&stamp()));
    format!(r#"{{"id":{id},"object":"model","created":0,"owned_by":"openai","stamp":{stamp}}}"#)
}

/// The list of models.
pub(crate) fn list(models: &[String]) -> String {
    let (models, stamp) = (models.join(","), quoted(&stamp()));
    format!(r#"{{"object":"list","data":[{models}],"stamp":{stamp}}}"#)
}

/// The error frame of a stream that has begun.
pub(crate) fn error(problem: &Problem) -> Frame {
    let kind = match problem.kind {
        ProblemKind::InvalidRequest | ProblemKind::Unsupported | ProblemKind::NotFound => {
            "invalid_request_error"
        }
        ProblemKind::Authentication => "authentication_error",
        ProblemKind::RateLimited => "rate_limit_error",
        ProblemKind::Overloaded
        | ProblemKind::Upstream
        | ProblemKind::Timeout
        | ProblemKind::Internal => "server_error",
    };
    let optional = |text: &Option<String>| text.as_deref().map_or("null".to_owned(), quoted);
    let (message, stamp) = (quoted(&problem.message), quoted(&stamp()));
    let (param, code) = (optional(&problem.param), optional(&problem.code));
    frame(format!(
        r#"{{"error":{{"message":{message},"type":"{kind}","param":{param},"code":{code}}},"stamp":{stamp}}}"#
    ))
}

/// The frame that ends every stream, the only one that is not JSON.
pub(crate) fn done() -> Frame {
    frame("[DONE]".to_owned())
}

fn frame(data: String) -> Frame {
    Frame {
        event: None,
        data,
        number: None,
    }
}

/// A text as JSON.
fn quoted(text: &str) -> String {
    // Serializing a string cannot fail. Some clients end a line at these three characters, which occur only in strings.
    let plain = serde_json::to_string(text).unwrap_or_default();
    plain
        .replace('\u{85}', "\\u0085")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}
