//! Token usage in OpenAI's format.

use serde::Serialize;

use crate::bindings::airlock::policy::types::Usage;

/// OpenAI's `usage`.
#[derive(Debug, Serialize)]
pub(super) struct UsageObject {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    prompt_tokens_details: PromptDetails,
    completion_tokens_details: CompletionDetails,
}

#[derive(Debug, Serialize)]
struct PromptDetails {
    cached_tokens: u64,
}

#[derive(Debug, Serialize)]
struct CompletionDetails {
    reasoning_tokens: u64,
}

impl UsageObject {
    pub(super) fn of(usage: Usage) -> Self {
        Self {
            prompt_tokens: usage.input,
            completion_tokens: usage.output,
            total_tokens: usage.input.saturating_add(usage.output),
            prompt_tokens_details: PromptDetails {
                cached_tokens: usage.cached,
            },
            completion_tokens_details: CompletionDetails {
                reasoning_tokens: usage.reasoning,
            },
        }
    }
}

/// The sum of several turns' usage. None if none of them reported any.
pub(super) fn sum(usages: impl IntoIterator<Item = Option<Usage>>) -> Option<Usage> {
    usages.into_iter().flatten().reduce(|sum, usage| Usage {
        input: sum.input.saturating_add(usage.input),
        cached: sum.cached.saturating_add(usage.cached),
        output: sum.output.saturating_add(usage.output),
        reasoning: sum.reasoning.saturating_add(usage.reasoning),
    })
}
