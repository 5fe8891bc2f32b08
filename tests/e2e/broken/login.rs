//! A login that is missing, unreadable or invalid, is in a keyring, or comes from a program that cannot run.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use airlock_tests::{FakeCodex, Gateway, Script};
use anyhow::Result;
use serde_json::{Value, json};

use super::{Setup, open_to_all};

fn signed_out() -> Result<FakeCodex> {
    let fake = FakeCodex::start(Script::new().signed_out())?;
    open_to_all(&fake)?;
    Ok(fake)
}

/// The command that signs in to this installation.
fn login(setup: &Setup, fake: &FakeCodex) -> String {
    format!(
        "airlock login --listen 127.0.0.1:0 --data-dir {} --codex-bin {}",
        setup.data().display(),
        fake.binary().display()
    )
}

#[tokio::test]
async fn a_missing_login_is_reported_with_airlock_login_everywhere() -> Result<()> {
    let fake = signed_out()?;
    let setup = Setup::over(&fake.binary())?;
    let file = setup.home().join(".codex/auth.json");
    fs::remove_file(&file)?;
    let text = format!(
        "nobody is signed in: there is no {}; run `{}`",
        file.display(),
        login(&setup, &fake)
    );
    setup.has_fault("login", &text, true).await?;
    let status = setup.run("status", &["--listen", "127.0.0.1:0"]).await?;
    assert_eq!(status.code, Some(1), "{}", status.err);
    let gateway = Gateway::over_fake(&fake).await?;
    let chat = gateway.client().chat(json!({})).await?;
    let ready = gateway.client().get("/readyz").await?;
    for said in [chat.error("message"), ready.error("message")] {
        let said = said.as_str().unwrap_or_default();
        assert!(said.contains("`airlock login`"), "{said}");
        assert!(
            !said.contains("doctor") && !said.contains("codex login"),
            "{said}"
        );
    }
    let advised = format!("nobody; run `{}`", login(&setup, &fake));
    assert!(status.out.contains(&advised), "{}", status.out);
    Ok(())
}

#[tokio::test]
async fn a_refused_login_is_distinguished_from_a_missing_one() -> Result<()> {
    let fake = signed_out()?;
    let setup = Setup::over(&fake.binary())?;
    let text = format!(
        "Codex does not take the login of {}; run `{}`",
        setup.home().join(".codex/auth.json").display(),
        login(&setup, &fake)
    );
    setup.has_fault("login", &text, true).await
}

#[tokio::test]
async fn a_login_that_cannot_be_read_is_named_with_its_file() -> Result<()> {
    let fake = signed_out()?;
    let setup = Setup::over(&fake.binary())?;
    let (home, folder) = (setup.home(), setup.home().join(".codex"));
    let file = folder.join("auth.json");
    fs::set_permissions(&file, Permissions::from_mode(0o000))?;
    fs::create_dir(setup.data())?;
    let own = [setup.data()];
    let setup = setup.unprivileged(&own)?;
    unreadable(&setup, &fake, &file).await?;
    // The whole home of the user's own Codex.
    fs::set_permissions(&file, Permissions::from_mode(0o644))?;
    fs::set_permissions(&folder, Permissions::from_mode(0o000))?;
    unreadable(&setup, &fake, &file).await?;
    fs::set_permissions(&folder, Permissions::from_mode(0o755))?;
    // It cannot even be seen whether there is a login.
    fs::set_permissions(&home, Permissions::from_mode(0o000))?;
    unreadable(&setup, &fake, &folder).await?;
    fs::set_permissions(&home, Permissions::from_mode(0o755))?;
    Ok(())
}

async fn unreadable(setup: &Setup, fake: &FakeCodex, path: &Path) -> Result<()> {
    let text = format!(
        "cannot read {}, where the login is: permission denied; make it readable for user {}, as whom airlock runs, or set \
         codex.login = \"separate\" and run `{}`",
        path.display(),
        setup.user(),
        login(setup, fake)
    );
    setup.has_fault("login", &text, true).await
}

#[tokio::test]
async fn a_file_that_holds_no_login_is_named() -> Result<()> {
    let fake = signed_out()?;
    let setup = Setup::over(&fake.binary())?;
    let file = setup.home().join(".codex/auth.json");
    fs::write(&file, "{\"OPENAI_API_KEY\": ")?;
    let text = format!(
        "{} holds no login: it is not a JSON object; run `{}`, which writes it anew",
        file.display(),
        login(&setup, &fake)
    );
    setup.has_fault("login", &text, true).await
}

#[tokio::test]
async fn a_login_in_a_keyring_is_named() -> Result<()> {
    let fake = signed_out()?;
    let setup = Setup::over(&fake.binary())?;
    let folder = setup.home().join(".codex");
    fs::remove_file(folder.join("auth.json"))?;
    for store in ["keyring", "auto"] {
        let settings = format!("cli_auth_credentials_store = \"{store}\"\n");
        fs::write(folder.join("config.toml"), settings)?;
        let text = format!(
            "the login of your own Codex is in the system's keyring (cli_auth_credentials_store in {}), which airlock cannot \
             share, and there is no {}; run `{}`, which stores a login in that file for airlock",
            folder.join("config.toml").display(),
            folder.join("auth.json").display(),
            login(&setup, &fake)
        );
        setup.has_fault("login", &text, true).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_program_for_tokens_that_cannot_run_is_named_and_nothing_else() -> Result<()> {
    let fake = signed_out()?;
    let setup = Setup::over(&fake.binary())?;
    let program = setup.folder.path().join("print-token");
    let shown = program.display().to_string();
    let setup = setup.environment("AIRLOCK_CODEX_TOKEN_COMMAND", "no-such-program --json");
    let text = "codex.token_command cannot run: there is no `no-such-program` in PATH; install it, or correct the setting";
    setup.has_fault("tokens", text, true).await?;
    let doctor = setup.doctor().await?;
    assert!(!doctor.out.contains("airlock login"), "{}", doctor.out);

    let setup = setup.environment("AIRLOCK_CODEX_TOKEN_COMMAND", &program);
    let text = format!(
        "codex.token_command cannot run: there is no file {shown}; install it there, or correct the setting"
    );
    setup.has_fault("tokens", &text, true).await?;
    fs::write(&program, "#!/bin/sh\nexit 3\n")?;
    let text = format!(
        "codex.token_command cannot run: {shown} is not executable; `chmod +x` it, or correct the setting"
    );
    setup.has_fault("tokens", &text, true).await?;

    // A program that runs, and fails.
    fs::set_permissions(&program, Permissions::from_mode(0o755))?;
    let doctor = setup
        .run("doctor", &["--listen", "127.0.0.1:0", "--json"])
        .await?;
    assert_eq!(doctor.code, Some(1));
    let report: Value = serde_json::from_str(&doctor.out)?;
    let checks = report["checks"].as_array().into_iter().flatten();
    let failed: Vec<&Value> = checks.filter(|it| it["status"] == "fail").collect();
    let message = "nobody is signed in: the token command or URL failed; try codex.token_command or codex.token_url by hand";
    assert_eq!(
        failed,
        [&json!({"check": "login", "status": "fail", "message": message})]
    );
    assert_eq!(
        (&report["ready"], &report["fail"]),
        (&json!(false), &json!(1))
    );
    Ok(())
}
