//! The table of known parameters.

use super::rule::Harmless::{Empty, False, Never, OnlyText};
use super::rule::Treatment::{Accepted, Honoured, Ignored, Refused};
use super::rule::{Harmless, Parameter, Treatment, Values};

/// The known parameters, in the order of the documentation.
#[rustfmt::skip] // A table reads by its rows.
pub const PARAMETERS: &[Parameter] = &[
    // Honoured.
    row("messages", Values::Array, Honoured, "roles system, developer, user, assistant and tool; text and images"),
    row("model", Values::Text, Honoured, "required; `default` is the home's default model"),
    row("stream", Values::Boolean, Honoured, "server-sent events"),
    row("stream_options", Values::Object, Honoured, "`include_usage`, `include_candidates`; only with `stream: true`"),
    row("reasoning_effort", Values::Text, Honoured, "`none`, `minimal`, `low`, `medium`, `high`, `xhigh`, or a word that the model knows"),
    row("reasoning", Values::Object, Honoured, "`effort` and `summary` as in the Responses API; `reasoning_effort` goes first"),
    row("include_reasoning", Values::Boolean, Honoured, "true asks for `reasoning_content`, as `reasoning.summary: \"auto\"` does"),
    row("response_format", Values::Object, Honoured, "`json_schema` is enforced by the model, always strictly; `json_object` is asked for in the instructions and checked"),
    row("tools", Values::Array, Honoured, "functions of the client, at most 128; see Tools"),
    row("tool_choice", Values::TextOrObject, Honoured, "`auto`, `none`, `required`, a function, or `allowed_tools`; see Tools"),
    row("parallel_tool_calls", Values::Boolean, Honoured, "false returns only the first call; see Tools"),
    row("parallel_calls", Values::Integer(1, 20), Honoured, "so many attempts, of which one answer is made; see Fan-out"),
    row("airlock", Values::Object, Honoured, "`synthesis`, `quorum`, `grace_ms`, `deadline_ms`, `candidates`; see Fan-out"),
    // Accepted.
    row("metadata", Values::Object, Accepted, "for OpenAI's own records"),
    row("user", Values::Text, Accepted, "for OpenAI's own records"),
    row("safety_identifier", Values::Text, Accepted, "for OpenAI's own records"),
    row("store", Values::Boolean, Accepted, "nothing is stored"),
    row("service_tier", Values::Text, Accepted, "the account decides"),
    row("prompt_cache_key", Values::Text, Accepted, "Codex chooses its own"),
    row("prompt_cache_retention", Values::Text, Accepted, "Codex chooses its own"),
    // Ignored.
    row("temperature", Values::Number(0, 2), Ignored, SAMPLING),
    row("top_p", Values::Number(0, 1), Ignored, SAMPLING),
    row("top_k", Values::Integer(-1, i64::MAX), Ignored, SAMPLING),
    row("min_p", Values::Number(0, 1), Ignored, SAMPLING),
    row("presence_penalty", Values::Number(-2, 2), Ignored, SAMPLING),
    row("frequency_penalty", Values::Number(-2, 2), Ignored, SAMPLING),
    row("repetition_penalty", Values::Number(0, i32::MAX), Ignored, SAMPLING),
    row("logit_bias", Values::Object, Ignored, SAMPLING),
    row("seed", Values::Integer(i64::MIN, i64::MAX), Ignored, SAMPLING),
    row("max_tokens", Values::Integer(1, i64::MAX), Ignored, "Codex sends no bound on the answer's length"),
    row("max_completion_tokens", Values::Integer(1, i64::MAX), Ignored, "Codex sends no bound on the answer's length"),
    row("prediction", Values::Object, Ignored, "only makes the answer faster"),
    row("verbosity", Values::OneOf(&["low", "medium", "high"]), Ignored, "the model's own setting decides"),
    // Refused.
    row("n", Values::Integer(1, 128), Refused(Harmless::Integer(1)), "there is one answer to a request; `parallel_calls` makes it of several attempts"),
    row("logprobs", Values::Boolean, Refused(False), "Codex does not report them"),
    row("top_logprobs", Values::Integer(0, 20), Refused(Harmless::Integer(0)), "Codex does not report them"),
    row("stop", Values::TextOrArray, Refused(Empty), "Codex cannot stop at a word"),
    row("modalities", Values::Array, Refused(OnlyText), "there is only text"),
    row("audio", Values::Object, Refused(Never), "there is only text"),
    row("functions", Values::Array, Refused(Empty), "`tools` has taken its place"),
    row("function_call", Values::TextOrObject, Refused(Harmless::OneOf(&["none", "auto"])), "`tools` and `tool_choice` have taken its place"),
    row("web_search_options", Values::Object, Refused(Never), "web search is switched off"),
];

impl Parameter {
    /// The parameter that the client calls `name`.
    pub(in crate::prompt) fn named(name: &str) -> Option<&'static Self> {
        PARAMETERS.iter().find(|parameter| parameter.name == name)
    }
}

const SAMPLING: &str = "Codex does not send it";

const fn row(
    name: &'static str,
    values: Values,
    treatment: Treatment,
    reason: &'static str,
) -> Parameter {
    Parameter {
        name,
        values,
        treatment,
        reason,
    }
}
