//! A machine without root certificates, and a model's server that cannot be reached.

use std::fs;
use std::net::TcpListener;

use airlock_tests::{FakeCodex, Script};
use anyhow::Result;

use super::Setup;

#[tokio::test]
async fn a_machine_without_certificates_is_named() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let setup = Setup::over(&fake.binary())?;
    let missing = setup.folder.path().join("none.pem");
    let empty = setup.folder.path().join("certificates");
    fs::create_dir(&empty)?;
    let setup = setup
        .environment("SSL_CERT_FILE", &missing)
        .environment("SSL_CERT_DIR", &empty);
    let text = format!(
        "there are no CA certificates in SSL_CERT_FILE ({}) and SSL_CERT_DIR ({}), so Codex trusts no server; name a PEM file \
         that has some, or unset it",
        missing.display(),
        empty.display()
    );
    setup.has_fault("certificates", &text, true).await
}

#[tokio::test]
async fn a_model_that_cannot_be_reached_is_named() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let setup = Setup::over(&fake.binary())?;
    let doctor = setup.doctor().await?;
    let reached = |line: &&str| line.starts_with("ok    model        127.0.0.1:");
    let line = doctor.out.lines().find(reached);
    assert!(
        line.is_some_and(|it| it.contains("the proxy of HTTPS_PROXY, is reached")),
        "{}",
        doctor.out
    );
    assert_eq!(doctor.code, Some(0));

    // A port without a listener.
    let closed = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let theirs = setup.folder.path().join("theirs");
    fs::create_dir(&theirs)?;
    fs::write(theirs.join("auth.json"), "{}")?;
    let settings = format!("openai_base_url = \"http://{closed}/v1\"\n");
    fs::write(theirs.join("config.toml"), settings)?;
    let setup = setup.argument("--codex-home").argument(theirs);
    let doctor = setup.doctor().await?;
    let line = format!(
        "fail  model        {closed} cannot be reached: the connection is refused; check its address, firewall and proxy"
    );
    assert!(doctor.out.lines().any(|it| it == line), "{}", doctor.out);
    assert_eq!(doctor.code, Some(1));
    Ok(())
}
