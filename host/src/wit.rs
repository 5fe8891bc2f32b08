//! The boundary's types, generated from `wit/`, and their re-exports. Nothing else.

#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    reason = "bindgen-generated code; the documentation is in wit/"
)]
mod generated {
    /// The newest version. All of the host speaks it.
    pub mod newest {
        wasmtime::component::bindgen!({
            world: "relayer",
            path: "../wit",
            exports: { default: async },
            additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
        });
    }

    /// The first version, whose vocabulary is still the newest one's.
    pub mod first {
        wasmtime::component::bindgen!({
            world: "policy",
            path: "../wit/frozen/0.1",
            exports: { default: async },
            with: { "airlock:policy/types@0.1.0": super::newest::airlock::policy::types },
            additional_derives: [PartialEq],
        });
    }
}

pub(crate) use generated::newest::airlock::policy::types::{
    Attachment, Brief, Choice, Context, Ending, Event, EventKind, InputItem, Model, Notification,
    Phase, Problem, ProblemKind, Reasoning, Request, Selection, Shortfall, Text, Tool, Usage,
};
pub(crate) use generated::newest::exports::airlock::policy::admit::{Admission, Load};
pub(crate) use generated::newest::exports::airlock::policy::manifest::{
    Description, Setting, Takes,
};
pub(crate) use generated::newest::exports::airlock::policy::prompt::{Plan, Resume, ToolResult};
pub(crate) use generated::newest::exports::airlock::policy::relay::Pattern;
pub(crate) use generated::newest::exports::airlock::policy::synthesize::{
    Message, Outcome, Verdict,
};
pub(crate) use generated::newest::exports::airlock::policy::translate::{
    Closing, Frame, Handoff, Output,
};

/// The interfaces that a policy exports, for the one place that calls them.
pub(crate) mod exports {
    pub(crate) use super::generated::newest::exports::airlock::policy::{
        admit, manifest, prompt, relay, synthesize, translate,
    };
}

/// The first version's, for the one place that converts them.
pub(crate) mod first {
    pub(crate) use super::generated::first::exports::airlock::policy::{
        admit, prompt, synthesize, translate,
    };
}
