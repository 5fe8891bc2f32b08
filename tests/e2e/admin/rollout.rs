//! Canaries, shadows, and releases that are taken back because they fail.

use super::*;

#[tokio::test]
async fn a_canary_serves_its_share_until_it_is_ended() -> Result<()> {
    let fake = FakeCodex::start(critic())?;
    let gateway = keyed().over_fake(&fake).await?;
    put_critique(&gateway)?;
    let shipped = strategy(&gateway).await?;
    let canary =
        async |body: Value| ask(&gateway, Method::PUT, "/admin/rollout/canary", body).await;
    for (body, words) in [
        (json!({"name": "critique", "percent": 101}), "percent"),
        (json!({"name": "shipped", "percent": 1}), "already"),
        (json!({"percent": 1}), "name"),
    ] {
        let reply = canary(body).await?;
        assert_eq!(reply.status, 400, "{}", reply.body);
        assert!(
            text(&reply.body["error"], "message").contains(words),
            "{}",
            reply.body
        );
    }
    let reply = canary(json!({"name": "critique", "percent": 100})).await?;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(strategy(&gateway).await?, "critique");
    let during = report(&gateway).await?;
    assert_eq!(active(&during), "shipped");
    assert_eq!(
        during["canary"]["release"],
        release(&during, "critique")?["number"]
    );
    measured(
        &gateway,
        &[r#"airlock_canary_requests_total{release="2"} 1"#],
    )
    .await?;
    // Requests for the list of models count too.
    assert_eq!(gateway.client().get("/v1/models").await?.status, 200);
    let lines = [
        r#"airlock_canary_requests_total{release="2"} 2"#,
        r#"airlock_requests_total{route="/v1/models",status="ok",release="2"} 1"#,
    ];
    measured(&gateway, &lines).await?;
    let end = async || {
        ask(
            &gateway,
            Method::DELETE,
            "/admin/rollout/canary",
            Value::Null,
        )
        .await
    };
    assert_eq!(end().await?.status, 200);
    assert_eq!(end().await?.status, 404);
    assert_eq!(strategy(&gateway).await?, shipped);
    Ok(())
}

#[tokio::test]
async fn what_fails_too_often_is_taken_back() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = keyed()
        .settings("[rollback]\nfaults = 3\npercent = 1")
        .over_fake(&fake)
        .await?;
    put_hostile(&gateway)?;
    activated(&gateway, "hostile", None).await?;
    for _ in 0..2 {
        let reply = gateway
            .client()
            .chat(json!({"user": "hostile:render:trap"}))
            .await?;
        assert_eq!(reply.status, 500, "{}", reply.body);
    }
    assert_eq!(
        active(&report(&gateway).await?),
        "hostile",
        "two are not too many"
    );
    let reply = gateway
        .client()
        .chat(json!({"user": "hostile:render:trap"}))
        .await?;
    assert_eq!(reply.status, 500, "{}", reply.body);
    let back = |report: &Value| active(report) == "shipped";
    let report = reported(&gateway, "the rollback", back).await?;
    let last = report["history"].as_array().and_then(|all| all.last());
    let last = last.context("no history")?;
    assert_eq!(
        (text(last, "by"), text(last, "name")),
        ("airlock".to_owned(), "shipped".to_owned())
    );
    assert!(
        text(last, "reason").contains("hostile failed 3 times"),
        "{last}"
    );
    // The shipped policy gives these words no meaning.
    let reply = gateway
        .client()
        .chat(json!({"user": "hostile:render:trap"}))
        .await?;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let lines = [
        r#"airlock_policy_faults_total{release="2",kind="trap"} 3"#,
        r#"airlock_policy_rollbacks_total{role="active"} 1"#,
        r#"airlock_requests_total{route="/v1/chat/completions",status="failed",release="2"} 3"#,
        "airlock_resident_releases 1",
    ];
    measured(&gateway, &lines).await?;
    Ok(())
}
