//! The test harness: a scripted Codex, a scripted model, the gateway under test, and clients for it.

pub mod admin; // a client of the admin routes
pub mod client; // a client of the gateway
pub mod direct; // an app-server without a gateway
pub mod fake; // the scripted Codex
pub mod gateway; // the gateway under test
pub mod images; // test images
pub mod issuer; // a stand-in for OpenAI's sign-in servers
pub mod load; // the load of a benchmark's turn
pub mod model; // the scripted model behind the real Codex
pub mod policies; // builds of the stamping policy
pub mod process; // processes of this machine
pub mod programs; // paths of the programs under test
pub mod proof; // the guarantees of policy swaps, measured
pub mod soak; // mixed load for minutes

pub use airlock_test_components as components;

mod gate; // a point where a script waits for the test
mod journal; // recorded events, in order
mod patience; // timeouts of tests

pub use admin::Admin;
pub use client::{
    Client, Completion, Conversation, FanOut, Frame, Reply, Stream, TabEnd, ToolCall, angle,
    fan_out, many_calls, tool,
};
pub use fake::{CallResult, FakeCodex, Script, ScriptedResponse, TurnPlan, Usage};
pub use gate::Gate;
pub use gateway::{Gateway, GatewayBuilder};
pub use issuer::Issuer;
pub use journal::Journal;
pub use model::{CodexHome, ModelAnswer, ScriptedModel};
pub use patience::{PATIENCE, soon, within};
