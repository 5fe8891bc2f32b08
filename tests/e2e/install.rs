//! `airlock codex install`: from the registry, and with an npm that fails.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use airlock_tests::{FakeCodex, Script, programs, within};
use anyhow::{Context as _, Result};
use tempfile::TempDir;
use tokio::process::Command;

/// The timeout for a download of 100 MB.
const DOWNLOAD: Duration = Duration::from_secs(110);

/// The paths at which npm installs the binary and its script.
const BINARY: &str =
    "node_modules/@openai/codex-linux-x64/vendor/x86_64-unknown-linux-musl/bin/codex";
const SCRIPT: &str = "node_modules/@openai/codex/bin/codex.js";

/// A data directory, and a folder for programs.
struct InstallFolder {
    folder: TempDir,
    path: OsString,
}

/// The command's output, and whether it succeeded.
struct Said {
    done: bool,
    out: String,
    err: String,
}

impl InstallFolder {
    /// With this shell script as npm, which runs in the folder of the installation.
    fn with_npm(script: &str) -> Result<Self> {
        let install = Self::without_npm()?;
        let npm = install.folder.path().join("bin/npm");
        fs::write(&npm, format!("#!/bin/sh\n{script}\n"))?;
        fs::set_permissions(&npm, fs::Permissions::from_mode(0o755))?;
        Ok(install)
    }

    fn without_npm() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let programs = folder.path().join("bin");
        fs::create_dir(&programs)?;
        for name in ["sh", "mkdir", "cp", "cat", "chmod", "dirname"] {
            let found = std::env::split_paths(&programs::search_path())
                .map(|folder| folder.join(name))
                .find(|file| file.exists())
                .context(name)?;
            symlink(found, programs.join(name))?;
        }
        let path = programs.into_os_string();
        Ok(Self { folder, path })
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    async fn install(&self, more: &[&str]) -> Result<Said> {
        let mut command = Command::new(programs::airlock()?);
        command
            .args(["codex", "install", "--data-dir"])
            .arg(self.data())
            .args(more)
            .env_clear()
            .env("PATH", &self.path)
            .env("HOME", self.folder.path())
            .kill_on_drop(true);
        said(&mut command).await
    }

    /// The names in the data directory, without the lock.
    fn left(&self) -> Result<Vec<String>> {
        let entries = fs::read_dir(self.data())?.flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        Ok(names.filter(|name| name != "codex-install.lock").collect())
    }
}

async fn said(command: &mut Command) -> Result<Said> {
    let output = within(DOWNLOAD, "the end of an install", command.output()).await??;
    Ok(Said {
        done: output.status.success(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// An npm that installs this program as Codex.
fn npm_of(program: &Path) -> String {
    format!(
        "mkdir -p $(dirname {BINARY}) $(dirname {SCRIPT}) && cp '{}' {BINARY} && echo > {SCRIPT}",
        program.display()
    )
}

#[tokio::test]
async fn a_failure_of_npm_is_reported_with_the_way_out_and_leaves_nothing() -> Result<()> {
    let fail = |code: &str| format!("echo 'npm error code {code}' >&2; exit 1");
    let rows = [
        (fail("ENOTFOUND"), "the registry cannot be reached"),
        (fail("EINTEGRITY"), "not what airlock was built to install"),
        (fail("ENOSPC"), "the disk is full"),
        (fail("EACCES"), "npm may not write"),
        ("exit 3".to_owned(), "npm failed and reported no reason"),
        (
            format!("mkdir -p $(dirname {SCRIPT}) && echo > {SCRIPT}"),
            "npm left out the package with the binary",
        ),
        (
            format!(
                "mkdir -p $(dirname {BINARY}) $(dirname {SCRIPT}) && echo > {SCRIPT}; echo x > {BINARY}; chmod +x {BINARY}"
            ),
            "cannot run",
        ),
    ];
    for (npm, words) in rows {
        let install = InstallFolder::with_npm(&npm)?;
        let said = install.install(&[]).await?;
        assert!(
            !said.done && said.err.contains(words),
            "{npm}: {}",
            said.err
        );
        assert_eq!(install.left()?, [""; 0], "{npm}");
    }
    let install = InstallFolder::without_npm()?;
    let said = install.install(&[]).await?;
    assert!(
        !said.done && said.err.contains("apt install npm"),
        "{}",
        said.err
    );
    let said = install.install(&["--version", "latest"]).await?;
    assert!(!said.done && said.err.contains("0.169.0"), "{}", said.err);
    Ok(())
}

#[tokio::test]
async fn an_install_takes_the_place_of_another_whole_or_not_at_all() -> Result<()> {
    let fitting = FakeCodex::start(Script::new())?;
    let another = FakeCodex::start(Script::new().version("codex-cli 0.168.0"))?;
    let lacking = Script::new().protocol(|protocol| protocol.remove("turn/start"));
    let lacking = FakeCodex::start(lacking)?;
    let install = InstallFolder::with_npm(&npm_of(&fitting.binary()))?;
    let old = install.data().join("codex/old");
    fs::create_dir_all(&old)?;

    for (npm, words) in [
        (another, "it reports version 0.168.0"),
        (lacking, "turn/start missing"),
    ] {
        let unfit = InstallFolder::with_npm(&npm_of(&npm.binary()))?;
        fs::create_dir_all(unfit.data().join("codex/old"))?;
        let said = unfit.install(&[]).await?;
        assert!(!said.done && said.err.contains(words), "{}", said.err);
        assert_eq!(unfit.left()?, ["codex"]);
        assert!(unfit.data().join("codex/old").exists());
    }

    let said = install.install(&[]).await?;
    assert!(said.done, "{}{}", said.out, said.err);
    for line in [
        "fetching Codex 0.169.0",
        "verifying it",
        "Codex 0.169.0 is installed",
    ] {
        assert!(said.out.contains(line), "no {line} in {}", said.out);
    }
    assert!(!old.exists() && install.data().join("codex").join(BINARY).exists());
    assert_eq!(install.left()?, ["codex"]);
    let npm = install.folder.path().join("bin/npm");
    fs::remove_file(npm)?;
    let said = install.install(&[]).await?;
    assert!(
        said.done && said.out.contains("is installed already"),
        "{}{}",
        said.out,
        said.err
    );

    // Without another setting, this Codex is run.
    let mut doctor = Command::new(programs::airlock()?);
    doctor
        .args(["doctor", "--protocol", "--data-dir"])
        .arg(install.data())
        .env_clear()
        .env("PATH", &install.path)
        .env("HOME", install.folder.path());
    let found = self::said(&mut doctor).await?;
    assert!(
        found.done && found.out.contains("it fits"),
        "{}{}",
        found.out,
        found.err
    );
    Ok(())
}

/// The one test that needs the registry, or npm's cache of it.
#[tokio::test]
async fn the_pinned_codex_comes_from_the_registry() -> Result<()> {
    let data = tempfile::tempdir()?;
    let mut command = Command::new(programs::airlock()?);
    command
        .args(["codex", "install", "--data-dir"])
        .arg(data.path())
        .kill_on_drop(true);
    let said = said(&mut command).await?;
    assert!(said.done, "{}{}", said.out, said.err);
    let binary = data.path().join("codex").join(BINARY);
    let version = Command::new(&binary).arg("--version").output().await?;
    assert_eq!(version.stdout, b"codex-cli 0.169.0\n");
    Ok(())
}
