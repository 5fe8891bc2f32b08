//! The table of the Messages API's parameters.

use crate::prompt::parameters::Harmless::{Empty, Never};
use crate::prompt::parameters::Treatment::{Accepted, Honoured, Ignored, Refused, RequiredUnused};
use crate::prompt::parameters::{Harmless, Parameter, Values};

/// The known parameters of the Messages API, in the order of the documentation.
#[rustfmt::skip] // A table reads by its rows.
pub const MESSAGES_PARAMETERS: &[Parameter] = &[
    // Honoured.
    Parameter::row("messages", Values::Array, Honoured, "roles user, assistant and system; text, images, tool use and thinking; see Messages"),
    Parameter::row("model", Values::Text, Honoured, "required; `default` is the home's default model"),
    Parameter::row("system", Values::TextOrArray, Honoured, "text; Claude Code's `x-anthropic-billing-header` is left out"),
    Parameter::row("stream", Values::Boolean, Honoured, "server-sent events"),
    Parameter::row("stop_sequences", Values::Array, Honoured, "up to 64 sequences that end the answer, which does not contain them"),
    Parameter::row("thinking", Values::Object, Honoured, "whether reasoning is returned; `budget_tokens` becomes an effort; see Thinking"),
    Parameter::row("output_config", Values::Object, Honoured, "`effort`; `format` with a JSON Schema, which the model enforces"),
    Parameter::row("tools", Values::Array, Honoured, "custom tools, at most 128; see Tools"),
    Parameter::row("tool_choice", Values::Object, Honoured, "`auto`, `any`, `tool` or `none`, with `disable_parallel_tool_use`; see Tools"),
    Parameter::row("parallel_calls", Values::Integer(1, 20), Honoured, "so many attempts, of which one answer is made; see Fan-out in chat-completions.md"),
    Parameter::row("airlock", Values::Object, Honoured, "`synthesis`, `quorum`, `grace_ms`, `deadline_ms`, `candidates`; see Fan-out in chat-completions.md"),
    // Accepted.
    Parameter::row("metadata", Values::Object, Accepted, "for Anthropic's own records"),
    Parameter::row("user_profile_id", Values::Text, Accepted, "for Anthropic's own records"),
    Parameter::row("workspace_id", Values::Text, Accepted, "for Anthropic's own records"),
    Parameter::row("billing_policy", Values::Object, Accepted, "the account decides"),
    Parameter::row("service_tier", Values::Text, Accepted, "the account decides"),
    Parameter::row("cache_control", Values::Object, Accepted, "the model's cache needs no marks"),
    // Ignored.
    Parameter::row("max_tokens", Values::Integer(1, i64::MAX), RequiredUnused, "Codex sends no bound on the answer's length"),
    Parameter::row("temperature", Values::Number(0, 1), Ignored, SAMPLING),
    Parameter::row("top_p", Values::Number(0, 1), Ignored, SAMPLING),
    Parameter::row("top_k", Values::Integer(0, i64::MAX), Ignored, SAMPLING),
    Parameter::row("context_management", Values::Object, Ignored, "the conversation reaches the model as it is"),
    Parameter::row("compaction", Values::Object, Ignored, "the conversation reaches the model as it is"),
    Parameter::row("diagnostics", Values::Object, Ignored, "Codex does not report why the cache was missed"),
    Parameter::row("fallbacks", Values::Array, Ignored, "there are no other models to fall back to"),
    Parameter::row("speed", Values::OneOf(&["standard", "fast"]), Ignored, "the account decides"),
    // Refused.
    Parameter::row("mcp_servers", Values::Array, Refused(Empty), "the gateway connects to no servers; give their tools in `tools`"),
    Parameter::row("container", Values::TextOrObject, Refused(Never), "there are no containers"),
    Parameter::row("inference_geo", Values::Text, Refused(Harmless::OneOf(&["global"])), "the region cannot be chosen"),
    Parameter::row("thread", Values::Object, Refused(Never), "no messages are stored; send the whole conversation in `messages`"),
    Parameter::row("output_format", Values::Object, Refused(Never), "`output_config.format` has taken its place"),
];

const SAMPLING: &str = "Codex does not send it";
