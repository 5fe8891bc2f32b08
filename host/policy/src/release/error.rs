//! Why a component cannot serve as a policy.

/// A component that cannot serve as a policy.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It is not a component, or one that this engine refuses.
    #[error("policy {name} does not compile: {detail}")]
    Invalid {
        /// Whose component.
        name: String,
        /// What the compiler says.
        detail: String,
    },
    /// It wants something of the host.
    #[error("policy {name} imports {import}: a policy gets nothing but a sealed WASI 0.2")]
    Import {
        /// Whose component.
        name: String,
        /// What it imports.
        import: String,
    },
    /// It wants WASI, which this gateway does not give.
    #[error("policy {name} imports WASI, which `policies.wasi` forbids")]
    Wasi {
        /// Whose component.
        name: String,
    },
    /// It is not to be loaded: it is not trusted, or what is said beside it is wrong.
    #[error("policy {name} is refused: {detail}")]
    Refused {
        /// Whose component.
        name: String,
        /// Why.
        detail: String,
    },
    /// There is no room to try it out in now.
    #[error("policy {name} cannot be tried out: every sandbox is in use; try again in a moment")]
    Busy {
        /// Whose component.
        name: String,
    },
    /// It fails already when it is tried out.
    #[error("policy {name} does not do what a policy must: {detail}")]
    Failed {
        /// Whose component.
        name: String,
        /// At what.
        detail: String,
    },
    /// It cannot work with the settings that it is given.
    #[error("policy {name} refuses its settings: {detail}")]
    Settings {
        /// Whose component.
        name: String,
        /// What it says.
        detail: String,
    },
    /// It lacks part of the world, or was built for another version of it.
    #[error(
        "policy {name} does not fit this gateway's world airlock:policy: {detail}; `airlock policy compose` completes one that leaves exports out"
    )]
    Misfit {
        /// Whose component.
        name: String,
        /// Which export, and what is wrong with it.
        detail: String,
    },
}
