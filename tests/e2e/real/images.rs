//! Images through the real Codex: each that the gateway accepts reaches the model, and Codex replaces none by text.

use airlock_tests::images::{ANIMATED, STILLS, data_url, shown};
use airlock_tests::{Gateway, ScriptedModel};
use anyhow::{Context, Result};
use serde_json::{Value, json};

/// The beginning of the text by which Codex replaces an image.
const OMITTED: &str = "content omitted because";

/// Bytes of the longest image that is cut at every position.
const EVERY: usize = 64;

/// Images: complete, truncated, changed, and with a wrong media type.
fn corpus() -> Vec<String> {
    let mut urls = vec![data_url("image/gif", ANIMATED)];
    for (media_type, bytes) in STILLS {
        let cuts = (1..EVERY).chain((EVERY..bytes.len()).step_by(23));
        urls.extend(cuts.map(|cut| data_url(media_type, &bytes[..cut.min(bytes.len())])));
        urls.extend((1..24).map(|cut| data_url(media_type, &bytes[..bytes.len() - cut])));
        for place in (0..bytes.len()).step_by(11) {
            let mut changed = bytes.to_vec();
            changed[place] ^= 0x10;
            urls.push(data_url(media_type, &changed));
        }
        for other in [
            "image/png",
            "image/jpeg",
            "IMAGE/WEBP",
            "image/jpg",
            "image/png;charset=x",
        ] {
            urls.push(data_url(other, bytes));
        }
        urls.push(data_url(media_type, &[bytes, b"and more"].concat()));
        urls.push(data_url(media_type, &[b"\n", bytes].concat()));
    }
    urls
}

/// The number of images in the model's last request, and whether Codex replaced one.
fn seen(input: &Value) -> (usize, bool) {
    let text = input.to_string();
    (
        text.matches(r#""type":"input_image""#).count(),
        text.contains(OMITTED),
    )
}

#[tokio::test]
async fn what_is_let_through_is_seen_and_the_rest_is_refused() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let gateway = Gateway::over_real(&model).await?;
    let mut refused = 0;
    for url in corpus() {
        let body = json!({"messages": [{"role": "user", "content": shown(&url)}]});
        let reply = gateway.client().chat(body).await?;
        if reply.status == 400 {
            refused += 1;
            let param = reply.error("param");
            assert_eq!(
                param, "messages[0].content[1].image_url.url",
                "{url}: {}",
                reply.body
            );
            continue;
        }
        assert_eq!(reply.text()?, "You said: what is this?", "{url}");
        let call = model.call().await?;
        assert_eq!(seen(&call.body["input"]), (1, false), "{url}");
    }
    let passed = model.calls().len();
    assert!(
        refused > 100 && passed > 50,
        "{refused} refused, {passed} passed"
    );
    Ok(())
}

#[tokio::test]
async fn images_are_seen_in_history_and_results_too() -> Result<()> {
    for (media_type, bytes) in STILLS {
        let model = ScriptedModel::start().await?;
        let gateway = Gateway::over_real(&model).await?;
        let url = data_url(media_type, bytes);
        let call = json!({"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}});
        let messages = json!([{"role": "user", "content": shown(&url)}, {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": shown(&url)},
            {"role": "user", "content": shown(&url)}]);
        let reply = gateway.client().chat(json!({"messages": messages})).await?;
        assert_eq!(reply.text()?, "You said: what is this?");
        let call = model.calls().pop().context("no request")?;
        assert_eq!(seen(&call.body["input"]), (3, false), "{media_type}");
        let shown: Vec<_> = call.items().iter().map(Value::to_string).collect();
        // Codex writes a GIF as PNG.
        let same = shown.iter().filter(|item| item.contains(&url)).count();
        assert_eq!(
            same,
            if media_type == "image/gif" { 0 } else { 3 },
            "{media_type}"
        );
    }
    Ok(())
}
