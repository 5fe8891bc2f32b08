//! Why parts make no policy, each time with the part and what it exports.

use crate::component::ComponentError;

/// Why parts make no policy.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ComposeError {
    /// A file that holds neither a component nor a module for one.
    #[error("cannot use {part}: {error}")]
    Part {
        /// Whose bytes.
        part: String,
        /// What is wrong with them.
        error: ComponentError,
    },
    /// A component that does not hold together.
    #[error("cannot use {part}: it is not a valid component: {detail}")]
    Invalid {
        /// Whose component.
        part: String,
        /// What the validator says.
        detail: String,
    },
    /// A component for something else.
    #[error("{part} exports no interface of airlock:policy, so it is no part of a policy")]
    Nothing {
        /// Whose component.
        part: String,
    },
    /// An interface that no version of the world has.
    #[error("{part} exports {export}, which this airlock does not know")]
    Unknown {
        /// Whose component.
        part: String,
        /// The export.
        export: String,
    },
    /// Two versions of the world.
    #[error(
        "{part} speaks airlock:policy@{version}, but {other} speaks @{other_version}: a policy speaks one version"
    )]
    Mixed {
        /// One of them.
        part: String,
        /// What it speaks.
        version: &'static str,
        /// The other.
        other: String,
        /// What that speaks.
        other_version: &'static str,
    },
    /// A part older or newer than the base.
    #[error(
        "{part} speaks airlock:policy@{version}, but {base}, which it would be completed from, speaks @{base_version}: name a policy of its version with --onto"
    )]
    OtherBase {
        /// The part.
        part: String,
        /// What it speaks.
        version: &'static str,
        /// The base.
        base: String,
        /// What that speaks.
        base_version: &'static str,
    },
    /// One interface twice.
    #[error("both {first} and {second} export {interface}: leave one of them out")]
    Twice {
        /// The interface.
        interface: &'static str,
        /// One of them.
        first: String,
        /// The other.
        second: String,
    },
    /// An interface that nobody has.
    #[error("nobody exports {interface}: no part does, nor does {base}")]
    Missing {
        /// The interface.
        interface: &'static str,
        /// The base.
        base: String,
    },
    /// An interface without the one whose resource it is about.
    #[error(
        "{part} exports {interface} without {of}, whose resource it is about: export both, or neither"
    )]
    Alone {
        /// Whose component.
        part: String,
        /// The interface.
        interface: &'static str,
        /// What it lacks.
        of: &'static str,
    },
    /// An interface that is not the one of its name.
    #[error("{part} exports {interface}, but not as the world has it: {detail}")]
    Differs {
        /// Whose component.
        part: String,
        /// The interface.
        interface: &'static str,
        /// What differs.
        detail: String,
    },
    /// An import that the base cannot satisfy.
    #[error("{part} imports {interface}, but not as {base} exports it: {detail}")]
    Wraps {
        /// Whose component.
        part: String,
        /// The interface.
        interface: &'static str,
        /// The base.
        base: String,
        /// What differs.
        detail: String,
    },
    /// The parts do not go together.
    #[error("the parts cannot be put together: {0}")]
    Graph(String),
}
