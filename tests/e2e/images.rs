//! Images that a model would not see completely are refused, wherever they occur, before Codex receives them.

use airlock_tests::images::{ANIMATED, STILLS, data_url, shown};
use airlock_tests::{Conversation, FakeCodex, Gateway, Reply, Script, fan_out, tool};
use anyhow::Result;
use serde_json::{Value, json};

const WEATHER: &str = "get_weather";

/// Images that Codex would replace by text or pass on in part, each with OpenAI's error code.
fn broken() -> Vec<(String, &'static str)> {
    let png = STILLS[0].1;
    vec![
        (
            data_url("image/png", &png[..png.len() - 16]),
            "image_parse_error",
        ),
        (data_url("image/png", &png[..8]), "image_parse_error"),
        (data_url("image/gif", b"GIF89a"), "image_parse_error"),
        (
            data_url("image/jpeg", &STILLS[1].1[..3]),
            "image_parse_error",
        ),
        (
            data_url("image/webp", &STILLS[3].1[..60]),
            "image_parse_error",
        ),
        (data_url("image/gif", ANIMATED), "invalid_image_format"),
        (data_url("image/jpeg", &endless()), "image_too_large"),
    ]
}

/// A JPEG whose header gives 65535 by 65535 pixels.
fn endless() -> Vec<u8> {
    let mut jpeg = STILLS[1].1.to_vec();
    let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]);
    if let Some(frame) = frame {
        jpeg[frame + 5..frame + 9].fill(0xff);
    }
    jpeg
}

/// Messages with the image at each position that allows one, and the path of that position.
fn places(url: &str) -> [(Value, &'static str); 3] {
    let call = json!({"id": "call_1", "type": "function", "function": {"name": WEATHER, "arguments": "{}"}});
    [
        (
            json!([{"role": "user", "content": shown(url)}]),
            "messages[0].content[1].image_url.url",
        ),
        (
            json!([{"role": "user", "content": "hello"}, {"role": "user", "content": shown(url)},
                {"role": "assistant", "content": "a picture"}, {"role": "user", "content": "and now?"}]),
            "messages[1].content[1].image_url.url",
        ),
        (
            json!([{"role": "user", "content": "look"}, {"role": "assistant", "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "call_1", "content": shown(url)}]),
            "messages[2].content[1].image_url.url",
        ),
    ]
}

fn status_and_error(reply: &Reply) -> (u16, &Value, &Value, &Value) {
    (
        reply.status.as_u16(),
        reply.error("type"),
        reply.error("code"),
        reply.error("param"),
    )
}

#[tokio::test]
async fn a_broken_image_is_a_400_that_names_its_part() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::over_fake(&fake).await?;
    for (url, code) in broken() {
        for (messages, place) in places(&url) {
            for stream in [false, true] {
                let plain = json!({"messages": messages, "stream": stream});
                for body in [fan_out(3, plain.clone()), plain] {
                    let reply = gateway.client().chat(body).await?;
                    assert_eq!(
                        status_and_error(&reply),
                        (
                            400,
                            &json!("invalid_request_error"),
                            &json!(code),
                            &json!(place)
                        ),
                        "{url}: {}",
                        reply.body
                    );
                }
            }
        }
    }
    assert_eq!(
        fake.received("turn/start").len() + fake.received("thread/inject_items").len(),
        0
    );
    assert_eq!(gateway.client().ask("fine").await?, "You said: fine");
    Ok(())
}

#[tokio::test]
async fn whole_images_of_each_format_reach_codex_as_they_came() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::over_fake(&fake).await?;
    for (media_type, bytes) in STILLS {
        let url = data_url(media_type, bytes);
        // The second time, the image is known.
        for _ in 0..2 {
            let body = json!({"messages": [{"role": "user", "content": shown(&url)}]});
            assert_eq!(
                gateway.client().chat(body).await?.text()?,
                "You said: what is this?"
            );
            let input = fake.expect("turn/start").await?["params"]["input"].take();
            assert_eq!(input[1], json!({"type": "image", "url": url}));
        }
    }
    Ok(())
}

#[tokio::test]
async fn data_urls_that_codex_does_not_read_are_refused() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::over_fake(&fake).await?;
    let good = data_url("image/png", STILLS[0].1);
    let payload = good.trim_start_matches("data:image/png;base64,");
    let (half, rest) = payload.split_at(40);
    for url in [
        format!("data:image/png; base64,{payload}"),
        format!("data:image/png;base64, {payload}"),
        format!("data:image/png;base64,{half}\n{rest}"),
        format!("data:image/png;base64,{payload} "),
        format!("data:image/png;base64,{half}-_{}", &rest[2..]),
        format!("data:image/png;base64,{half}%2B{rest}"),
        format!("data:image/png;base64,{payload}="),
        format!("data:image/png,{payload}"),
        format!("data:image/png;base64{payload}"),
        format!("DATA:image/png;base64,{payload}"),
        format!("data:text/plain;base64,{payload}"),
        payload.to_owned(),
        String::new(),
        "data:image/svg+xml;base64,PHN2Zz48L3N2Zz4=".to_owned(),
        "data:image/bmp;base64,Qk0eAAAAAAAAABoAAAAMAAAAAQABAAEAGAAAAP8A".to_owned(),
        "file:///etc/passwd".to_owned(),
        "file-abc".to_owned(),
    ] {
        let body = json!({"messages": [{"role": "user", "content": shown(&url)}]});
        let reply = gateway.client().chat(body).await?;
        assert_eq!(
            (reply.status.as_u16(), reply.error("param")),
            (400, &json!("messages[0].content[1].image_url.url")),
            "{url}: {}",
            reply.body
        );
    }
    assert_eq!(fake.received("turn/start").len(), 0);
    Ok(())
}

/// A parked turn is not lost by a result with a broken image.
#[tokio::test]
async fn a_waiting_turn_outlasts_a_broken_result() -> Result<()> {
    let script = Script::new().turn(|turn| turn.call("call_1", WEATHER, "{}").text("Grey."));
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    let more = json!({"tools": [tool(WEATHER)]});
    let mut talk = Conversation::new(gateway.client(), "look", more.clone());
    talk.ask().await?;
    let (url, code) = &broken()[0];
    let mut messages = talk.messages.clone();
    messages.push(json!({"role": "tool", "tool_call_id": "call_1", "content": shown(url)}));
    let reply = gateway
        .client()
        .chat(json!({"messages": messages, "tools": more["tools"]}))
        .await?;
    assert_eq!(
        status_and_error(&reply),
        (
            400,
            &json!("invalid_request_error"),
            &json!(code),
            &json!("messages[2].content[1].image_url.url")
        )
    );
    talk.result("call_1", shown(&data_url("image/png", STILLS[0].1)));
    let response = talk.ask().await?;
    assert_eq!(
        (response.turn.as_str(), response.text.as_str()),
        ("resumed", "Grey.")
    );
    Ok(())
}
