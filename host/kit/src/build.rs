//! Builds a project: cargo compiles it, and its module becomes a component that the base completes.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, BufReader, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::TARGET;
use super::compose::{ComposeError, Composed, Part, compose};
use airlock_base::file;

/// The error code of rustc if a target's standard library is not installed.
const MISSING_LIBRARY: &str = "E0463";

/// A policy that was built and written.
#[derive(Debug)]
pub struct BuiltPolicy {
    /// The file.
    pub path: PathBuf,
    /// The contents of the file.
    pub policy: Composed,
}

/// Why no policy was built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The folder has no crate.
    #[error("{} is not a crate's manifest ({detail}): name the folder of a project, as `airlock policy new` writes it", .path.display())]
    NoProject {
        /// The manifest.
        path: PathBuf,
        /// Why it cannot be used.
        detail: String,
    },
    /// Cargo is not installed.
    #[error("cannot run {}: install Rust from https://rustup.rs, or name its cargo in CARGO", .0.display())]
    NoCargo(PathBuf),
    /// Cargo cannot be run, or its output cannot be read.
    #[error("cannot run cargo: {0}")]
    Cargo(#[from] io::Error),
    /// The target is not installed.
    #[error(
        "policies are built for {TARGET}, which is not installed: run `rustup target add {TARGET}`"
    )]
    NoTarget,
    /// The crate does not compile, or cargo cannot fetch its dependencies.
    #[error("{0} does not build; cargo's words are above")]
    Failed(String),
    /// The crate has no module that could become a component.
    #[error("{0} makes no cdylib: add `crate-type = [\"cdylib\"]` to `[lib]` in its Cargo.toml")]
    NoModule(String),
    /// The component and the base cannot be composed.
    #[error(transparent)]
    Compose(#[from] ComposeError),
    /// A file cannot be read or written.
    #[error("cannot use {}: {error}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
}

/// Builds the crate in `folder` with this cargo, completes it from `base`, and writes the policy to `to`, by default into
/// the folder under the crate's name. Diagnostics of the compiler go to `err`, and the progress of cargo to the standard
/// error of this process.
///
/// # Errors
/// The crate, cargo or the target is missing, the crate does not compile or is not a part of a policy, or the file cannot be
/// written.
pub fn build(
    folder: &Path,
    cargo: &OsStr,
    base: &Part<'_>,
    to: Option<&Path>,
    err: &mut dyn Write,
) -> Result<BuiltPolicy, BuildError> {
    let (manifest, name) = project(folder)?;
    let module = compile(&manifest, cargo, &name, err)?;
    let bytes = read(&module)?;
    let part = Part {
        name: &name,
        bytes: &bytes,
    };
    let policy = compose(&[part], base)?;
    let path = match to {
        Some(path) => path.to_owned(),
        None => folder.join(format!("{name}.wasm")),
    };
    file::replace(&path, &policy.bytes, file::READABLE).map_err(|error| BuildError::File {
        path: path.clone(),
        error,
    })?;
    Ok(BuiltPolicy { path, policy })
}

fn read(path: &Path) -> Result<Vec<u8>, BuildError> {
    fs::read(path).map_err(|error| BuildError::File {
        path: path.to_owned(),
        error,
    })
}

/// The part of a `Cargo.toml` that is read.
#[derive(Deserialize)]
struct Manifest {
    package: Package,
}

#[derive(Deserialize)]
struct Package {
    name: String,
}

/// The path of a folder's manifest, in the form that cargo's messages have, and the name of its crate.
fn project(folder: &Path) -> Result<(PathBuf, String), BuildError> {
    let path = folder.join("Cargo.toml");
    let no_project = |detail: String| BuildError::NoProject {
        path: path.clone(),
        detail,
    };
    let full = fs::canonicalize(&path).map_err(|error| no_project(error.to_string()))?;
    let text = fs::read_to_string(&full).map_err(|error| no_project(error.to_string()))?;
    let manifest: Manifest =
        toml::from_str(&text).map_err(|error| no_project(error.message().to_owned()))?;
    Ok((full, manifest.package.name))
}

/// A line of cargo's output (`--message-format=json`).
#[derive(Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
enum CargoMessage {
    CompilerMessage {
        message: Diagnostic,
    },
    CompilerArtifact {
        manifest_path: PathBuf,
        target: Target,
        filenames: Vec<PathBuf>,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Diagnostic {
    rendered: Option<String>,
    code: Option<Code>,
}

#[derive(Deserialize)]
struct Code {
    code: String,
}

#[derive(Deserialize)]
struct Target {
    crate_types: Vec<String>,
}

/// Runs cargo. Returns the path of the crate's module.
fn compile(
    manifest: &Path,
    cargo: &OsStr,
    name: &str,
    err: &mut dyn Write,
) -> Result<PathBuf, BuildError> {
    let format = if io::stderr().is_terminal() {
        "--message-format=json-diagnostic-rendered-ansi"
    } else {
        "--message-format=json"
    };
    let mut command = Command::new(cargo);
    command.args(["build", "--release", "--target", TARGET, format]);
    command.arg("--manifest-path").arg(manifest);
    if let Some(folder) = manifest.parent() {
        // Cargo looks for its configuration and for a toolchain file there.
        command.current_dir(folder);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => BuildError::NoCargo(OsString::from(cargo).into()),
        _ => BuildError::Cargo(error),
    })?;
    let output = match child.stdout.take() {
        Some(stdout) => read_messages(BufReader::new(stdout), manifest, err),
        None => Ok(CargoOutput::default()),
    };
    // Before an error of the output is returned, because the process must be reaped.
    let status = child.wait()?;
    let output = output?;
    match (status.success(), output.module) {
        (true, Some(module)) => Ok(module),
        (true, None) => Err(BuildError::NoModule(name.to_owned())),
        (false, _) if output.missing_library => Err(BuildError::NoTarget),
        (false, _) => Err(BuildError::Failed(name.to_owned())),
    }
}

/// The outcome of a run of cargo.
#[derive(Debug, Default, PartialEq, Eq)]
struct CargoOutput {
    /// The crate's module.
    module: Option<PathBuf>,
    /// Whether the target's standard library is missing.
    missing_library: bool,
}

/// Reads cargo's lines to their end, and writes the compiler's diagnostics to `err`.
fn read_messages(
    lines: impl io::BufRead,
    manifest: &Path,
    err: &mut dyn Write,
) -> Result<CargoOutput, BuildError> {
    let mut output = CargoOutput::default();
    for line in lines.lines() {
        // Build scripts may print other lines.
        match serde_json::from_str(&line?).unwrap_or(CargoMessage::Other) {
            CargoMessage::CompilerMessage { message } => {
                output.missing_library |= message.code.is_some_and(|it| it.code == MISSING_LIBRARY);
                err.write_all(message.rendered.unwrap_or_default().as_bytes())?;
            }
            // Dependencies may be cdylibs too.
            CargoMessage::CompilerArtifact {
                manifest_path,
                target,
                filenames,
            } if manifest_path == manifest
                && target.crate_types.iter().any(|it| it == "cdylib") =>
            {
                let mut modules = filenames.into_iter();
                let module = modules.find(|it| it.extension().is_some_and(|it| it == "wasm"));
                output.module = module.or(output.module);
            }
            CargoMessage::CompilerArtifact { .. } | CargoMessage::Other => {}
        }
    }
    Ok(output)
}

#[cfg(test)]
mod tests;
