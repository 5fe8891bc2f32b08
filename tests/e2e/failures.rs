//! The failure of a turn, as the client receives it: a status before the first byte, a frame after it.

use airlock_tests::{FakeCodex, Frame, Gateway, Script};
use anyhow::{Context, Result};
use serde_json::{Value, json};

struct Row {
    info: Value,
    message: &'static str,
    status: u16,
    kind: &'static str,
    code: &'static str,
    retry: bool,
}

fn row(info: Value, status: u16, kind: &'static str, code: &'static str) -> Row {
    Row {
        info,
        message: "it failed; token sk-upstream-secret in /home/someone/secret/path",
        status,
        kind,
        code,
        retry: false,
    }
}

fn rows() -> Vec<Row> {
    let http = |name: &str, status: Option<u16>| json!({name: {"httpStatusCode": status}});
    let invalid = "invalid_request_error";
    vec![
        row(
            json!("usageLimitExceeded"),
            429,
            "rate_limit_error",
            "insufficient_quota",
        ),
        Row {
            retry: true,
            ..row(
                json!("rateLimitExceeded"),
                429,
                "rate_limit_error",
                "rate_limit_exceeded",
            )
        },
        Row {
            retry: true,
            ..row(
                http("responseTooManyFailedAttempts", Some(429)),
                429,
                "rate_limit_error",
                "rate_limit_exceeded",
            )
        },
        row(
            json!("serverOverloaded"),
            503,
            "server_error",
            "server_overloaded",
        ),
        row(
            json!("contextWindowExceeded"),
            400,
            invalid,
            "context_length_exceeded",
        ),
        row(
            json!("unauthorized"),
            503,
            "server_error",
            "codex_not_signed_in",
        ),
        row(
            http("httpConnectionFailed", Some(401)),
            503,
            "server_error",
            "codex_not_signed_in",
        ),
        row(
            http("httpConnectionFailed", Some(403)),
            503,
            "server_error",
            "codex_not_signed_in",
        ),
        row(json!("modelNotFound"), 404, invalid, "model_not_found"),
        row(
            json!("cyberPolicy"),
            400,
            invalid,
            "content_policy_violation",
        ),
        row(
            http("httpConnectionFailed", None),
            502,
            "server_error",
            "upstream_unreachable",
        ),
        row(
            json!("internalServerError"),
            502,
            "server_error",
            "upstream_error",
        ),
        row(json!("other"), 502, "server_error", "upstream_error"),
        row(json!("somethingNew"), 502, "server_error", "upstream_error"),
        row(
            json!({"somethingNew": {"x": 1}}),
            502,
            "server_error",
            "upstream_error",
        ),
        row(Value::Null, 502, "server_error", "upstream_error"),
    ]
}

/// Turns that fail at once and after a word, for every row.
fn script() -> Script {
    rows()
        .into_iter()
        .enumerate()
        .fold(Script::new(), |script, (number, row)| {
            let late = row.info.clone();
            script
                .when(&format!("early-{number}."), |turn| {
                    turn.fail(row.info, row.message)
                })
                .when(&format!("late-{number}."), |turn| {
                    turn.text("word").fail(late, row.message)
                })
        })
}

fn asking(when: &str, number: usize) -> Value {
    json!({"messages": [{"role": "user", "content": format!("{when}-{number}.")}]})
}

#[tokio::test]
async fn before_the_first_byte_a_failure_is_a_status() -> Result<()> {
    let fake = FakeCodex::start(script())?;
    let gateway = Gateway::over_fake(&fake).await?;
    for (number, row) in rows().into_iter().enumerate() {
        let mut streaming = asking("early", number);
        streaming["stream"] = json!(true);
        for body in [asking("early", number), streaming, asking("late", number)] {
            let reply = gateway.client().chat(body.clone()).await?;
            let about = format!("{} for {body}: {}", row.info, reply.body);
            assert_eq!(reply.status.as_u16(), row.status, "{about}");
            assert_eq!(reply.error("type"), row.kind, "{about}");
            assert_eq!(reply.error("code"), row.code, "{about}");
            assert!(
                reply
                    .error("message")
                    .as_str()
                    .is_some_and(|message| !message.is_empty()),
                "{about}"
            );
            assert!(reply.body["error"].get("param").is_some(), "{about}");
            let leaks = reply.body.to_string();
            assert!(
                !leaks.contains("sk-upstream-secret") && !leaks.contains("/home/someone"),
                "{about}"
            );
            assert!(!reply.header("x-request-id").is_empty());
            if row.retry {
                assert!(
                    reply.header("retry-after").parse::<u32>().is_ok(),
                    "{about}: {:?}",
                    reply.headers
                );
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn after_the_first_byte_a_failure_is_a_frame_and_the_end() -> Result<()> {
    let fake = FakeCodex::start(script())?;
    let gateway = Gateway::over_fake(&fake).await?;
    for (number, row) in rows().into_iter().enumerate() {
        let mut stream = gateway.client().stream(asking("late", number)).await?;
        assert_eq!(stream.status(), 200);
        let frames = stream.frames().await?;
        assert_eq!(frames.iter().map(Frame::text).collect::<String>(), "word");
        let [.., failure, Frame::Done] = frames.as_slice() else {
            anyhow::bail!("no error and [DONE] at the end: {frames:?}");
        };
        let error = failure
            .error()
            .with_context(|| format!("no error: {failure:?}"))?;
        assert_eq!(
            (&error["type"], &error["code"]),
            (&json!(row.kind), &json!(row.code)),
            "{}",
            row.info
        );
        assert!(!error.to_string().contains("sk-upstream-secret"), "{error}");
        assert_eq!(
            frames
                .iter()
                .filter(|frame| frame.error().is_some())
                .count(),
            1
        );
        assert!(
            frames.iter().all(|frame| frame.finish_reason().is_empty()),
            "{frames:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn an_answer_that_stops_short_is_delivered() -> Result<()> {
    for (reason, expected) in [
        ("max_output_tokens", "length"),
        ("content_filter", "content_filter"),
    ] {
        let message = format!("Incomplete response returned, reason: {reason}");
        let script =
            Script::new().every_turn(|turn| turn.text("half an ans").fail("other", &message));
        let fake = FakeCodex::start(script)?;
        let gateway = Gateway::over_fake(&fake).await?;
        let reply = gateway.client().chat(json!({})).await?;
        assert_eq!((reply.status.as_u16(), reply.text()?), (200, "half an ans"));
        assert_eq!(reply.body["choices"][0]["finish_reason"], expected);
        let frames = gateway.client().stream(json!({})).await?.frames().await?;
        assert_eq!(
            frames.iter().map(Frame::text).collect::<String>(),
            "half an ans"
        );
        assert_eq!(
            frames.iter().map(Frame::finish_reason).collect::<String>(),
            expected
        );
        assert_eq!(frames.last(), Some(&Frame::Done));
    }
    Ok(())
}

#[tokio::test]
async fn the_causes_of_failures_are_logged_with_the_request() -> Result<()> {
    let fake = FakeCodex::start(
        Script::new().turn(|turn| turn.fail("other", "the cause that only the log may know")),
    )?;
    let gateway = Gateway::over_fake(&fake).await?;
    let reply = gateway.client().chat(json!({})).await?;
    assert!(!reply.body.to_string().contains("only the log may know"));
    let id = reply.header("x-request-id").to_owned();
    let line = gateway.logged("only the log may know").await?;
    assert!(
        line.contains(&id) || gateway.logged(&id).await.is_ok(),
        "{line}"
    );
    Ok(())
}
