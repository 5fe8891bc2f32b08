//! A Codex that hangs, that exits at its start, and one that is installed under another data folder.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use airlock_tests::{FakeCodex, Script, ScriptedResponse};
use anyhow::Result;

use super::Setup;

#[tokio::test]
async fn a_codex_that_hangs_is_named() -> Result<()> {
    let script = Script::new().always("initialize", ScriptedResponse::Silence);
    let fake = FakeCodex::start(script)?;
    let setup = Setup::over(&fake.binary())?.environment("AIRLOCK_LIMITS_CALL_TIMEOUT", "1s");
    let text = format!(
        "codex {} hangs: it was started and has not answered within limits.call_timeout; its own words are in the log of \
         `RUST_LOG=airlock=debug airlock serve`, and `airlock codex install` installs one that works",
        fake.binary().display()
    );
    setup.has_fault("codex", &text, true).await
}

#[tokio::test]
async fn a_codex_that_ends_as_it_starts_is_named() -> Result<()> {
    let script = Script::new().always("initialize", ScriptedResponse::Exit(3));
    let fake = FakeCodex::start(script)?;
    let setup = Setup::over(&fake.binary())?;
    let text = format!(
        "codex {} ended while it started; its own words are in the log of `RUST_LOG=airlock=debug airlock serve`, and \
         `airlock codex install` installs one that works",
        fake.binary().display()
    );
    setup.has_fault("codex", &text, true).await
}

#[tokio::test]
async fn a_codex_that_hangs_before_it_prints_its_version_is_named() -> Result<()> {
    let setup = Setup::without_codex()?;
    let codex = setup.folder.path().join("codex");
    fs::write(&codex, "#!/bin/sh\nexec sleep 1000\n")?;
    fs::set_permissions(&codex, Permissions::from_mode(0o755))?;
    let text = format!(
        "cannot run {}: --version took longer than 20 s; `airlock codex install` installs 0.169.0, or name another with \
         --codex-bin",
        codex.display()
    );
    let setup = setup.argument("--codex-bin").argument(codex);
    setup.has_fault("binary", &text, true).await
}

/// As in the policy guide: it serves with `--data-dir try`, after `airlock codex install` without that option.
#[tokio::test]
async fn an_installed_codex_is_found_whatever_the_data_folder_is() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let setup = Setup::without_codex()?.environment("PATH", "");
    let text = format!(
        "no codex in {}, {} nor in PATH; `airlock codex install` installs 0.169.0 (as does `npm install -g \
         @openai/codex@0.169.0`), or name one with --codex-bin",
        setup.data().join("codex").display(),
        setup.home().join(".local/share/airlock/codex").display()
    );
    setup.has_fault("binary", &text, true).await?;

    let installed = setup
        .home()
        .join(".local/share/airlock/codex/node_modules/@openai");
    let binary = "codex-linux-x64/vendor/x86_64-unknown-linux-musl/bin";
    for folder in ["codex/bin", binary] {
        fs::create_dir_all(installed.join(folder))?;
    }
    fs::write(installed.join("codex/bin/codex.js"), "")?;
    let binary = installed.join(binary).join("codex");
    fs::copy(fake.binary(), &binary)?;
    // The script needs a shell, which is not searched for in PATH.
    let doctor = setup.doctor().await?;
    let line = format!("ok    binary       {}", binary.display());
    assert!(doctor.out.lines().any(|it| it == line), "{}", doctor.out);
    assert_eq!(doctor.code, Some(0), "{}", doctor.out);
    Ok(())
}
