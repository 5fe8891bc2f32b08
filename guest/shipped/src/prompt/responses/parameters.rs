//! The table of parameters of the Responses API.

use crate::prompt::parameters::Harmless::{self, Never};
use crate::prompt::parameters::Treatment::{Accepted, Honoured, Ignored, Refused};
use crate::prompt::parameters::{Parameter, Values};

/// The known parameters, in the order of the documentation.
#[rustfmt::skip] // A table reads by its rows.
pub const RESPONSES_PARAMETERS: &[Parameter] = &[
    // Honoured.
    Parameter::row("input", Values::TextOrArray, Honoured, "a user's message, or items: messages, calls, outputs, reasoning and others; see Input"),
    Parameter::row("instructions", Values::Text, Honoured, "replace Codex's own; messages of role system or developer at the head of `input` follow them"),
    Parameter::row("model", Values::Text, Honoured, "required; `default` is the home's default model"),
    Parameter::row("stream", Values::Boolean, Honoured, "server-sent events"),
    Parameter::row("stream_options", Values::Object, Honoured, "`include_candidates`; `include_obfuscation` is accepted; only with `stream: true`"),
    Parameter::row("reasoning", Values::Object, Honoured, "`effort` and `summary`; see Reasoning"),
    Parameter::row("text", Values::Object, Honoured, "`format` and `verbosity`; see Text"),
    Parameter::row("tools", Values::Array, Honoured, "functions, custom tools and namespaces of the client; see Tools"),
    Parameter::row("tool_choice", Values::TextOrObject, Honoured, "`auto`, `none`, `required`, a function, a custom tool, or `allowed_tools`; see Tools"),
    Parameter::row("parallel_tool_calls", Values::Boolean, Honoured, "false returns only the first call"),
    Parameter::row("include", Values::Array, Honoured, "`reasoning.encrypted_content`; others are ignored and named"),
    Parameter::row("metadata", Values::Object, Honoured, "at most 16 strings, which the response repeats"),
    Parameter::row("safety_identifier", Values::Text, Honoured, "the response repeats it"),
    Parameter::row("prompt_cache_key", Values::Text, Honoured, "the response repeats it; Codex chooses its own"),
    Parameter::row("store", Values::Boolean, Honoured, "true unless it is given: later requests can fetch and continue the response; see Stored responses"),
    Parameter::row("previous_response_id", Values::Text, Honoured, "the response that this one continues; see Stored responses"),
    Parameter::row("conversation", Values::TextOrObject, Honoured, "the conversation that this response continues, and that receives its items; see Stored responses"),
    Parameter::row("background", Values::Boolean, Honoured, "the response runs without its client; see Background responses"),
    Parameter::row("parallel_calls", Values::Integer(1, 20), Honoured, "so many attempts, of which one answer is made; see [Fan-out](chat-completions.md#fan-out)"),
    Parameter::row("airlock", Values::Object, Honoured, "`synthesis`, `quorum`, `grace_ms`, `deadline_ms`, `candidates`; see [Fan-out](chat-completions.md#fan-out)"),
    Parameter::row("generate", Values::Boolean, Honoured, "false answers at once without output; see Warming up"),
    Parameter::row("type", Values::Text, Honoured, "on a WebSocket: `response.create`, required. Over HTTP it is ignored and named"),
    Parameter::row("stream_id", Values::Text, Honoured, "on a WebSocket: each event of the response repeats it. Over HTTP it is ignored and named"),
    // Accepted.
    Parameter::row("truncation", Values::OneOf(&["auto", "disabled"]), Accepted, "nothing is cut out of the input; the response has `disabled`"),
    Parameter::row("user", Values::Text, Accepted, "for OpenAI's own records"),
    Parameter::row("client_metadata", Values::Object, Accepted, "for OpenAI's own records"),
    Parameter::row("prompt_cache_retention", Values::Text, Accepted, "Codex chooses its own"),
    Parameter::row("prompt_cache_options", Values::Object, Accepted, "Codex chooses its own"),
    // Ignored.
    Parameter::row("temperature", Values::Number(0, 2), Ignored, SAMPLING),
    Parameter::row("top_p", Values::Number(0, 1), Ignored, SAMPLING),
    Parameter::row("presence_penalty", Values::Number(-2, 2), Ignored, SAMPLING),
    Parameter::row("frequency_penalty", Values::Number(-2, 2), Ignored, SAMPLING),
    Parameter::row("max_output_tokens", Values::Integer(1, i64::MAX), Ignored, "Codex sends no bound on the answer's length"),
    Parameter::row("max_tool_calls", Values::Integer(1, i64::MAX), Ignored, "it bounds only tools that OpenAI runs"),
    Parameter::row("service_tier", Values::Text, Ignored, "the account decides"),
    Parameter::row("context_management", Values::Array, Ignored, "nothing is compacted on the way"),
    // Refused.
    Parameter::row("prompt", Values::Object, Refused(Never), "OpenAI stores prompt templates; send the text in `instructions` and `input`"),
    Parameter::row("top_logprobs", Values::Integer(0, 20), Refused(Harmless::Integer(0)), "Codex does not report them"),
    Parameter::row("moderation", Values::Object, Refused(Never), "there is no moderation of input and output"),
];

const SAMPLING: &str = "Codex does not send it";
