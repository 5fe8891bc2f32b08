//! The gateway: HTTP in front, `codex app-server` children behind, a WebAssembly policy between them.

pub mod command; // the command line
pub mod config; // settings
pub mod gateway; // one running gateway
#[doc(hidden)]
pub mod measure; // entry points for `cargo bench`

mod attachments; // data URLs, lifted out of request bodies
mod author; // the policy author's kit
mod clock; // UTC timestamps
mod codex; // the fleet of `codex app-server` children
mod descriptors; // the limit of file descriptors
pub mod environment; // the process's variables
mod escape; // control characters, for terminals and logs
mod events; // batches of turn events
mod failure; // an error for the client, with its cause for the log
mod flow; // a request, from its body to its response
mod http; // listener, routes and server-sent events
mod memory; // the memory budget of request bodies
mod metrics; // Prometheus metrics
mod policy; // policies: load, run, swap
mod preflight; // checks of the set-up, for `serve` and `doctor`
mod quantity; // sizes and durations in settings
mod rehearsal; // a scripted model
mod resizable_semaphore; // the limit of turns that run at once
pub mod secrets; // redaction, and text that is never printed
mod server_config; // the server's settings
mod task; // named background tasks with cancellation
mod telemetry; // logging
mod wake_flag; // wakes the reply of a turn
mod wit; // generated bindings of the boundary
