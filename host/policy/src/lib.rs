//! Policies: sandboxed WebAssembly components that decide what clients and the model read. Compilation, releases, rollout,
//! and the sandbox of each request.

mod answer_size; // bytes of a request's events and output
mod cache; // compiled code on disk
pub mod compile; // compilation in a child process
pub mod config; // the crate's settings
mod conformance; // requests that every build must handle
mod contract; // checks of a policy's results
mod engine; // wasmtime's engine and its epoch clock
mod fault; // how a call fails
#[cfg(test)]
mod fuel; // instructions of the shipped policy's calls
mod health; // requests and faults of a release
mod policy_call; // calls as values, and their observers
mod registry; // builds, releases and their roles
mod relay; // frames that need no call
mod release; // one loaded component
mod replay; // calls repeated on another release
pub mod request_size; // the size of requests
mod rollout; // the release of each request
mod sandbox; // memory, CPU time and WASI of one request
mod session; // the calls of one request
mod settings; // the settings of policies
mod shadow; // releases whose results are compared and dropped
pub mod tape; // recorded calls
#[doc(hidden)]
pub mod testing; // releases and tapes for tests
pub mod trial; // one request with fixed inputs
mod trust; // pins and signatures
mod world; // the versions of the boundary

pub use self::config::SHIPPED;
pub use self::conformance::check as conform;
pub use self::engine::Engine;
pub use self::fault::Fault;
pub use self::health::Client;
pub use self::policy_call::{CallResult, PolicyCall};
pub use self::registry::{ChangedBy, Registry, RegistryError, is_name};
pub use self::release::{LoadError, Release, ReleaseOptions, digest};
pub use self::replay::Replay;
pub use self::rollout::{Chosen, Rollout};
pub use self::session::Session;
pub use self::settings::settle as settle_settings;
pub use self::shadow::ShadowTally;
pub use self::tape::Recorder;

/// The policy that is shipped inside the gateway.
pub const EMBEDDED: &[u8] = include_bytes!(env!("AIRLOCK_POLICY"));
