//! Metrics of tokens, as the model's provider counts them and Codex reports them.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use super::histogram::Histogram;
use super::page::Page;

/// Bounds for the tokens of a turn, as OpenTelemetry advises for `gen_ai.client.token.usage`.
const TOKENS: &[f64] = &[
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1_024.0,
    4_096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

/// The tokens that one turn used.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokenCounts {
    /// All input tokens.
    pub input: u64,
    /// Of the input, those read from the model's cache.
    pub cached: u64,
    /// All output tokens.
    pub output: u64,
    /// Of the output, those spent on reasoning.
    pub reasoning: u64,
}

/// The tokens of all turns.
#[derive(Debug)]
pub(super) struct TokenInstruments {
    input: Histogram,
    output: Histogram,
    /// Of the input, those read from the model's cache.
    cached: AtomicU64,
    /// Of the output, those spent on reasoning.
    reasoning: AtomicU64,
}

impl Default for TokenInstruments {
    fn default() -> Self {
        Self {
            input: Histogram::of_numbers(TOKENS),
            output: Histogram::of_numbers(TOKENS),
            cached: AtomicU64::default(),
            reasoning: AtomicU64::default(),
        }
    }
}

impl TokenInstruments {
    /// Adds the usage of a turn. Called once for each turn.
    pub(super) fn add(&self, used: TokenCounts) {
        self.input.count(used.input);
        self.output.count(used.output);
        self.cached.fetch_add(used.cached, Ordering::Relaxed);
        self.reasoning.fetch_add(used.reasoning, Ordering::Relaxed);
    }
}

impl Page<'_> {
    pub(super) fn tokens(&mut self, tokens: &TokenInstruments) -> fmt::Result {
        let help = "Tokens that turns of Codex used, one observation for each turn of a request";
        let series = [("input", &tokens.input), ("output", &tokens.output)];
        let series = series.map(|(kind, tokens)| ([("gen_ai_token_type", kind)], tokens));
        self.histograms("gen_ai_client_token_usage", help, None, series)?;
        let help = "Tokens that turns of Codex used; input and output hold the other two";
        let kinds = [
            ("input", tokens.input.sum()),
            ("cached_input", tokens.cached.load(Ordering::Relaxed)),
            ("output", tokens.output.sum()),
            ("reasoning_output", tokens.reasoning.load(Ordering::Relaxed)),
        ];
        let series = kinds.map(|(kind, count)| ([("kind", kind.to_owned())], count));
        self.counters("airlock_tokens", help, series)
    }
}
