//! Why a component cannot serve as a policy.

/// A component that cannot serve as a policy.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The bytes are not a component, or the engine refuses it.
    #[error("policy {name} does not compile: {detail}")]
    Invalid {
        /// The policy's name.
        name: String,
        /// The compiler's message.
        detail: String,
    },
    /// The component has an import besides WASI.
    #[error("policy {name} imports {import}: a policy gets nothing but a sealed WASI 0.2")]
    Import {
        /// The policy's name.
        name: String,
        /// The name of the import.
        import: String,
    },
    /// The component imports WASI, which the configuration forbids.
    #[error("policy {name} imports WASI, which `policies.wasi` forbids")]
    Wasi {
        /// The policy's name.
        name: String,
    },
    /// The component is not trusted, or the settings file beside it is invalid.
    #[error("policy {name} is refused: {detail}")]
    Refused {
        /// The policy's name.
        name: String,
        /// The reason.
        detail: String,
    },
    /// No sandbox is free for the conformance set.
    #[error("policy {name} cannot be tried out: every sandbox is in use; try again in a moment")]
    Busy {
        /// The policy's name.
        name: String,
    },
    /// The component fails the conformance set.
    #[error("policy {name} does not do what a policy must: {detail}")]
    Failed {
        /// The policy's name.
        name: String,
        /// The case, the call and the reason.
        detail: String,
    },
    /// The policy refuses its settings.
    #[error("policy {name} refuses its settings: {detail}")]
    Settings {
        /// The policy's name.
        name: String,
        /// The policy's message.
        detail: String,
    },
    /// The component lacks part of the world, or was built for another version of it.
    #[error(
        "policy {name} does not fit this gateway's world airlock:policy: {detail}; `airlock policy compose` completes one that leaves exports out"
    )]
    Misfit {
        /// The policy's name.
        name: String,
        /// The export, and the mismatch.
        detail: String,
    },
}
