//! Token usage in Anthropic's format.

use serde::Serialize;

use crate::bindings::airlock::policy::types::Usage;

/// The `usage` of a whole message, and of `message_start`.
#[derive(Debug, Serialize)]
pub(super) struct MessageUsage {
    #[serde(flatten)]
    tokens: MessageTokens,
    cache_creation: CacheCreationTokens,
    server_tool_use: Option<()>,
    service_tier: &'static str,
}

/// The counts, which are all that `message_delta` has.
#[derive(Debug, Serialize)]
pub(super) struct MessageTokens {
    /// Tokens of the input that were not read from the cache.
    input_tokens: u64,
    cache_creation_input_tokens: u64,
    cache_read_input_tokens: u64,
    output_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_tokens_details: Option<ThinkingTokens>,
}

#[derive(Debug, Serialize)]
struct ThinkingTokens {
    thinking_tokens: u64,
}

#[derive(Debug, Serialize)]
struct CacheCreationTokens {
    ephemeral_1h_input_tokens: u64,
    ephemeral_5m_input_tokens: u64,
}

impl MessageTokens {
    /// The counts of this usage. If it is unknown, the input is the estimate.
    pub(super) fn of(usage: Option<Usage>, estimated_input: u64) -> Self {
        Self {
            input_tokens: usage.map_or(estimated_input, |usage| {
                usage.input.saturating_sub(usage.cached)
            }),
            cache_creation_input_tokens: 0,
            cache_read_input_tokens: usage.map_or(0, |usage| usage.cached),
            output_tokens: usage.map_or(0, |usage| usage.output),
            output_tokens_details: usage.map(|usage| ThinkingTokens {
                thinking_tokens: usage.reasoning,
            }),
        }
    }
}

impl MessageUsage {
    pub(super) fn of(tokens: MessageTokens) -> Self {
        Self {
            tokens,
            cache_creation: CacheCreationTokens {
                ephemeral_1h_input_tokens: 0,
                ephemeral_5m_input_tokens: 0,
            },
            server_tool_use: None,
            service_tier: "standard",
        }
    }
}
