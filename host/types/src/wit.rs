//! The types of the WIT boundary, generated from `wit/`.

#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    reason = "bindgen-generated code; the documentation is in wit/"
)]
mod generated {
    /// The newest version, which the host uses.
    pub mod newest {
        wasmtime::component::bindgen!({
            world: "relayer",
            path: "../../wit",
            exports: { default: async },
            additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
        });
    }
}

pub use generated::newest::airlock::policy::types::{
    Attachment, Brief, Choice, Context, Ending, Event, EventKind, Frame, ImmediateResponse,
    InputItem, Loaded, LogPosition, Model, NewObject, Notification, ObjectChange, ObjectEnd,
    ObjectKeys, ObjectLock, ObjectPlace, ObjectStatus, Phase, Problem, ProblemKind, Reasoning,
    Request, Selection, Shortfall, StoredItem, StoredObject, Text, Tool, Transport, Usage,
};
pub use generated::newest::exports::airlock::policy::admit::{Admission, Load};
pub use generated::newest::exports::airlock::policy::manifest::{Description, Setting, Takes};
pub use generated::newest::exports::airlock::policy::prompt::{Action, Plan, Resume, ToolResult};
pub use generated::newest::exports::airlock::policy::relay::Pattern;
pub use generated::newest::exports::airlock::policy::synthesize::{Message, Outcome, Verdict};
pub use generated::newest::exports::airlock::policy::translate::{Closing, Handoff, Output};

/// All types of the interface `types`, which the bindings of other versions refer to.
pub use generated::newest::airlock::policy::types;

impl Action {
    /// The plan, if turns are to be run.
    pub fn plan(self) -> Option<Plan> {
        match self {
            Self::Run(plan) => Some(plan),
            Self::Load(_) | Self::Respond(_) | Self::Follow(_) | Self::Stop(_) => None,
        }
    }
}

/// The interfaces that a policy exports.
pub mod exports {
    pub use super::generated::newest::exports::airlock::policy::{
        admit, manifest, prompt, relay, synthesize, translate,
    };
}
