//! Paths of the programs under test, with errors that say how to build a missing one.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The workspace's root.
pub fn workspace() -> &'static Path {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests)
}

/// The gateway: `AIRLOCK_BIN`, or the build beside these tests.
pub fn airlock() -> Result<PathBuf> {
    named("AIRLOCK_BIN", || built("airlock")).context(
        "no gateway to test: build it with `cargo build -p airlock`, or name it in AIRLOCK_BIN",
    )
}

/// The scripted Codex: `AIRLOCK_FAKE_CODEX`, or the build beside these tests.
pub fn fake_codex() -> Result<PathBuf> {
    named("AIRLOCK_FAKE_CODEX", || built("fake-codex"))
        .context("no scripted Codex: build it with `cargo build -p airlock-tests --bins`")
}

/// The real Codex: `AIRLOCK_TEST_CODEX`, or the pinned one in the workspace.
pub fn real_codex() -> Result<PathBuf> {
    let installed = || {
        let package =
            "node_modules/@openai/codex-linux-x64/vendor/x86_64-unknown-linux-musl/bin/codex";
        Ok(workspace().join(".codex").join(package))
    };
    named("AIRLOCK_TEST_CODEX", installed)
        .context("no Codex to test with: install the pinned one with `make codex`, or name it in AIRLOCK_TEST_CODEX")
}

/// Whether `real_codex` is the oldest supported one (0.163.0), which has fewer codes for failures.
pub fn real_codex_is_oldest() -> Result<bool> {
    let output = Command::new(real_codex()?).arg("--version").output()?;
    let version = String::from_utf8_lossy(&output.stdout);
    Ok(version.trim_end().ends_with(" 0.163.0"))
}

/// A program that `tests/sdk/install.sh` installed into `.tools/`.
pub fn tool(path: &str) -> Result<PathBuf> {
    let file = workspace().join(".tools").join(path);
    if !file.exists() {
        bail!(
            "the official SDKs are not installed: run tests/sdk/install.sh ({} is missing)",
            file.display()
        );
    }
    Ok(file)
}

/// `PATH`, the one variable that a gateway under test inherits.
#[expect(
    clippy::disallowed_methods,
    reason = "the harness is configured by these variables alone"
)]
pub fn search_path() -> OsString {
    std::env::var_os("PATH").unwrap_or_default()
}

/// The variables that cargo and rustc need, for a build that inherits nothing else of the environment.
#[expect(
    clippy::disallowed_methods,
    reason = "the harness is configured by these variables alone"
)]
pub fn rust() -> Vec<(&'static str, OsString)> {
    ["PATH", "HOME", "CARGO_HOME", "RUSTUP_HOME"]
        .into_iter()
        .filter_map(|name| Some((name, std::env::var_os(name)?)))
        .collect()
}

/// The target folder of these tests.
pub fn target() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    // Cargo writes CACHEDIR.TAG only into a folder that it has created. Otherwise these tests are in its `debug/deps`.
    let marked = own
        .ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").is_file());
    let found = marked.or_else(|| own.ancestors().nth(3));
    Ok(found
        .context("the tests are in no target folder")?
        .to_owned())
}

fn named(variable: &str, otherwise: impl FnOnce() -> Result<PathBuf>) -> Result<PathBuf> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the harness is configured by these variables alone"
    )]
    let named = std::env::var_os(variable);
    let file = match named {
        Some(path) => PathBuf::from(path),
        None => otherwise()?,
    };
    if !file.is_file() {
        bail!("{} is not a file", file.display());
    }
    Ok(file)
}

/// A program beside these tests: test executables are in `target/PROFILE/deps`, programs one level up.
fn built(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folder = own.parent().context("the test executable has no folder")?;
    let folder = if folder.ends_with("deps") {
        folder.parent().unwrap_or(folder)
    } else {
        folder
    };
    Ok(folder.join(name))
}
