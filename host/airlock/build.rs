//! Sets `AIRLOCK_VERSION`: the crate's version, with the commit that it is built from where one is known.

#![allow(
    clippy::disallowed_methods,
    reason = "cargo passes the environment to build scripts"
)]

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=AIRLOCK_COMMIT");
    let version = std::env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let version = match commit() {
        Some(commit) => format!("{version} ({commit})"),
        None => version,
    };
    println!("cargo::rustc-env=AIRLOCK_VERSION={version}");
}

/// The commit of the repository, or else that of `AIRLOCK_COMMIT`, which builds from an archive set.
fn commit() -> Option<String> {
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else {
        return std::env::var("AIRLOCK_COMMIT")
            .ok()
            .filter(|it| !it.is_empty());
    };
    rerun_on_commit();
    match git(&["status", "--porcelain"]).is_none_or(|changes| changes.is_empty()) {
        true => Some(commit),
        false => Some(format!("{commit}-dirty")),
    }
}

/// Has cargo run this script again once another commit is checked out.
fn rerun_on_commit() {
    let head = git(&["symbolic-ref", "--quiet", "HEAD"]);
    let names = ["HEAD", "packed-refs"].into_iter().chain(head.as_deref());
    for name in names {
        let Some(path) = git(&["rev-parse", "--git-path", name]) else {
            continue;
        };
        // A file that is missing would have the script run at every build.
        if Path::new(&path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
}

/// The output of git. `None` if it fails or is not installed.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
