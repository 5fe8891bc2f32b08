//! `airlock codex install`: installs into a staging folder, verifies the binary there, and swaps it in with one rename.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::npm;
use crate::config::Config;
use airlock_base::storage;
use airlock_codex::binary::{BinaryError, PINNED, TESTED};
use airlock_codex::config::LoginMode;
use airlock_codex::launch::Launch;

/// The package that npm installs, and the checksums of its files: those that the tests run with.
const PACKAGE: &str = include_str!("../../../../../tests/codex/package.json");
const LOCK: &str = include_str!("../../../../../tests/codex/package-lock.json");

/// The folder below the data directory in which `codex::binary::find` looks for the binary.
const FOLDER: &str = "codex";

/// npm's script of Codex, below the folder of the install. It leads to the binary.
const SCRIPT: &str = "node_modules/@openai/codex/bin/codex.js";

/// The prefix of staging folders.
const STAGING: &str = "codex-install-";

/// npm's options: no scripts of packages, and no notices.
const OPTIONS: [&str; 5] = [
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--no-update-notifier",
    "--loglevel=error",
];

/// Installs a version, unless it is installed already.
///
/// # Errors
/// The obstacle, with a remedy. The earlier install is then unchanged.
pub(super) async fn install(
    config: &Config,
    version: &str,
    out: &mut (dyn Write + Send),
) -> Result<()> {
    let data = &config.data_dir;
    let stage = StagingFolder::new(data)?;
    let target = data.join(FOLDER);
    if target.join(SCRIPT).is_file() && verified(config, &stage, &target, version).await.is_ok() {
        print_line(
            out,
            &format!(
                "Codex {version} is installed already, in {}",
                target.display()
            ),
        );
        note(config, out);
        return Ok(());
    }
    let program = npm::find(&config.environment)?;
    let root = stage.path.join(FOLDER);
    fs::create_dir(&root).with_context(|| format!("cannot make {}", root.display()))?;
    print_line(
        out,
        &format!("fetching Codex {version} with npm (about 100 MB) …"),
    );
    let fetched = fetch(&program, &root, version, out).await;
    fetched.with_context(|| format!("Codex {version} was not installed"))?;
    print_line(out, "verifying it …");
    let binary = verified(config, &stage, &root, version).await;
    let binary = binary
        .with_context(|| format!("Codex {version} was fetched, but is not taken into use"))?;
    let inside = binary.strip_prefix(&root).unwrap_or(&binary).to_owned();
    let swap = {
        let (root, target) = (root.clone(), target.clone());
        move || swap_in(&root, &target)
    };
    tokio::task::spawn_blocking(swap)
        .await?
        .with_context(|| format!("cannot put it to {}", target.display()))?;
    print_line(
        out,
        &format!(
            "Codex {version} is installed: {}",
            target.join(inside).display()
        ),
    );
    note(config, out);
    // The staging folder now has the old install, if there was one.
    tokio::task::spawn_blocking(move || drop(stage)).await?;
    Ok(())
}

/// Writes a line of progress. Write errors are ignored: the install goes on without its terminal.
fn print_line(out: &mut (dyn Write + Send), text: &str) {
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

fn note(config: &Config, out: &mut (dyn Write + Send)) {
    if let Some(bin) = &config.codex.bin {
        let text = format!(
            "note: codex.bin (--codex-bin, CODEX_BIN) names {}, which outweighs it",
            bin.display()
        );
        print_line(out, &text);
    }
    let data = &config.data_dir;
    if *data != config.environment.data_dir() {
        let text = format!(
            "note: it is found by gateways with this data folder: `airlock serve --data-dir {}`",
            data.display()
        );
        print_line(out, &text);
    }
}

async fn fetch(
    program: &Path,
    root: &Path,
    version: &str,
    out: &mut (dyn Write + Send),
) -> Result<()> {
    let package = format!("@openai/codex@{version}");
    let mut arguments = if version == PINNED {
        fs::write(root.join("package.json"), PACKAGE)?;
        fs::write(root.join("package-lock.json"), LOCK)?;
        // The checksums make npm's cache as good as the registry.
        vec!["ci", "--prefer-offline"]
    } else {
        fs::write(root.join("package.json"), "{\"private\": true}\n")?;
        vec!["install", "--save-exact", package.as_str()]
    };
    arguments.extend(OPTIONS);
    npm::run(program, &arguments, root, out).await
}

/// The binary of an install, verified by its version and its protocol.
async fn verified(
    config: &Config,
    stage: &StagingFolder,
    root: &Path,
    version: &str,
) -> Result<PathBuf> {
    let mut trial = config.clone();
    trial.codex.bin = Some(root.join(SCRIPT));
    // A home of its own: a gateway may run in ours with other settings.
    trial.codex.data_dir = stage.path.join("trial");
    trial.codex.home = None;
    trial.codex.login = LoginMode::Separate;
    trial.server.rehearsal = false;
    let launch = Launch::prepare(&trial.codex, trial.command("login"), None)?;
    let binary = match launch.compatible_binary().await {
        Ok(binary) => binary,
        Err(BinaryError::Incomplete { .. }) => bail!(
            "npm left out the package with the binary: the registry does not give it, or Codex is not published for this machine"
        ),
        Err(BinaryError::IncompatibleProtocol { faults, .. }) => bail!(
            "its protocol lacks what airlock uses: {}; Codex {TESTED} works",
            faults.join(", ")
        ),
        Err(other) => bail!("{other}"),
    };
    if binary.version != version {
        bail!("it reports version {}, not {version}", binary.version);
    }
    Ok(binary.path)
}

/// Exchanges the new install with the old one, atomically where the file system supports it.
#[expect(
    clippy::disallowed_methods,
    reason = "a folder is moved, whose files npm has written"
)]
fn swap_in(new: &Path, target: &Path) -> io::Result<()> {
    if !target.exists() {
        return fs::rename(new, target);
    }
    match renameat_with(CWD, new, CWD, target, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(()),
        // Without `RENAME_EXCHANGE` there is no install between these two renames.
        Err(_) => {
            let old = new.with_extension("old");
            fs::rename(target, &old)?;
            fs::rename(new, target).inspect_err(|_| drop(fs::rename(&old, target)))
        }
    }
}

/// A folder to install into, with the lock that lets one process install at a time.
struct StagingFolder {
    path: PathBuf,
    _lock: File,
}

impl StagingFolder {
    fn new(data: &Path) -> Result<Self> {
        storage::create_private_folder(data)?;
        let file = data.join("codex-install.lock");
        let mut options = OpenOptions::new();
        let options = options.create(true).truncate(false).write(true).mode(0o600);
        let lock = options.open(&file);
        let lock = lock.map_err(storage::error("open", &file, storage::DATA_DIR_REMEDY))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                bail!(
                    "another `airlock codex install` is at it in {}; wait for it",
                    data.display()
                )
            }
            Err(TryLockError::Error(error)) => return Err(error).context("cannot lock"),
        }
        // Staging folders of installs that were killed.
        for entry in fs::read_dir(data)?.flatten() {
            if entry
                .file_name()
                .as_encoded_bytes()
                .starts_with(STAGING.as_bytes())
                && entry.path().is_dir()
            {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        let path = data.join(format!("{STAGING}{:016x}", rand::random::<u64>()));
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(storage::error("make", &path, storage::DATA_DIR_REMEDY))?;
        // The binary reports its canonical path.
        let path = path.canonicalize()?;
        Ok(Self { path, _lock: lock })
    }
}

impl Drop for StagingFolder {
    fn drop(&mut self) {
        // The next install removes a folder that stays.
        let _ = fs::remove_dir_all(&self.path);
    }
}
