//! The errors of compositions.

use crate::component::ComponentError;

/// Why parts make no policy.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ComposeError {
    /// A part is neither a component nor a module for one.
    #[error("cannot use {part}: {error}")]
    Part {
        /// The part.
        part: String,
        /// The reason.
        error: ComponentError,
    },
    /// A part is an invalid component.
    #[error("cannot use {part}: it is not a valid component: {detail}")]
    Invalid {
        /// Whose component.
        part: String,
        /// The validator's message.
        detail: String,
    },
    /// A component for something else.
    #[error("{part} exports no interface of airlock:policy, so it is not a part of a policy")]
    Nothing {
        /// Whose component.
        part: String,
    },
    /// A part exports an interface that no version of the world has.
    #[error("{part} exports {export}, which this airlock does not know")]
    Unknown {
        /// Whose component.
        part: String,
        /// The export.
        export: String,
    },
    /// Parts speak different versions of the world.
    #[error(
        "{part} speaks airlock:policy@{version}, but {other} speaks @{other_version}: a policy speaks one version"
    )]
    Mixed {
        /// A part.
        part: String,
        /// The part's version.
        version: &'static str,
        /// The other part.
        other: String,
        /// The version of the other part.
        other_version: &'static str,
    },
    /// A part and the base speak different versions of the world.
    #[error(
        "{part} speaks airlock:policy@{version}, but {base}, which it would be completed from, speaks @{base_version}: name a policy of its version with --onto"
    )]
    OtherBase {
        /// The part.
        part: String,
        /// The part's version.
        version: &'static str,
        /// The base.
        base: String,
        /// The base's version.
        base_version: &'static str,
    },
    /// Two parts export an interface.
    #[error("both {first} and {second} export {interface}: leave one of them out")]
    Twice {
        /// The interface.
        interface: &'static str,
        /// One part.
        first: String,
        /// The other part.
        second: String,
    },
    /// Neither a part nor the base exports an interface.
    #[error("neither a part nor {base} exports {interface}")]
    Missing {
        /// The interface.
        interface: &'static str,
        /// The base.
        base: String,
    },
    /// A part exports an interface without the one whose resource it uses.
    #[error(
        "{part} exports {interface} without {of}, whose resource it uses: export both, or neither"
    )]
    Alone {
        /// The part.
        part: String,
        /// The interface.
        interface: &'static str,
        /// The missing interface.
        of: &'static str,
    },
    /// An interface of a part has other types than the world's.
    #[error("{part} exports {interface}, but not as the world has it: {detail}")]
    Differs {
        /// Whose component.
        part: String,
        /// The interface.
        interface: &'static str,
        /// What differs.
        detail: String,
    },
    /// An import of a part has other types than the base's interface.
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
    /// The graph of parts cannot be encoded.
    #[error("the parts cannot be put together: {0}")]
    Graph(String),
}
