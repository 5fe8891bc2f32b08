//! The policy that Airlock ships: OpenAI's chat completions and Anthropic's Messages API over Codex. This file is its table of contents.
//!
//! All modules are plain Rust over the types of `wit/`: they run natively in tests and in other policies. Only
//! `component`, `exports`, `bindings` and `allocator` concern the WebAssembly component.

pub mod bindings;

pub mod admit;
pub mod manifest;
pub mod models;
pub mod panel;
pub mod prompt;
pub mod translate;

pub mod component;

#[cfg(all(target_family = "wasm", feature = "export"))]
mod allocator;
// A native build cannot link a component's exports, and a policy that builds on this one exports itself.
#[cfg(all(target_arch = "wasm32", feature = "export"))]
mod exports;

mod compaction;
mod json;
mod notes;
mod problem;
mod reasoning_signature;
mod stored_response;
mod tools;

/// OpenAI's chat completions, as the host's route names the dialect.
pub const DIALECT: &str = "chat-completions";
/// Anthropic's Messages API, as the host's route names it.
pub const MESSAGES_DIALECT: &str = "messages";
/// OpenAI's Responses API, as the host's route names it.
pub const RESPONSES_DIALECT: &str = "responses";
/// The dialects that this policy implements.
pub const DIALECTS: [&str; 3] = [DIALECT, MESSAGES_DIALECT, RESPONSES_DIALECT];
