//! Where the programs under test are, and what to do when one is missing.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The workspace's root.
pub fn workspace() -> &'static Path {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests)
}

/// The gateway: `AIRLOCK_BIN`, or the one that was built with these tests.
pub fn airlock() -> Result<PathBuf> {
    named("AIRLOCK_BIN", || built("airlock")).context(
        "no gateway to test: build it with `cargo build -p airlock`, or name it in AIRLOCK_BIN",
    )
}

/// The scripted Codex that was built with these tests.
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

/// Whether that is the oldest Codex that works, which has fewer names for failures (0.163.0).
pub fn real_codex_is_oldest() -> Result<bool> {
    let output = Command::new(real_codex()?).arg("--version").output()?;
    let version = String::from_utf8_lossy(&output.stdout);
    Ok(version.trim_end().ends_with(" 0.163.0"))
}

/// A program that `tests/sdk/install.sh` put into the workspace.
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

/// Where programs are found: the one variable that a gateway under test gets from us.
#[expect(
    clippy::disallowed_methods,
    reason = "the harness has no configuration but these names"
)]
pub fn search_path() -> OsString {
    std::env::var_os("PATH").unwrap_or_default()
}

/// Where cargo, rustc and their crates are: what a build needs that shall know nothing of the build around it.
#[expect(
    clippy::disallowed_methods,
    reason = "the harness has no configuration but these names"
)]
pub fn rust() -> Vec<(&'static str, OsString)> {
    ["PATH", "HOME", "CARGO_HOME", "RUSTUP_HOME"]
        .into_iter()
        .filter_map(|name| Some((name, std::env::var_os(name)?)))
        .collect()
}

/// The target folder that these tests were built into, wherever it is.
pub fn target() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    // Cargo marks only a folder that it has made itself; else these tests lie in `debug/deps` of it.
    let marked = own
        .ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").is_file());
    let found = marked.or_else(|| own.ancestors().nth(3));
    Ok(found
        .context("tests that lie in no target folder")?
        .to_owned())
}

fn named(variable: &str, otherwise: impl FnOnce() -> Result<PathBuf>) -> Result<PathBuf> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the harness has no configuration but these names"
    )]
    let named = std::env::var_os(variable);
    let file = match named {
        Some(path) => PathBuf::from(path),
        None => otherwise()?,
    };
    if !file.is_file() {
        bail!("{} is no file", file.display());
    }
    Ok(file)
}

/// Test executables lie in `target/PROFILE/deps`, programs one level up.
fn built(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folder = own.parent().context("a test without a folder")?;
    let folder = if folder.ends_with("deps") {
        folder.parent().unwrap_or(folder)
    } else {
        folder
    };
    Ok(folder.join(name))
}
