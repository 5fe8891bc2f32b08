//! Builds a policy crate of this workspace into a component.
#![expect(
    clippy::disallowed_methods,
    reason = "cargo passes a build script its input in variables"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use wit_component::ComponentEncoder;

/// The target of policies; its standard library imports nothing.
const TARGET: &str = "wasm32-unknown-unknown";

/// The target of policies with the feature `wasi`; its standard library imports WASI, and cargo's output is a component
/// already.
const WASI_TARGET: &str = "wasm32-wasip2";
const WASI: &str = "wasi";

/// Variables by which cargo, clippy and coverage tools configure nested builds. They are removed: the outer build's flags are
/// for another target, and its target folder is locked.
const OUTER_BUILD_VARIABLES: &[&str] = &[
    "RUSTFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_TARGET_DIR",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_BUILD_BUILD_DIR",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "CARGO_MAKEFLAGS",
    "MAKEFLAGS",
    "MFLAGS",
    "CLIPPY_ARGS",
    "CLIPPY_CONF_DIR",
];

/// Builds the package with these features and returns the path of its component. Cargo runs the build script again when the
/// sources of the package or of a policy that it builds on, the WIT, or the lock file change.
///
/// # Errors
/// The target is not installed, or the build fails.
pub(crate) fn build(package: &str, features: &[&str]) -> Result<PathBuf> {
    let workspace = workspace()?;
    let out = PathBuf::from(
        std::env::var_os("OUT_DIR")
            .context("OUT_DIR is not set: this runs in build scripts only")?,
    );
    rerun_if_changed(package, &workspace);

    let target = target_folder(&workspace, &out).join("policies");
    let triple = if features.contains(&WASI) {
        WASI_TARGET
    } else {
        TARGET
    };
    compile(package, features, triple, &workspace, &target)?;

    let module = target
        .join(triple)
        .join("policy")
        .join(format!("{}.wasm", package.replace('-', "_")));
    let bytes =
        std::fs::read(&module).with_context(|| format!("cannot read {}", module.display()))?;
    let component = if triple == WASI_TARGET {
        bytes
    } else {
        encode_component(&bytes)?
    };
    let name = [&[package], features].concat().join("-");
    let path = out.join(format!("{name}.wasm"));
    std::fs::write(&path, component).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// Encodes a core module as a component.
fn encode_component(module: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = ComponentEncoder::default();
    let encoder = encoder
        .validate(true)
        .module(module)
        .context("the policy is not a module that a component can be made of")?;
    encoder
        .encode()
        .context("the policy cannot be made a component")
}

/// The folder of the workspace's manifest, above the crate whose build script runs.
fn workspace() -> Result<PathBuf> {
    let own = PathBuf::from(
        std::env::var_os("CARGO_MANIFEST_DIR").context("CARGO_MANIFEST_DIR is not set")?,
    );
    let found = own
        .ancestors()
        .skip(1)
        .find(|folder| folder.join("Cargo.lock").is_file());
    Ok(found.context("the workspace has no Cargo.lock")?.to_owned())
}

/// The target folder of the outer build: OUT_DIR is `…/PROFILE/build/CRATE-HASH/out` in it.
fn target_folder(workspace: &Path, out: &Path) -> PathBuf {
    let found = out
        .ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").is_file());
    found.map_or_else(|| workspace.join("target"), Path::to_owned)
}

/// Names the files whose changes run the build script again.
fn rerun_if_changed(package: &str, workspace: &Path) {
    // Policies may build on the shipped one. Cargo watches a folder as a whole.
    let mut folders = vec!["guest/shipped"];
    folders.extend(match package {
        "airlock-critique" => Some("guest/critique"),
        "airlock-redact" => Some("guest/redact"),
        "airlock-house-voice" => Some("guest/house-voice"),
        "airlock-majority" => Some("guest/majority"),
        "airlock-hostile" => Some("tests/hostile"),
        "airlock-stamp" => Some("tests/stamp"),
        _ => None,
    });
    for folder in folders {
        for part in ["src", "Cargo.toml"] {
            println!(
                "cargo::rerun-if-changed={}",
                workspace.join(folder).join(part).display()
            );
        }
    }
    for path in ["wit", "host/policy/fixtures", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", workspace.join(path).display());
    }
}

/// Flags that take the builder's paths out of the component: the messages of panics name the sources.
fn remapped(workspace: &Path) -> String {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let prefixes = [(home.as_deref(), "/cargo"), (Some(workspace), "/airlock")];
    let flags = prefixes.into_iter().filter_map(|(prefix, name)| {
        Some(format!("--remap-path-prefix={}={name}", prefix?.display()))
    });
    flags.collect::<Vec<_>>().join("\u{1f}")
}

/// Compiles the package in a target folder of its own.
fn compile(
    package: &str,
    features: &[&str],
    triple: &str,
    workspace: &Path,
    target: &Path,
) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(workspace);
    command.args([
        "build",
        "--locked",
        "--quiet",
        "--profile",
        "policy",
        "--target",
        triple,
        "--package",
        package,
    ]);
    command.arg("--features").arg(features.join(","));
    command.arg("--target-dir").arg(target);
    for variable in OUTER_BUILD_VARIABLES {
        command.env_remove(variable);
    }
    command.env("CARGO_ENCODED_RUSTFLAGS", remapped(workspace));
    let output = command.output().context("cannot run cargo")?;
    if output.status.success() {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    if errors.contains("E0463") && errors.contains(triple) {
        bail!(
            "policies are built for {triple}, which is not installed: run `rustup target add {triple}`"
        );
    }
    bail!("the policy {package} does not build:\n{errors}");
}
