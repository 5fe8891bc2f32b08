//! References that only the host may write into a body are refused from a client.

use airlock_tests::{FakeCodex, Gateway, Script};
use anyhow::Result;
use serde_json::json;

use super::PIXEL;

#[tokio::test]
async fn the_hosts_name_of_an_image_is_not_taken_from_a_client() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::over_fake(&fake).await?;
    let url = |url: &str| format!(r#"{{"type":"image_url","image_url":{{"url":"{url}"}}}}"#);
    let bare = |url: &str| format!(r#"{{"type":"image_url","image_url":"{url}"}}"#);
    let escaped = [
        "attachment:0",
        r"\u0061ttachment:0",
        r"attachment\u003a\u0030",
        "attachment:1",
        "attachment:00",
    ];
    let tool =
        r#""tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]"#;
    for name in escaped {
        for (parts, param) in [
            (url(name), "messages[0].content[0].image_url.url"),
            (bare(name), "messages[0].content[0].image_url"),
            (
                format!("{},{}", url(PIXEL), url(name)),
                "messages[0].content[1].image_url.url",
            ),
            (
                format!("{},{}", url(name), url(PIXEL)),
                "messages[0].content[0].image_url.url",
            ),
            (
                format!("{},{},{}", bare(PIXEL), url(PIXEL), bare(name)),
                "messages[0].content[2].image_url",
            ),
        ] {
            let body = format!(
                r#"{{"model":"gpt-5.5","messages":[{{"role":"user","content":[{parts}]}}]}}"#
            );
            let reply = gateway.client().post("/v1/chat/completions", body).await?;
            let about = format!("{parts}: {}", reply.body);
            assert_eq!(reply.status, 400, "{about}");
            assert_eq!(*reply.error("param"), param, "{about}");
        }
        let result = format!(
            r#"{{"role":"tool","tool_call_id":"c","content":[{}]}}"#,
            url(name)
        );
        let body = format!(
            r#"{{"model":"gpt-5.5","messages":[{{"role":"user","content":[{}]}},{{"role":"assistant",{tool}}},{result}]}}"#,
            url(PIXEL)
        );
        let reply = gateway.client().post("/v1/chat/completions", body).await?;
        assert_eq!(reply.status, 400, "{name}: {}", reply.body);
        assert_eq!(
            *reply.error("param"),
            "messages[2].content[0].image_url.url"
        );
    }
    // A duplicate member, of which the first is the host's.
    let twice = format!(
        r#"{{"model":"gpt-5.5","messages":[{{"role":"user","content":[{}],"content":[{}]}}]}}"#,
        url(PIXEL),
        url("attachment:0")
    );
    let reply = gateway.client().post("/v1/chat/completions", twice).await?;
    assert_eq!(reply.status, 400, "{}", reply.body);
    assert_eq!(fake.received("turn/start").len(), 0);
    // Escapes in the names around an image change nothing.
    let escaped = format!(
        r#"{{"model":"gpt-5.5","m\u0065ssages":[{{"role":"user","cont\u0065nt":[{}]}}]}}"#,
        url(PIXEL).replace(r#""url""#, r#""\u0075rl""#)
    );
    let reply = gateway
        .client()
        .post("/v1/chat/completions", escaped)
        .await?;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let input = fake.expect("turn/start").await?["params"]["input"].take();
    assert_eq!(input, json!([{"type": "image", "url": PIXEL}]));
    Ok(())
}
