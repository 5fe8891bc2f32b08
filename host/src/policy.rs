//! The policy: a sandboxed component that decides the words. The only place that knows how it is run.

mod contract; // what it must give back
mod engine; // what runs it
mod fault; // how it fails
mod release; // one loaded component
mod sandbox; // what one request may use
mod session; // one request

pub(crate) use self::engine::Engine;
pub(crate) use self::fault::Fault;
pub(crate) use self::release::Release;
pub(crate) use self::session::Session;

/// The policy that is shipped inside the gateway.
pub(crate) const EMBEDDED: &[u8] = include_bytes!(env!("AIRLOCK_POLICY"));
