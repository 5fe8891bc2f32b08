//! Runs npm with the user's environment and a deadline, and turns its errors into messages with a remedy.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use airlock_base::environment::Environment;
use airlock_base::task::spawner;

/// The deadline of a download: 100 MB at 1 Mbit/s.
const DEADLINE: Duration = Duration::from_secs(15 * 60);

/// The interval of progress lines.
const PROGRESS: Duration = Duration::from_secs(10);

/// Bytes of npm's standard error that are read.
const STDERR_BYTES: u64 = 64 << 10;

/// Signs in npm's errors, and the message for each.
const REASONS: &[(&[&str], &str)] = &[
    (
        &["EINTEGRITY"],
        "what the registry gave is not what airlock was built to install; nothing was changed. A registry of your own may have repacked it: compare `npm config get registry`",
    ),
    (
        &["ENOSPC", "no space left"],
        "the disk is full; about 400 MB are needed in the data directory, and 100 MB in npm's cache",
    ),
    (
        &["EACCES", "EPERM", "EROFS"],
        "npm may not write; is the data directory yours, and npm's cache (`npm config get cache`)?",
    ),
    (
        &["E401", "E403", "ENEEDAUTH"],
        "the registry refuses; sign in with `npm login`, or name another with `npm config set registry`",
    ),
    (
        &["E404", "ETARGET", "ENOVERSIONS"],
        "the registry has no such version of @openai/codex",
    ),
    (
        &[
            "ENOTFOUND",
            "EAI_AGAIN",
            "ECONNREFUSED",
            "ECONNRESET",
            "ETIMEDOUT",
            "ENETUNREACH",
            "EHOSTUNREACH",
            "ERR_SOCKET_TIMEOUT",
            "CERT",
            "SELF_SIGNED",
            "FETCH_ERROR",
            "network",
        ],
        "the registry cannot be reached; check the network, and npm's registry, proxy and certificates (`npm config list`)",
    ),
];

/// Finds npm in PATH.
///
/// # Errors
/// npm is not installed.
pub(super) fn find(environment: &Environment) -> Result<PathBuf> {
    let path = environment.raw("PATH").map(OsStr::to_owned);
    let folders = path.iter().flat_map(std::env::split_paths);
    folders
        .map(|folder| folder.join("npm"))
        .find(|file| file.is_file())
        .context("npm is missing, which fetches Codex from its registry; install Node.js 16 or later with npm (Debian, Ubuntu: `apt install npm`; Fedora: `dnf install npm`; macOS: `brew install node`)")
}

/// Runs npm in a folder until it exits.
///
/// # Errors
/// npm's failure, with a remedy.
pub(super) async fn run(
    program: &Path,
    arguments: &[&str],
    folder: &Path,
    out: &mut (dyn Write + Send),
) -> Result<()> {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let child = spawner::spawn(command).await;
    let mut child = child.with_context(|| format!("cannot run {}", program.display()))?;
    let stderr = child.stderr.take();
    let done = async {
        let mut errors = Vec::new();
        if let Some(stderr) = stderr {
            stderr.take(STDERR_BYTES).read_to_end(&mut errors).await?;
        }
        Ok::<_, std::io::Error>((child.wait().await?, errors))
    };
    let done = timeout(DEADLINE, with_progress(done, out)).await;
    let Ok(done) = done else {
        bail!(
            "npm took longer than {} minutes; try again, what it has is in its cache",
            DEADLINE.as_secs() / 60
        );
    };
    let (status, errors) = done.context("npm cannot be waited for")?;
    if status.success() {
        return Ok(());
    }
    Err(failed(&String::from_utf8_lossy(&errors)))
}

/// Writes progress lines until the work is done.
async fn with_progress<T>(work: impl Future<Output = T>, out: &mut (dyn Write + Send)) -> T {
    let began = Instant::now();
    let mut ticks = interval_at(began + PROGRESS, PROGRESS);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            _ = ticks.tick() => {
                // Write errors do not stop the work.
                let _ = writeln!(out, "  … {} s", began.elapsed().as_secs()).and_then(|()| out.flush());
            }
        }
    }
}

/// npm's errors as a message with a remedy.
fn failed(errors: &str) -> anyhow::Error {
    let has = |sign: &&str| errors.contains(*sign);
    let reason = REASONS.iter().find(|(signs, _)| signs.iter().any(has));
    let lines = errors.lines().map(str::trim);
    let last = lines
        .filter(|line| !line.is_empty() && !line.contains("A complete log of this run"))
        .take(3)
        .collect::<Vec<_>>()
        .join("; ");
    match reason {
        Some((_, reason)) => anyhow!("{reason} (npm: {last})"),
        None if last.is_empty() => anyhow!("npm failed and reported no reason"),
        None => anyhow!("npm failed: {last}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_become_messages_with_a_remedy() {
        let rows = [
            (
                "npm error code ENOTFOUND\nnpm error network request failed",
                "cannot be reached",
            ),
            ("npm error code EINTEGRITY", "nothing was changed"),
            ("npm error code ENOSPC", "disk is full"),
            ("npm error code E404", "no such version"),
            ("npm error code E403", "npm login"),
            ("npm error code EACCES", "may not write"),
            (
                "npm error something else",
                "npm failed: npm error something else",
            ),
            ("", "reported no reason"),
        ];
        for (text, advice) in rows {
            let message = failed(text).to_string();
            assert!(message.contains(advice), "{text}: {message}");
        }
    }
}
