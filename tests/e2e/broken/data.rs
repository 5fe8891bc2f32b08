//! A data folder that is a file, is not writable, or is on a full disk.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use airlock_tests::{FakeCodex, Script, soon};
use anyhow::Result;
use tokio::process::Command;

use super::{Setup, open_to_all};

#[tokio::test]
async fn a_file_in_the_place_of_the_data_folder_is_named() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let setup = Setup::over(&fake.binary())?;
    let data = setup.data();
    fs::write(&data, "")?;
    let data = data.display();
    let text = format!(
        "cannot make {data}: {data} is not a folder; remove it, or give another folder with --data-dir"
    );
    setup.has_fault("data", &text, false).await?;
    fs::remove_file(setup.data())?;
    // A file in place of its parent.
    let below = setup.data().join("airlock");
    fs::write(setup.data(), "")?;
    let setup = setup.environment("AIRLOCK_DATA_DIR", &below);
    let mut setup = setup;
    setup.arguments.drain(..2);
    let text = format!(
        "cannot make {}: {data} is not a folder; remove it, or give another folder with --data-dir",
        below.display(),
        data = setup.data().display()
    );
    setup.has_fault("data", &text, false).await
}

#[tokio::test]
async fn a_data_folder_that_is_not_writable_is_named() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    open_to_all(&fake)?;
    let setup = Setup::over(&fake.binary())?.unprivileged(&[])?;
    fs::create_dir(setup.data())?;
    fs::set_permissions(setup.data(), Permissions::from_mode(0o555))?;
    let text = format!(
        "cannot write to {}: permission denied for user {}, as whom airlock runs; give it to that user (chown), or give \
         another folder with --data-dir",
        setup.data().display(),
        setup.user()
    );
    setup.has_fault("data", &text, false).await
}

#[tokio::test]
async fn a_home_of_codexs_that_somebody_else_made_is_named() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let setup = Setup::over(&fake.binary())?;
    fs::create_dir(setup.data())?;
    let home = setup.data().join("codex-home");
    fs::write(&home, "")?;
    let home = home.display();
    let text = format!(
        "cannot make {home}: {home} is not a folder; remove it, or give another folder with --data-dir"
    );
    setup.has_fault("home", &text, false).await
}

/// A limit of zero on the size of files has the effect of a full disk, and needs only a shell.
#[tokio::test]
async fn a_limit_of_zero_for_files_is_named() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let limited = "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\"";
    let setup = Setup::over(&fake.binary())?.wrapped(["/bin/sh", "-c", limited]);
    let text = format!(
        "cannot write to {}: no file may grow to that size (`ulimit -f`); make room there, or give another folder with \
         --data-dir",
        setup.data().display()
    );
    setup.has_fault("data", &text, false).await?;
    // The attempt leaves no file behind.
    assert_eq!(fs::read_dir(setup.data())?.count(), 0);
    Ok(())
}

/// A disk that is really full. It needs a mount namespace, which not every machine allows.
#[tokio::test]
async fn a_full_disk_is_named() -> Result<()> {
    let mounting = "mount -t tmpfs -o size=32k tmpfs \"$DISK\" && exec \"$0\" \"$@\"";
    let unshared = [
        "unshare",
        "--user",
        "--map-root-user",
        "--mount",
        "/bin/sh",
        "-c",
        mounting,
    ];
    let fake = FakeCodex::start(Script::new())?;
    let setup = Setup::over(&fake.binary())?;
    fs::create_dir(setup.data())?;
    let disk = setup.data();
    let setup = setup.environment("DISK", &disk).wrapped(unshared);
    let mut trial = Command::new("unshare");
    trial
        .args(&unshared[1..])
        .args(["/bin/sh", "-c", "exit 0"])
        .env("DISK", &disk)
        .stderr(Stdio::null());
    let works = soon("a namespace", trial.status()).await?;
    if !works.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: this machine gives no namespace to mount a small disk in");
        return Ok(());
    }
    let text = format!(
        "cannot write to {}: the disk is full; make room there, or give another folder with --data-dir",
        disk.display()
    );
    setup.has_fault("data", &text, false).await
}
