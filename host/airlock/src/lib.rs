//! The binary's library: the command line, the configuration, logging, and the gateway that connects the other crates.

#[doc(hidden)]
pub mod bench_support; // entry points for `cargo bench`
pub mod command; // the command line
pub mod config; // settings
pub mod gateway; // one running gateway

mod preflight; // checks of the set-up, for `serve` and `doctor`
mod telemetry; // logging
