//! A project becomes a policy: compiled by cargo, made a component, and completed from the shipped policy.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, BufReader, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::compose::{ComposeError, Composed, Part, compose};
use super::{TARGET, component};

/// What rustc says where it lacks the standard library of a target.
const NO_LIBRARY: &str = "E0463";

/// A policy that was built.
#[derive(Debug)]
pub struct Built {
    /// The file.
    pub path: PathBuf,
    /// What is in it.
    pub policy: Composed,
}

/// Why there is no policy.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A folder without a crate.
    #[error("{} is no crate's manifest ({detail}): name the folder of a project, as `airlock policy new` writes it", .path.display())]
    NoProject {
        /// The manifest.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// There is no cargo.
    #[error("cannot run {}: install Rust from https://rustup.rs, or name its cargo in CARGO", .0.display())]
    NoCargo(PathBuf),
    /// Cargo cannot be run, or its output cannot be read.
    #[error("cannot run cargo: {0}")]
    Cargo(#[from] io::Error),
    /// Rust lacks the target.
    #[error(
        "policies are built for {TARGET}, which is not installed: run `rustup target add {TARGET}`"
    )]
    NoTarget,
    /// The crate does not compile, or cargo cannot get what it needs.
    #[error("{0} does not build; cargo's words are above")]
    Failed(String),
    /// Nothing came of it that could be a component.
    #[error("{0} makes no cdylib: add `crate-type = [\"cdylib\"]` to `[lib]` in its Cargo.toml")]
    NoModule(String),
    /// The parts make no whole.
    #[error(transparent)]
    Compose(#[from] ComposeError),
    /// A file cannot be read or written.
    #[error("cannot use {}: {error}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// Builds the crate in `folder` with this cargo, completes it from `base`, and writes the policy to `to`, or else into
/// the folder under the crate's name. What the compiler says goes to `err`; what cargo says of its progress goes to the
/// process's own standard error.
///
/// # Errors
/// There is no crate, cargo or target, the crate does not compile, it is no part of a policy, or the file cannot be
/// written.
pub fn build(
    folder: &Path,
    cargo: &OsStr,
    base: &Part<'_>,
    to: Option<&Path>,
    err: &mut dyn Write,
) -> Result<Built, BuildError> {
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
    component::save(&path, &policy.bytes).map_err(|error| BuildError::File {
        path: path.clone(),
        error,
    })?;
    Ok(Built { path, policy })
}

fn read(path: &Path) -> Result<Vec<u8>, BuildError> {
    fs::read(path).map_err(|error| BuildError::File {
        path: path.to_owned(),
        error,
    })
}

/// As much of a manifest as is needed.
#[derive(Deserialize)]
struct Manifest {
    package: Package,
}

#[derive(Deserialize)]
struct Package {
    name: String,
}

/// The manifest in a folder, as cargo names it, and its crate.
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

/// A line of cargo's output, as far as it matters.
#[derive(Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
enum Said {
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

/// Runs cargo. Returns the module that the crate's cdylib has become.
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
        // Where cargo looks for its configuration and for a toolchain file.
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
    // Also where its output could not be read: it must not be left behind.
    let status = child.wait()?;
    let output = output?;
    match (status.success(), output.module) {
        (true, Some(module)) => Ok(module),
        (true, None) => Err(BuildError::NoModule(name.to_owned())),
        (false, _) if output.no_library => Err(BuildError::NoTarget),
        (false, _) => Err(BuildError::Failed(name.to_owned())),
    }
}

/// What cargo has told.
#[derive(Debug, Default, PartialEq, Eq)]
struct CargoOutput {
    /// The crate's module.
    module: Option<PathBuf>,
    /// Whether the target's standard library is missing.
    no_library: bool,
}

/// Reads cargo's lines to their end, and passes on what the compiler says.
fn read_messages(
    lines: impl io::BufRead,
    manifest: &Path,
    err: &mut dyn Write,
) -> Result<CargoOutput, BuildError> {
    let mut output = CargoOutput::default();
    for line in lines.lines() {
        // Whatever else a build prints is not ours to read.
        match serde_json::from_str(&line?).unwrap_or(Said::Other) {
            Said::CompilerMessage { message } => {
                output.no_library |= message.code.is_some_and(|it| it.code == NO_LIBRARY);
                err.write_all(message.rendered.unwrap_or_default().as_bytes())?;
            }
            // A dependency may be a cdylib too.
            Said::CompilerArtifact {
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
            Said::CompilerArtifact { .. } | Said::Other => {}
        }
    }
    Ok(output)
}

#[cfg(test)]
mod tests;
