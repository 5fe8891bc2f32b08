//! The table of a chat completion's parameters.

use crate::prompt::parameters::Harmless::{Empty, False, Never, OnlyText};
use crate::prompt::parameters::Treatment::{Accepted, Honoured, Ignored, Refused};
use crate::prompt::parameters::{Harmless, Parameter, Values};

/// The known parameters of a chat completion, in the order of the documentation.
#[rustfmt::skip] // A table reads by its rows.
pub const PARAMETERS: &[Parameter] = &[
    // Honoured.
    Parameter::row("messages", Values::Array, Honoured, "roles system, developer, user, assistant and tool; text and images"),
    Parameter::row("model", Values::Text, Honoured, "required; `default` is the home's default model"),
    Parameter::row("stream", Values::Boolean, Honoured, "server-sent events"),
    Parameter::row("stream_options", Values::Object, Honoured, "`include_usage`, `include_candidates`; only with `stream: true`"),
    Parameter::row("reasoning_effort", Values::Text, Honoured, "`none`, `minimal`, `low`, `medium`, `high`, `xhigh`, or a word that the model knows"),
    Parameter::row("reasoning", Values::Object, Honoured, "`effort` and `summary` as in the Responses API; `reasoning_effort` goes first"),
    Parameter::row("include_reasoning", Values::Boolean, Honoured, "true asks for `reasoning_content`, as `reasoning.summary: \"auto\"` does"),
    Parameter::row("response_format", Values::Object, Honoured, "`json_schema` is enforced by the model, always strictly; `json_object` is asked for in the instructions and checked"),
    Parameter::row("verbosity", Values::OneOf(&["low", "medium", "high"]), Honoured, "how long the answer should be"),
    Parameter::row("stop", Values::TextOrArray, Honoured, "a sequence that ends the answer, or up to 4 of them; the answer does not contain it"),
    Parameter::row("tools", Values::Array, Honoured, "functions of the client, at most 128; see Tools"),
    Parameter::row("tool_choice", Values::TextOrObject, Honoured, "`auto`, `none`, `required`, a function, or `allowed_tools`; see Tools"),
    Parameter::row("parallel_tool_calls", Values::Boolean, Honoured, "false returns only the first call; see Tools"),
    Parameter::row("n", Values::Integer(1, 20), Honoured, "so many answers, each a choice; see Several answers"),
    Parameter::row("parallel_calls", Values::Integer(1, 20), Honoured, "so many attempts, of which one answer is made; see Fan-out"),
    Parameter::row("airlock", Values::Object, Honoured, "`synthesis`, `quorum`, `grace_ms`, `deadline_ms`, `candidates`; see Fan-out"),
    // Accepted.
    Parameter::row("metadata", Values::Object, Accepted, "for OpenAI's own records"),
    Parameter::row("user", Values::Text, Accepted, "for OpenAI's own records"),
    Parameter::row("safety_identifier", Values::Text, Accepted, "for OpenAI's own records"),
    Parameter::row("store", Values::Boolean, Accepted, "nothing is stored"),
    Parameter::row("service_tier", Values::Text, Accepted, "the account decides"),
    Parameter::row("prompt_cache_key", Values::Text, Accepted, "Codex chooses its own"),
    Parameter::row("prompt_cache_retention", Values::Text, Accepted, "Codex chooses its own"),
    // Ignored.
    Parameter::row("temperature", Values::Number(0, 2), Ignored, SAMPLING),
    Parameter::row("top_p", Values::Number(0, 1), Ignored, SAMPLING),
    Parameter::row("top_k", Values::Integer(-1, i64::MAX), Ignored, SAMPLING),
    Parameter::row("min_p", Values::Number(0, 1), Ignored, SAMPLING),
    Parameter::row("presence_penalty", Values::Number(-2, 2), Ignored, SAMPLING),
    Parameter::row("frequency_penalty", Values::Number(-2, 2), Ignored, SAMPLING),
    Parameter::row("repetition_penalty", Values::Number(0, i32::MAX), Ignored, SAMPLING),
    Parameter::row("logit_bias", Values::Object, Ignored, SAMPLING),
    Parameter::row("seed", Values::Integer(i64::MIN, i64::MAX), Ignored, SAMPLING),
    Parameter::row("max_tokens", Values::Integer(1, i64::MAX), Ignored, "Codex sends no bound on the answer's length"),
    Parameter::row("max_completion_tokens", Values::Integer(1, i64::MAX), Ignored, "Codex sends no bound on the answer's length"),
    Parameter::row("prediction", Values::Object, Ignored, "only makes the answer faster"),
    // Refused.
    Parameter::row("logprobs", Values::Boolean, Refused(False), "Codex does not report them"),
    Parameter::row("top_logprobs", Values::Integer(0, 20), Refused(Harmless::Integer(0)), "Codex does not report them"),
    Parameter::row("modalities", Values::Array, Refused(OnlyText), "there is only text"),
    Parameter::row("audio", Values::Object, Refused(Never), "there is only text"),
    Parameter::row("functions", Values::Array, Refused(Empty), "`tools` has taken its place"),
    Parameter::row("function_call", Values::TextOrObject, Refused(Harmless::OneOf(&["none", "auto"])), "`tools` and `tool_choice` have taken its place"),
    Parameter::row("web_search_options", Values::Object, Refused(Never), "web search is switched off"),
];

const SAMPLING: &str = "Codex does not send it";
