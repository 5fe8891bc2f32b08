//! The policy: a sandboxed component that decides the words. The only place that knows how it is run.

mod cache; // compiled code
pub mod compile; // by a child
pub mod config; // their settings
mod conformance; // what every policy must do
mod contract; // what it must give back
mod engine; // what runs it
mod fault; // how it fails
#[cfg(test)]
mod fuel; // what its calls burn
mod health; // how often it does
mod policy_call; // its calls as values
mod registry; // which there are
mod relay; // frames that need no call
mod release; // one loaded component
mod replay; // its calls, once more
mod rollout; // which one a request gets
mod sandbox; // what one request may use
mod session; // one request
mod settings; // what it is told
mod shadow; // one that runs beside
pub mod size; // how large a request may be
pub mod tape; // its calls as files
#[doc(hidden)]
pub mod testing; // releases and tapes for tests
pub mod trial; // one request with fixed inputs
mod trust; // who vouches for it
mod volume; // how much a request has led to
mod world; // the versions of the boundary

pub use self::config::SHIPPED;
pub use self::conformance::check as conform;
pub use self::engine::Engine;
pub use self::fault::Fault;
pub use self::health::Client;
pub use self::policy_call::{CallResult, PolicyCall};
pub use self::registry::{By, Registry, RegistryError, is_name};
pub use self::release::{LoadError, Release, ReleaseOptions, digest};
pub use self::replay::Replay;
pub use self::rollout::{Chosen, Rollout};
pub use self::session::Session;
pub use self::settings::settle as settle_settings;
pub use self::shadow::ShadowTally;
pub use self::tape::Recorder;

/// The policy that is shipped inside the gateway.
pub const EMBEDDED: &[u8] = include_bytes!(env!("AIRLOCK_POLICY"));
