//! Swaps of policies, during requests and across restarts.

use airlock_tests::Gate;
use rustix::process::Signal;

use super::*;

#[tokio::test]
async fn policies_are_activated_by_name_and_digest_and_rolled_back() -> Result<()> {
    let fake = FakeCodex::start(critic())?;
    let gateway = keyed().over_fake(&fake).await?;
    assert_eq!(active(&report(&gateway).await?), "shipped");
    let shipped = strategy(&gateway).await?;
    put_critique(&gateway)?;
    let digest = activated(&gateway, "critique", None).await?;
    assert_eq!(strategy(&gateway).await?, "critique");

    let reply = ask(
        &gateway,
        Method::POST,
        "/admin/policies/rollback",
        Value::Null,
    )
    .await?;
    assert_eq!(
        (reply.status.as_u16(), &reply.body["name"]),
        (200, &json!("shipped"))
    );
    assert_eq!(reply.body["by"], "admin");
    assert_eq!(strategy(&gateway).await?, shipped);
    let again = activated(&gateway, "critique", Some(&digest[..8])).await?;
    assert_eq!(again, digest);

    for (name, digest, status, words) in [
        ("nobody", None, 404, "nobody.wasm"),
        ("critique", Some("00000000"), 404, "00000000"),
        ("critique", Some("123"), 400, "6 or more"),
        ("critique", Some("no digits"), 400, "hexadecimal"),
    ] {
        let reply = activate(&gateway, name, digest).await?;
        assert_eq!(reply.status, status, "{name} {digest:?}: {}", reply.body);
        assert!(
            text(&reply.body["error"], "message").contains(words),
            "{}",
            reply.body
        );
    }
    let report = report(&gateway).await?;
    assert_eq!(active(&report), "critique");
    let history = report["history"].as_array().context("no history")?;
    let entries: Vec<_> = history
        .iter()
        .map(|it| (text(it, "name"), text(it, "by")))
        .collect();
    let entries: Vec<_> = entries
        .iter()
        .map(|(name, by)| (name.as_str(), by.as_str()))
        .collect();
    assert_eq!(
        entries,
        [
            ("shipped", "start"),
            ("critique", "me"),
            ("shipped", "admin"),
            ("critique", "me")
        ]
    );
    // A build that is loaded again is the same release.
    assert_eq!(report["releases"].as_array().map(Vec::len), Some(2));
    let lines = [
        "airlock_policy_swaps_total 3",
        "airlock_resident_releases 1",
    ];
    measured(&gateway, &lines).await?;
    Ok(())
}

#[tokio::test]
async fn what_cannot_serve_changes_nothing() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = keyed().over_fake(&fake).await?;
    let whole = fs::read(airlock_tests::components::CRITIQUE)?;
    put(&gateway, "cut.wasm", &whole[..whole.len() / 2])?;
    put(&gateway, "module.wasm", b"\0asm\x01\0\0\0")?;
    put(&gateway, "garbage.wasm", b"not a component")?;
    put(&gateway, "empty.wasm", b"\0asm\x0d\0\x01\0")?;
    put(&gateway, "twin@1.wasm", &whole)?;
    put(&gateway, "twin@2.wasm", b"garbage")?;
    put(&gateway, "pinned.wasm", &whole)?;
    let pin = format!("digest = \"sha256:{}\"", "0".repeat(64));
    put(&gateway, "pinned.toml", pin.as_bytes())?;
    for (name, words) in [
        ("cut", "cut does not compile"),
        ("module", "core module"),
        ("garbage", "not a WebAssembly component"),
        ("empty", "does not fit"),
        ("twin", "twin@1.wasm, twin@2.wasm"),
        ("pinned", "pinned is refused"),
    ] {
        let reply = activate(&gateway, name, None).await?;
        assert_eq!(reply.status, 400, "{name}: {}", reply.body);
        let message = text(&reply.body["error"], "message");
        assert!(message.contains(words), "{name}: {message}");
        assert_eq!(gateway.client().ask("fine").await?, "You said: fine");
    }
    let report = report(&gateway).await?;
    assert_eq!(active(&report), "shipped");
    assert_eq!(report["history"].as_array().map(Vec::len), Some(1));
    let nothing = ask(
        &gateway,
        Method::POST,
        "/admin/policies/rollback",
        Value::Null,
    )
    .await?;
    assert_eq!(nothing.status, 400, "{}", nothing.body);
    let odd = activate(&gateway, "%ff", None).await?;
    assert_eq!(
        (odd.status.as_u16(), odd.error("code")),
        (404, &json!("policy_not_found")),
        "{}",
        odd.body
    );
    Ok(())
}

#[tokio::test]
async fn what_was_active_is_active_after_a_restart() -> Result<()> {
    let data = tempfile::tempdir()?;
    let fake = FakeCodex::start(critic())?;
    let mut gateway = keyed().data_dir(data.path()).over_fake(&fake).await?;
    put_critique(&gateway)?;
    let digest = activated(&gateway, "critique", None).await?;
    let before = report(&gateway).await?;
    // The file of the active build has another policy now.
    put(
        &gateway,
        "critique.wasm",
        &fs::read(airlock_tests::components::HOSTILE)?,
    )?;
    gateway.signal(Signal::TERM);
    gateway.ended().await?;
    drop(gateway);

    let gateway = keyed().data_dir(data.path()).over_fake(&fake).await?;
    let after = report(&gateway).await?;
    assert_eq!(after["history"], before["history"]);
    assert_eq!(after["active"], before["active"]);
    assert_eq!(release(&after, "critique")?["digest"], digest.as_str());
    assert_eq!(strategy(&gateway).await?, "critique");
    // Without a digest, the name selects the file's present build.
    assert_ne!(activated(&gateway, "critique", None).await?, digest);
    let back = ask(
        &gateway,
        Method::POST,
        "/admin/policies/rollback",
        Value::Null,
    )
    .await?;
    assert_eq!(back.body["digest"], digest.as_str(), "{}", back.body);
    Ok(())
}

#[tokio::test]
async fn a_stream_ends_on_the_release_that_it_began_with() -> Result<()> {
    let gate = Gate::new();
    let script = critic().when("slowly", |turn| {
        turn.text("before ").hold(&gate).text("after")
    });
    let fake = FakeCodex::start(script)?;
    let gateway = keyed().over_fake(&fake).await?;
    put_critique(&gateway)?;
    let messages = json!([{"role": "user", "content": "slowly"}]);
    let mut stream = gateway
        .client()
        .stream(json!({"messages": messages}))
        .await?;
    assert_eq!(stream.next_text().await?, "before ");
    activated(&gateway, "critique", None).await?;
    assert_eq!(strategy(&gateway).await?, "critique");
    let during = report(&gateway).await?;
    let old = release(&during, "shipped")?;
    assert_eq!(
        (&old["resident"], &old["holders"]),
        (&json!(true), &json!(1))
    );
    let open = ["airlock_resident_releases 2", "airlock_open_streams 1"];
    measured(&gateway, &open).await?;
    gate.open();
    assert_eq!(stream.text().await?, "after");
    drop(stream);
    let freed = |report: &Value| release(report, "shipped").is_ok_and(|it| it["resident"] == false);
    let after = reported(&gateway, "the end of the old release", freed).await?;
    assert_eq!(release(&after, "shipped")?["holders"], 0);
    let ended = [1, 2].map(|release| {
        format!(
            r#"airlock_requests_total{{route="/v1/chat/completions",status="ok",release="{release}"}} 1"#
        )
    });
    let lines = [&*ended[0], &ended[1], "airlock_resident_releases 1"];
    measured(&gateway, &lines).await?;
    Ok(())
}
