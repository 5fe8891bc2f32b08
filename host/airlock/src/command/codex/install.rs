//! `airlock codex install`: into a folder beside the one in use, verified there, and swap_in in its place in one step.

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

/// What npm installs, and what each file of it must be: the very ones that the tests run with.
const PACKAGE: &str = include_str!("../../../../../tests/codex/package.json");
const LOCK: &str = include_str!("../../../../../tests/codex/package-lock.json");

/// Where the binary is looked for, in the data directory (`codex::binary::find`).
const PLACE: &str = "codex";

/// npm's script of Codex, below the folder of the install. The binary is found from there.
const SCRIPT: &str = "node_modules/@openai/codex/bin/codex.js";

/// What folders of an install are called until it is done.
const STAGE: &str = "codex-install-";

/// npm's ways that are the same for every version: no scripts of packages, and no words that nobody asked for.
const OPTIONS: [&str; 5] = [
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--no-update-notifier",
    "--loglevel=error",
];

/// Installs a version, unless it is there.
///
/// # Errors
/// What stands in the way, and the way out. What was installed before is untouched then.
pub(super) async fn install(
    config: &Config,
    version: &str,
    out: &mut (dyn Write + Send),
) -> Result<()> {
    let data = &config.data_dir;
    let stage = StagingFolder::new(data)?;
    let place = data.join(PLACE);
    if place.join(SCRIPT).is_file() && verified(config, &stage, &place, version).await.is_ok() {
        print_line(
            out,
            &format!(
                "Codex {version} is installed already, in {}",
                place.display()
            ),
        );
        note(config, out);
        return Ok(());
    }
    let program = npm::find(&config.environment)?;
    let root = stage.path.join(PLACE);
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
        let (root, place) = (root.clone(), place.clone());
        move || swap_in(&root, &place)
    };
    tokio::task::spawn_blocking(swap)
        .await?
        .with_context(|| format!("cannot swap_in it to {}", place.display()))?;
    print_line(
        out,
        &format!(
            "Codex {version} is installed: {}",
            place.join(inside).display()
        ),
    );
    note(config, out);
    // With the install before, if there was one.
    tokio::task::spawn_blocking(move || drop(stage)).await?;
    Ok(())
}

/// Says what it does. A terminal that is gone is no reason to stop half-way.
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
        // What the cache has is as good as what the registry has: the checksums are ours.
        vec!["ci", "--prefer-offline"]
    } else {
        fs::write(root.join("package.json"), "{\"private\": true}\n")?;
        vec!["install", "--save-exact", package.as_str()]
    };
    arguments.extend(OPTIONS);
    npm::run(program, &arguments, root, out).await
}

/// The binary of an install, once it has said that it is this version and speaks our protocol.
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
        bail!("it says that it is {}, not {version}", binary.version);
    }
    Ok(binary.path)
}

/// Puts the new install in the place of the old one. No moment is without one, as far as the file system can do that.
fn swap_in(new: &Path, place: &Path) -> io::Result<()> {
    if !place.exists() {
        return fs::rename(new, place);
    }
    match renameat_with(CWD, new, CWD, place, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(()),
        // Some file systems cannot: there is none for the moment between these two.
        Err(_) => {
            let old = new.with_extension("old");
            fs::rename(place, &old)?;
            fs::rename(new, place).inspect_err(|_| drop(fs::rename(&old, place)))
        }
    }
}

/// A folder to install into, beside the place; and the right to do so, which one process has at a time.
struct StagingFolder {
    path: PathBuf,
    _lock: File,
}

impl StagingFolder {
    fn new(data: &Path) -> Result<Self> {
        storage::make_folder(data)?;
        let file = data.join("codex-install.lock");
        let mut options = OpenOptions::new();
        let options = options.create(true).truncate(false).write(true).mode(0o600);
        let lock = options.open(&file);
        let lock = lock.map_err(storage::fault("open", &file, storage::ANOTHER))?;
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
        // What installs that were killed have left.
        for entry in fs::read_dir(data)?.flatten() {
            if entry
                .file_name()
                .as_encoded_bytes()
                .starts_with(STAGE.as_bytes())
                && entry.path().is_dir()
            {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        let path = data.join(format!("{STAGE}{:016x}", rand::random::<u64>()));
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(storage::fault("make", &path, storage::ANOTHER))?;
        // As the binary's own path will be.
        let path = path.canonicalize()?;
        Ok(Self { path, _lock: lock })
    }
}

impl Drop for StagingFolder {
    fn drop(&mut self) {
        // What stays is removed by the next install.
        let _ = fs::remove_dir_all(&self.path);
    }
}
