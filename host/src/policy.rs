//! The policy: a sandboxed component that decides the words. The only place that knows how it is run.

mod cache; // compiled code
pub(crate) mod compile; // by a child
pub(crate) mod config; // their settings
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
pub(crate) mod size; // how large a request may be
pub(crate) mod tape; // its calls as files
mod trust; // who vouches for it
mod volume; // how much a request has led to
mod world; // the versions of the boundary

pub(crate) use self::config::SHIPPED;
pub(crate) use self::conformance::check as conform;
pub(crate) use self::engine::Engine;
pub(crate) use self::fault::Fault;
pub(crate) use self::health::Client;
pub(crate) use self::policy_call::{CallResult, PolicyCall};
pub(crate) use self::registry::{By, Registry, RegistryError, is_name};
#[cfg(test)]
pub(crate) use self::release::tests::hostile;
pub(crate) use self::release::{LoadError, Release, Terms, digest};
pub(crate) use self::replay::Replay;
pub(crate) use self::rollout::{Chosen, Rollout};
pub(crate) use self::session::Session;
pub(crate) use self::settings::settle as settle_settings;
pub(crate) use self::shadow::Tally;
pub(crate) use self::tape::Recorder;

/// The policy that is shipped inside the gateway.
pub(crate) const EMBEDDED: &[u8] = include_bytes!(env!("AIRLOCK_POLICY"));
