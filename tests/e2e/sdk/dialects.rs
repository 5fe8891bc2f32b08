//! Clients of the Responses API and of the Messages API over the real Codex: the official packages, agent frameworks, and
//! strict checks of every body and event.

use airlock_tests::images::{STILLS, data_url};
use airlock_tests::model::ModelRequest;
use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::scripted::{self, ENCRYPTED};
use super::tools::{Expected, calls_functions};

/// The requests whose last message of the user has this text.
fn asked<'a>(calls: &'a [ModelRequest], text: &str) -> Vec<&'a ModelRequest> {
    calls
        .iter()
        .filter(|call| call.user_text() == text)
        .collect()
}

/// The encrypted content of each reasoning item of a request.
fn reasoning(call: &ModelRequest) -> Vec<Value> {
    let items = call.items();
    let reasoning = items.iter().filter(|item| item["type"] == "reasoning");
    reasoning
        .map(|item| item["encrypted_content"].clone())
        .collect()
}

/// Checks that the model received the reasoning that the client sent back: in this many of the requests that follow it.
fn brought_reasoning(calls: &[ModelRequest], expected: usize) {
    let again = asked(calls, "again");
    let with = again
        .iter()
        .filter(|call| reasoning(call) == [json!(ENCRYPTED)]);
    assert_eq!(with.count(), expected, "of {}", again.len());
}

/// Checks that the model received the image of the scripts, and the instructions.
fn brought_contents(calls: &[ModelRequest]) -> Result<()> {
    let (media_type, bytes) = STILLS[0];
    let shown = asked(calls, "what is this?");
    let shown = shown.first().context("no image")?;
    let text = json!(shown.items()).to_string();
    assert_eq!(text.matches(&data_url(media_type, bytes)).count(), 1);
    assert!(shown.instructions().contains("Be brief."));
    Ok(())
}

#[tokio::test]
async fn anthropics_python_package_cannot_tell_it_from_anthropic() -> Result<()> {
    let (_, calls) = scripted::run("messages.py", &[]).await?;
    brought_contents(&calls)?;
    // The whole message and the streamed one.
    brought_reasoning(&calls, 2);
    // The turn of an answer that is stopped ends, though the model goes on.
    for stopped in asked(&calls, "on and on") {
        stopped.left().await?;
    }
    Ok(())
}

#[tokio::test]
async fn anthropics_python_package_calls_functions() -> Result<()> {
    // looped, streamed and chosen send 2 results each, spoken, thought and elsewhere 1 each, ran 3 twice, one by one. chosen
    // sends them without the functions, so that another turn reads the conversation.
    let expected = Expected {
        results: 15,
        resumed: 10,
    };
    let calls = calls_functions("messages_tools.py", expected).await?;
    let thought = asked(&calls, "think, then call");
    assert_eq!(reasoning(thought[1]), [json!(ENCRYPTED)]);
    Ok(())
}

#[tokio::test]
async fn anthropics_node_package_cannot_tell_it_from_anthropic() -> Result<()> {
    // together sends 2 results, ran 3 twice, one by one.
    let expected = Expected {
        results: 8,
        resumed: 7,
    };
    let calls = calls_functions("messages.mjs", expected).await?;
    brought_reasoning(&calls, 1);
    let left = asked(&calls, "for ever");
    left[0].left().await
}

#[tokio::test]
async fn the_python_package_uses_responses() -> Result<()> {
    let (_, calls) = scripted::run("responses.py", &[]).await?;
    brought_contents(&calls)?;
    // The whole response and the streamed one. Without encrypted content nothing is sent back.
    brought_reasoning(&calls, 2);
    let verbosity = |call: &&ModelRequest| call.body["text"]["verbosity"] == "high";
    assert_eq!(calls.iter().filter(verbosity).count(), 1);
    let efforts = asked(&calls, "think");
    assert_eq!(efforts[0].body["reasoning"]["effort"], "low");
    Ok(())
}

#[tokio::test]
async fn the_python_package_calls_functions_by_responses() -> Result<()> {
    // looped, streamed and parsed send 2 results each, spoken, thought, custom and elsewhere 1 each, stepped 3, one by one.
    let expected = Expected {
        results: 13,
        resumed: 9,
    };
    let calls = calls_functions("responses_tools.py", expected).await?;
    let thought = asked(&calls, "think, then call");
    assert_eq!(reasoning(thought[1]), [json!(ENCRYPTED)]);
    Ok(())
}

#[tokio::test]
async fn the_node_package_uses_responses() -> Result<()> {
    let expected = Expected {
        results: 2,
        resumed: 1,
    };
    let calls = calls_functions("responses.mjs", expected).await?;
    brought_reasoning(&calls, 1);
    let left = asked(&calls, "for ever");
    left[0].left().await
}

#[tokio::test]
async fn agents_of_the_agents_sdk_work_in_steps() -> Result<()> {
    // stepped and stepped_streamed send 3 results each, one by one, thought 1 and then 2, chained 2.
    let expected = Expected {
        results: 11,
        resumed: 9,
    };
    calls_functions("openai_agents.py", expected).await?;
    Ok(())
}

#[tokio::test]
async fn langchain_uses_responses() -> Result<()> {
    // looped and looped_streamed send 2 results each, thought 1.
    let expected = Expected {
        results: 5,
        resumed: 3,
    };
    calls_functions("langchain_responses.py", expected).await?;
    Ok(())
}

#[tokio::test]
async fn the_ai_sdk_uses_responses() -> Result<()> {
    // stepped and steppedStreamed send 3 results each, one by one, thought 1, referred 2.
    let expected = Expected {
        results: 9,
        resumed: 8,
    };
    let calls = calls_functions("ai.mjs", expected).await?;
    brought_reasoning(&calls, 1);
    Ok(())
}

#[tokio::test]
async fn the_python_package_uses_stored_responses() -> Result<()> {
    let (_, calls) = scripted::run("stored.py", &[]).await?;
    // The cancelled one, unless it was cancelled before.
    for cancelled in asked(&calls, "for ever") {
        cancelled.left().await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_node_package_uses_stored_responses() -> Result<()> {
    let (_, calls) = scripted::run("stored.mjs", &[]).await?;
    for cancelled in asked(&calls, "for ever") {
        cancelled.left().await?;
    }
    Ok(())
}

#[tokio::test]
async fn every_message_and_event_is_of_anthropics_types() -> Result<()> {
    scripted::run("strict.py", &["messages"]).await?;
    Ok(())
}

#[tokio::test]
async fn every_response_and_event_is_of_openais_types() -> Result<()> {
    scripted::run("strict.py", &["responses"]).await?;
    Ok(())
}
