//! Authentication, web origins, and the permissions of Codex.

use airlock_tests::client::send;
use airlock_tests::{FakeCodex, Gateway, Script, ScriptedResponse};
use anyhow::Result;
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn a_page_from_elsewhere_can_ask_nothing() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::over_fake(&fake).await?;
    let body = json!({"model": "gpt-5.5", "messages": [{"role": "user", "content": "hi"}]});
    let ask = |name: &'static str, value: &str| {
        let request = gateway
            .client()
            .request(Method::POST, "/v1/chat/completions")
            .json(&body);
        send(request.header(name, value))
    };
    let port = gateway.address().port();
    for (name, value) in [
        ("host", "evil.example".to_owned()),
        ("host", format!("evil.example:{port}")),
        ("host", format!("127.0.0.1.evil.example:{port}")),
        ("origin", "https://evil.example".to_owned()),
        ("origin", "null".to_owned()),
        ("origin", format!("http://127.0.0.1.evil.example:{port}")),
    ] {
        let reply = ask(name, &value).await?;
        assert!(
            matches!(reply.status.as_u16(), 403 | 421),
            "{name}: {value}: {} {}",
            reply.status,
            reply.body
        );
        let message = match name {
            "host" => format!(
                "The request's Host {value:?} is not a name of this gateway. If it should be, add it to allowed_hosts, without \
                 its port."
            ),
            _ => format!(
                "Web pages of this origin {value:?} may not call this gateway. If they should, add it to allowed_origins."
            ),
        };
        assert_eq!(reply.error("message"), &json!(message));
        assert_eq!(reply.header("access-control-allow-origin"), "");
    }
    assert_eq!(fake.received("thread/start").len(), 0);
    for (name, value) in [
        ("host", format!("localhost:{port}")),
        ("origin", format!("http://127.0.0.1:{port}")),
    ] {
        let reply = ask(name, &value).await?;
        assert_eq!(
            reply.status.as_u16(),
            200,
            "{name}: {value}: {}",
            reply.body
        );
    }
    Ok(())
}

#[tokio::test]
async fn hosts_and_origins_can_be_allowed() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let settings =
        "allowed_hosts = [\"airlock.example\"]\nallowed_origins = [\"https://chat.example\"]";
    let gateway = Gateway::with().settings(settings).over_fake(&fake).await?;
    let ask = |name: &'static str, value: &'static str| {
        send(
            gateway
                .client()
                .request(Method::GET, "/v1/models")
                .header(name, value),
        )
    };
    assert_eq!(ask("host", "airlock.example").await?.status, 200);
    assert_eq!(ask("origin", "https://chat.example").await?.status, 200);
    assert_eq!(ask("origin", "https://other.example").await?.status, 403);
    Ok(())
}

#[tokio::test]
async fn a_key_that_is_configured_must_be_presented() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::with()
        .environment("AIRLOCK_API_KEY", "sk-airlock-right")
        .over_fake(&fake)
        .await?;
    for client in [
        gateway.client().clone(),
        gateway.client().with_key("sk-airlock-wrong"),
        gateway.client().with_key(""),
    ] {
        for reply in [
            client.chat(json!({})).await?,
            client.get("/v1/models").await?,
        ] {
            assert_eq!(reply.status, 401, "{}", reply.body);
            assert_eq!(reply.error("type"), "authentication_error");
            assert_eq!(reply.error("code"), "invalid_api_key");
            assert!(!reply.body.to_string().contains("sk-airlock-right"));
        }
    }
    assert_eq!(fake.received("thread/start").len(), 0);
    let client = gateway.client().with_key("sk-airlock-right");
    assert_eq!(client.ask("hi").await?, "You said: hi");
    assert_eq!(gateway.client().get("/healthz").await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn nothing_but_loopback_is_listened_on_without_a_key() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let refused = Gateway::with()
        .listen("0.0.0.0:0")
        .refused(fake.binary())
        .await?;
    assert_ne!(refused.code, Some(0));
    assert!(
        refused.log.contains("api_key") && refused.log.contains("0.0.0.0"),
        "{}",
        refused.log
    );
    assert_eq!(
        fake.starts(),
        0,
        "nothing starts before the settings are checked"
    );
    Ok(())
}

#[tokio::test]
async fn a_thread_that_is_not_confined_runs_no_turn() -> Result<()> {
    let unconfined = [
        json!({"sandbox": {"type": "workspaceWrite", "writableRoots": [], "networkAccess": false}}),
        json!({"sandbox": {"type": "dangerFullAccess"}}),
        json!({"sandbox": {"type": "readOnly", "networkAccess": true}}),
        json!({"sandbox": null}),
        json!({"approvalPolicy": "on-request"}),
        json!({"approvalPolicy": null}),
    ];
    for over in unconfined {
        let fake = FakeCodex::start(
            Script::new().answer("thread/start", ScriptedResponse::With(over.clone())),
        )?;
        let gateway = Gateway::over_fake(&fake).await?;
        let reply = gateway.client().chat(json!({})).await?;
        assert!(
            reply.status.is_server_error(),
            "{over}: {} {}",
            reply.status,
            reply.body
        );
        assert_eq!(fake.received("turn/start").len(), 0, "{over}");
    }
    Ok(())
}

#[tokio::test]
async fn every_server_request_of_codex_is_refused() -> Result<()> {
    let requests = [
        (
            "item/commandExecution/requestApproval",
            json!({"itemId": "c", "kind": "command", "startedAtMs": 0,
            "command": "rm -rf /", "cwd": "/", "availableDecisions": ["accept", "cancel"]}),
        ),
        (
            "item/fileChange/requestApproval",
            json!({"itemId": "c", "startedAtMs": 0, "reason": null, "grantRoot": null}),
        ),
        (
            "item/permissions/requestApproval",
            json!({"itemId": "c", "startedAtMs": 0, "permissions": {}}),
        ),
        (
            "item/tool/call",
            json!({"callId": "c", "namespace": null, "tool": "get_weather", "arguments": {}}),
        ),
        (
            "item/tool/requestUserInput",
            json!({"itemId": "c", "isBlocking": true, "questions": [
            {"id": "q", "header": "H", "question": "?", "isOther": false, "isSecret": false, "options": []}]}),
        ),
        (
            "mcpServer/elicitation/request",
            json!({"serverName": "s", "message": "?"}),
        ),
        (
            "account/chatgptAuthTokens/refresh",
            json!({"reason": "unauthorized"}),
        ),
        (
            "execCommandApproval",
            json!({"callId": "c", "command": ["ls"], "cwd": "/"}),
        ),
        ("something/new", json!({})),
    ];
    let script = requests
        .iter()
        .fold(Script::new(), |script, (method, params)| {
            script.turn(|turn| {
                turn.text("before ")
                    .ask(method, params.clone())
                    .text("after")
            })
        });
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    for (method, _) in &requests {
        assert_eq!(
            gateway.client().ask("go").await?,
            "before after",
            "{method}"
        );
        let answer = fake.expect_answer().await?;
        let result = &answer["result"];
        let refused = answer.get("error").is_some()
            || matches!(
                result["decision"].as_str(),
                Some("decline" | "cancel" | "abort")
            )
            || result["decision"]["denied"].is_object()
            || result["success"] == json!(false)
            || result["action"] == json!("decline");
        assert!(refused, "{method}: {answer}");
    }
    Ok(())
}

#[tokio::test]
async fn codex_gets_none_of_our_secrets() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::with()
        .environment("AIRLOCK_API_KEY", "sk-airlock-secret")
        .environment("OPENAI_API_KEY", "sk-openai-secret")
        .environment("AWS_SECRET_ACCESS_KEY", "aws-secret")
        .environment("HTTPS_PROXY", "http://127.0.0.1:9")
        .over_fake(&fake)
        .await?;
    gateway
        .client()
        .with_key("sk-airlock-secret")
        .ask("hi")
        .await?;
    let hello = fake.expect_start().await?;
    assert!(
        !hello
            .environment
            .values()
            .any(|value| value.contains("secret")),
        "{:?}",
        hello.environment.keys()
    );
    assert_eq!(
        hello.environment.get("HTTPS_PROXY").map(String::as_str),
        Some("http://127.0.0.1:9")
    );
    assert!(hello.environment.contains_key("CODEX_HOME"));
    assert!(
        !hello
            .arguments
            .iter()
            .any(|argument| argument.contains("secret"))
    );
    Ok(())
}

#[tokio::test]
async fn the_log_holds_no_secret_and_the_output_one_line() -> Result<()> {
    let script = Script::new()
        .when("fail", |turn| turn.fail("other", "no"))
        .every_turn(|turn| turn.text("private answer"));
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::with()
        .environment("AIRLOCK_API_KEY", "sk-airlock-secret")
        .environment("OPENAI_API_KEY", "sk-openai-secret")
        .environment("RUST_LOG", "debug")
        .over_fake(&fake)
        .await?;
    let client = gateway.client().with_key("sk-airlock-secret");
    client.ask("private question").await?;
    client
        .chat(json!({"messages": [{"role": "user", "content": "private fail"}]}))
        .await?;
    gateway
        .client()
        .with_key("sk-airlock-guess")
        .chat(json!({}))
        .await?;
    gateway.client().get("/readyz").await?;
    let log = gateway.log().await?;
    assert!(!log.is_empty());
    for secret in [
        "sk-airlock-secret",
        "sk-openai-secret",
        "sk-airlock-guess",
        "private question",
        "private answer",
    ] {
        assert!(!log.contains(secret), "the log has {secret}");
    }
    let lines = gateway.lines();
    assert_eq!(
        lines,
        [format!("Airlock listens on {}", gateway.client().base())]
    );
    Ok(())
}

#[tokio::test]
async fn a_body_cannot_widen_what_codex_may_do() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::over_fake(&fake).await?;
    let wider = json!({"sandbox": "danger-full-access", "approvalPolicy": "on-request", "cwd": "/",
        "config": {"sandbox_mode": "danger-full-access"}});
    // Refused or ignored, but never passed on.
    gateway.client().chat(wider).await?;
    gateway.client().ask("and now").await?;
    for start in fake.received("thread/start") {
        let params: &Value = &start["params"];
        assert_eq!(
            (&params["sandbox"], &params["approvalPolicy"]),
            (&json!("read-only"), &json!("never"))
        );
        assert_ne!(params["cwd"], "/");
    }
    Ok(())
}
