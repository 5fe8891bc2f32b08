//! An address in use: by a gateway with this data folder, by another gateway, or by another program.

use airlock_tests::{FakeCodex, Gateway, Script};
use anyhow::Result;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::Setup;

#[tokio::test]
async fn doctor_knows_the_gateway_that_runs() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let setup = Setup::over(&fake.binary())?;
    let gateway = Gateway::with()
        .data_dir(setup.data())
        .environment("HOME", setup.home())
        .over_fake(&fake)
        .await?;
    let address = gateway.address().to_string();
    let listen = ["--listen", address.as_str()];

    let doctor = setup.run("doctor", &listen).await?;
    let line = format!(
        "ok    port         {address} is served by this airlock, which runs with this data folder"
    );
    assert!(doctor.out.lines().any(|it| it == line), "{}", doctor.out);
    assert_eq!(doctor.code, Some(0), "{}{}", doctor.out, doctor.err);
    let last = doctor.out.lines().last().unwrap_or_default();
    assert!(
        last.ends_with(" ok, 0 warn, 0 fail: `airlock serve` can answer requests"),
        "{last}"
    );
    let as_json = setup
        .run("doctor", &[&listen[..], &["--json"]].concat())
        .await?;
    let report: Value = serde_json::from_str(&as_json.out)?;
    assert_eq!(
        (&report["ready"], &report["fail"]),
        (&json!(true), &json!(0))
    );

    let serve = setup.serve("stop that one first", &listen).await?;
    let text = format!(
        "airlock: {address} is served by an airlock that runs with this data folder already; stop that one first, or choose \
         another address with --listen"
    );
    assert!(serve.err.lines().any(|it| it == text), "{}", serve.err);
    assert_eq!(serve.code, Some(1));

    // It identifies its folder without the path.
    let health = gateway.client().get("/healthz").await?;
    let data = health.body["data"].as_str().unwrap_or_default();
    let is_digit = |byte: u8| byte.is_ascii_hexdigit();
    assert!(
        data.len() == 16 && data.bytes().all(is_digit),
        "{}",
        health.body
    );
    Ok(())
}

#[tokio::test]
async fn another_gateway_and_another_program_are_named() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let setup = Setup::over(&fake.binary())?;
    let gateway = Gateway::over_fake(&fake).await?;
    let stranger = TcpListener::bind("127.0.0.1:0").await?;
    let address = stranger.local_addr()?;
    // A program that closes the connection. Programs that answer are tested in `command/port.rs`.
    let mut hanging_up = JoinSet::new();
    hanging_up.spawn(async move { while stranger.accept().await.is_ok() {} });
    let another = format!(
        "{} is in use by an airlock that runs with another data folder; choose another address with --listen, or name that \
         folder with --data-dir",
        gateway.address()
    );
    let strange = format!(
        "{address} is in use by another program; choose another address with --listen, or end that program"
    );
    for (listen, text) in [
        (gateway.address().to_string(), another),
        (address.to_string(), strange),
    ] {
        let listen = ["--listen", listen.as_str()];
        let doctor = setup.run("doctor", &listen).await?;
        let line = format!("fail  port         {text}");
        assert!(doctor.out.lines().any(|it| it == line), "{}", doctor.out);
        let serve = setup.serve(&text, &listen).await?;
        let line = format!("airlock: {text}");
        assert!(serve.err.lines().any(|it| it == line), "{}", serve.err);
        assert_eq!((doctor.code, serve.code), (Some(1), Some(1)));
    }
    Ok(())
}

#[tokio::test]
async fn a_client_of_a_gateway_that_all_can_reach_needs_no_key_of_its_configuration() -> Result<()>
{
    let fake = FakeCodex::start(Script::new())?;
    let setup = Setup::over(&fake.binary())?;
    let gateway = Gateway::with()
        .listen("0.0.0.0:0")
        .environment("AIRLOCK_API_KEY", "key-1")
        .over_fake(&fake)
        .await?;
    let listen = format!("0.0.0.0:{}", gateway.address().port());
    let listen = ["--listen", listen.as_str()];
    let status = setup.run("status", &listen).await?;
    assert!(
        status.err.contains("another key than this configuration"),
        "{}",
        status.err
    );
    assert_eq!(status.code, Some(1));
    let serve = setup.run("serve", &listen).await?;
    assert!(serve.err.contains("there is no api_key"), "{}", serve.err);
    assert_eq!(serve.code, Some(2));
    let client = gateway.client().with_key("key-1");
    assert_eq!(client.ask("hi").await?, "You said: hi");
    let setup = setup.environment("AIRLOCK_API_KEY", "key-1");
    let status = setup.run("status", &listen).await?;
    assert_eq!(status.code, Some(0), "{}{}", status.out, status.err);
    Ok(())
}
