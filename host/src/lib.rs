//! The gateway, from the wire inwards.

pub mod command; // what operators type
pub mod config; // what they may set
pub mod gateway; // one running gateway
#[doc(hidden)]
pub mod measure; // what `cargo bench` measures

mod attachments; // what a body carries besides words
mod author; // what somebody needs who writes a policy
mod bell; // who wakes whom
mod clock; // what time it is
mod codex; // who does the work
mod descriptors; // how many files may be open
mod escape; // what a terminal would obey
mod events; // events that wait
mod failure; // what went wrong, in two voices
mod flow; // what a request becomes
mod http; // what clients see
mod memory; // what bodies may take up
mod metrics; // what is counted
mod places; // how many turns at once
mod policy; // who decides the words
mod preflight; // what a gateway needs
mod rehearsal; // the model for a first run
mod secrets; // what looks like a secret
mod task; // what runs beside requests
mod telemetry; // what the log says
mod wit; // the vocabulary
