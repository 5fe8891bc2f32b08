//! The gateway: HTTP in front, `codex app-server` children behind, a WebAssembly policy between them.

#[doc(hidden)]
pub mod bench_support;
pub mod command; // the command line
pub mod config; // settings
pub mod gateway; // one running gateway // entry points for `cargo bench`

mod preflight; // checks of the set-up, for `serve` and `doctor`
mod telemetry; // logging
