//! The test harness: a scripted Codex, a scripted model, a gateway under test and a client to ask it.

pub mod admin; // tells the gateway what to serve with
pub mod client; // asks the gateway
pub mod direct; // an app-server without a gateway
pub mod fake; // a Codex that does as it is told
pub mod gateway; // the gateway under test
pub mod images; // images, whole and broken
pub mod issuer; // the servers that people sign in on
pub mod load; // what a benchmark asks of the fake
pub mod model; // the model behind the real Codex
pub mod policies; // builds of the stamping policy
pub mod process; // what runs on this machine
pub mod programs; // where the programs under test are
pub mod proof; // what swaps promise, measured
pub mod soak; // everything at once, for minutes

pub use airlock_test_components as components;

mod gate; // what a script waits for
mod journal; // what happened, in order
mod patience; // how long a test waits

pub use admin::Admin;
pub use client::{
    Client, Completion, Conversation, FanOut, Frame, Reply, Stream, TabEnd, ToolCall, angle,
    fan_out, many_calls, tool,
};
pub use fake::{Answer, CallResult, FakeCodex, Script, TurnPlan, Usage};
pub use gate::Gate;
pub use gateway::{Gateway, GatewayBuilder};
pub use issuer::Issuer;
pub use journal::Journal;
pub use model::{CodexHome, ModelAnswer, ScriptedModel};
pub use patience::{PATIENCE, soon, within};
