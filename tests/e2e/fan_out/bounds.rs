//! The limits of a fan-out: concurrent candidates, waiting time, text, and memory.

use airlock_tests::{
    FakeCodex, FanOut, Frame, Gate, Gateway, Script, angle, fan_out, process, soon,
};
use anyhow::{Context, Result};
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::{DRAFT, drafts};

const MIB: u64 = 1 << 20;

/// A PNG of one pixel.
const PIXEL: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

#[tokio::test]
async fn more_candidates_than_turns_are_refused_at_once() -> Result<()> {
    let script = Script::new().every_turn(|turn| turn.text("a").hang());
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::with()
        .settings("[limits]\nturns = 2")
        .over_fake(&fake)
        .await?;
    // It is refused at once, whatever else runs.
    let mut running = gateway.client().stream(json!({})).await?;
    running.next_text().await?;
    for stream in [false, true] {
        let body = fan_out(3, json!({"stream": stream}));
        let reply = gateway.client().chat(body).await?;
        assert_eq!(
            (
                reply.status.as_u16(),
                reply.error("code"),
                reply.error("param")
            ),
            (400, &json!("too_many_turns"), &json!("parallel_calls")),
            "{}",
            reply.body
        );
        let message = reply.error("message").to_string();
        assert!(message.contains('2'), "how many it runs: {message}");
    }
    assert_eq!(fake.received("thread/start").len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_fan_out_takes_its_turns_together_or_waits() -> Result<()> {
    let gate = Gate::new();
    let script = Script::new()
        .when(DRAFT, |turn| turn.text("the answer"))
        .every_turn(|turn| turn.hold(&gate).text(DRAFT));
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::with()
        .settings("[limits]\nturns = 3\nqueue = 1")
        .over_fake(&fake)
        .await?;
    let first = gateway.client().chat(fan_out(2, json!({})));
    let rest = async {
        fake.expect_count("turn/start", 2).await?;
        // One turn is free, and each of these needs two: one waits in the queue, one is refused.
        let (one, two) = (
            gateway.client().chat(fan_out(2, json!({}))),
            gateway.client().chat(fan_out(2, json!({}))),
        );
        tokio::pin!(one, two);
        let (refused, is_one) = tokio::select! {
            reply = &mut one => (reply?, true),
            reply = &mut two => (reply?, false),
        };
        assert_eq!(refused.status.as_u16(), 503, "{}", refused.body);
        assert_eq!(
            fake.received("thread/start").len(),
            2,
            "whoever waits has started nothing"
        );
        gate.open();
        let waited = if is_one { two.await? } else { one.await? };
        assert_eq!(waited.text()?, "the answer");
        anyhow::Ok(())
    };
    let (first, rest) = tokio::join!(first, rest);
    rest?;
    assert_eq!(first?.text()?, "the answer");
    assert_eq!(fake.received("turn/start").len(), 6);
    Ok(())
}

#[tokio::test]
async fn fan_outs_that_do_not_fit_together_run_after_each_other() -> Result<()> {
    let fake = FakeCodex::start(drafts(3, |turn| turn.text("the answer")))?;
    let gateway = Gateway::with()
        .settings("[limits]\nturns = 4\nqueue = 16")
        .over_fake(&fake)
        .await?;
    let all = (0..8).map(|number| gateway.client().chat(fan_out(2 + number % 2, json!({}))));
    for reply in try_join_all(all).await? {
        assert_eq!(reply.text()?, "the answer", "{}", reply.body);
    }
    assert_eq!(
        gateway.client().ask("and now?").await?,
        "You said: and now?"
    );
    Ok(())
}

#[tokio::test]
async fn as_many_candidates_as_turns_leave_room_for_the_synthesis() -> Result<()> {
    let fake = FakeCodex::start(drafts(3, |turn| turn.text("the answer")))?;
    let gateway = Gateway::with()
        .settings("[limits]\nturns = 3\nqueue = 16")
        .over_fake(&fake)
        .await?;
    let all = (0..4).map(|_| gateway.client().chat(fan_out(3, json!({}))));
    for reply in try_join_all(all).await? {
        assert_eq!(reply.text()?, "the answer", "{}", reply.body);
    }
    Ok(())
}

#[tokio::test]
async fn a_candidate_with_too_much_output_ends_alone() -> Result<()> {
    let script = Script::new()
        .when(DRAFT, |turn| turn.text("the answer"))
        .when_instructed(&angle(2), |turn| turn.burst(100, 100).hang())
        .every_turn(|turn| turn.text(DRAFT));
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::with()
        .settings("[limits]\ncandidate_bytes = \"4KiB\"")
        .over_fake(&fake)
        .await?;
    for (count, stream) in [(1, true), (2, false)] {
        if stream {
            let response = gateway.client().fan_out(3, json!({})).await?;
            assert_eq!(response.text, "the answer");
            assert!(response.failed(2).is_some(), "{response:?}");
            assert!(response.tabs[1].pieces.len() <= 8 << 10, "{response:?}");
            assert_eq!(
                (response.closed(1), response.closed(3)),
                (Some(DRAFT), Some(DRAFT))
            );
        } else {
            let reply = gateway.client().chat(fan_out(3, json!({}))).await?;
            assert_eq!(reply.text()?, "the answer");
            assert_eq!(reply.body["airlock"]["candidates"][1]["status"], "failed");
        }
        fake.expect_endings("interrupted", count).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_fan_out_with_too_much_output_loses_the_candidate_that_exceeds_the_limit() -> Result<()> {
    let gates: [Gate; 3] = std::array::from_fn(|_| Gate::new());
    let [second, third, more] = &gates;
    let script = Script::new()
        .when("abcdef", |turn| turn.text("the answer"))
        .when_instructed(&angle(1), |turn| turn.burst(1, 2000))
        .when_instructed(&angle(2), |turn| turn.hold(second).burst(1, 2000))
        .when_instructed(&angle(3), |turn| {
            turn.hold(third)
                .burst(1, 2000)
                .hold(more)
                .burst(1, 2300)
                .hang()
        });
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::with()
        .settings("[limits]\ncandidate_bytes = \"8KiB\"\nfan_out_bytes = \"8KiB\"")
        .over_fake(&fake)
        .await?;
    let mut stream = gateway.client().stream(fan_out(3, json!({}))).await?;
    let mut frames = Vec::new();
    for gate in [second, third] {
        frames.extend(stream.frames_until(Frame::closes_tab).await?);
        gate.open();
    }
    // Read before more is sent, so that the turn does not end because of a slow client.
    let talks = |frame: &Frame| frame.tool_event().is_some_and(|event| event["tab"] == 3);
    frames.extend(stream.frames_until(talks).await?);
    more.open();
    frames.extend(stream.frames().await?);
    let response = FanOut::read(&frames)?;
    assert_eq!(response.text, "the answer");
    for candidate in [1, 2] {
        assert_eq!(response.closed(candidate).map(str::len), Some(2000));
    }
    assert_eq!(response.tabs[2].pieces.len(), 2000);
    assert_eq!(response.failed(3), Some("server_error"), "{response:?}");
    fake.expect_endings("interrupted", 1).await
}

#[tokio::test]
async fn what_the_judge_is_given_fits_codex() -> Result<()> {
    // Together more than the 1,048,576 characters that one input of Codex may have.
    let script = Script::new()
        .when("abcdef", |turn| turn.text("the answer"))
        .every_turn(|turn| turn.burst(700, 1000));
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    let reply = gateway.client().chat(fan_out(2, json!({}))).await?;
    assert_eq!(reply.text()?, "the answer");
    // It contains marks such as `<` and `[`, so it is injected.
    let injected = fake.received("thread/inject_items");
    let items = injected
        .iter()
        .filter_map(|call| call["params"]["items"].as_array());
    let texts = items
        .flatten()
        .filter_map(|item| item["content"][0]["text"].as_str());
    let input = texts
        .max_by_key(|text| text.len())
        .context("no synthesis")?;
    let length = input.chars().count();
    assert!((900_000..=1_048_576).contains(&length), "{length}");
    assert!(input.contains("characters left out"), "it is marked");
    Ok(())
}

/// A client that reads neither headers nor frames, while up to 20 MB are sent to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_never_reads_costs_bounded_memory_and_receives_the_end() -> Result<()> {
    let script = Script::new()
        .when("abcdef", |turn| turn.text("the answer"))
        .when("never read", |turn| turn.burst(5_000, 1000));
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    assert_eq!(gateway.client().ask("warm up").await?, "You said: warm up");
    let before = process::resident(gateway.pid())?;

    let mut silent = ask_without_reading(&gateway, 4, "never read", json!({})).await?;
    fake.expect_count("turn/start", 5).await?;
    for number in 0..5 {
        let question = format!("are you there? {number}");
        assert_eq!(
            gateway.client().ask(&question).await?,
            format!("You said: {question}")
        );
    }
    let mut response = Vec::new();
    soon(
        "the end of what it was sent",
        silent.read_to_end(&mut response),
    )
    .await??;
    let peak = process::peak(gateway.pid())?;
    assert!(
        peak < before + 160 * MIB,
        "{} MiB before, {} MiB at most",
        before / MIB,
        peak / MIB
    );
    let response = String::from_utf8_lossy(&response);
    let ends =
        response.matches("codex_tab_close").count() + response.matches("codex_tab_error").count();
    assert_eq!(ends, 4);
    assert!(
        response.contains("data: [DONE]"),
        "terminal events never drop"
    );
    Ok(())
}

/// Twenty candidates with the same image of 12 MiB share it, and it is not sent to all at once.
#[tokio::test]
async fn a_large_image_is_not_held_for_each_candidate() -> Result<()> {
    let fake = FakeCodex::start(Script::new().when("what is this", |turn| turn.text("an image")))?;
    let gateway = Gateway::over_fake(&fake).await?;
    assert_eq!(gateway.client().ask("warm up").await?, "You said: warm up");
    let before = process::resident(gateway.pid())?;
    // A PNG of one pixel, followed by zeros, which decoders ignore.
    let image = [PIXEL.trim_end_matches('='), "AA", &"A".repeat(12 << 20)].concat();
    let content = json!([{"type": "text", "text": "what is this?"}, {"type": "image_url", "image_url": {"url": image}}]);
    let messages = json!([{"role": "user", "content": content}]);
    let body =
        json!({"messages": messages, "parallel_calls": 20, "airlock": {"synthesis": "vote"}});
    assert_eq!(gateway.client().chat(body).await?.text()?, "an image");
    let peak = process::peak(gateway.pid())?;
    assert!(
        peak < before + 240 * MIB,
        "{} MiB before, {} MiB at most",
        before / MIB,
        peak / MIB
    );
    Ok(())
}

/// The verdict stops the losers and frees their permits, although the client has not read the earlier frames.
#[tokio::test]
async fn a_verdict_does_not_wait_for_its_client_to_read() -> Result<()> {
    let script = Script::new()
        .when_instructed(&angle(1), |turn| turn.burst(20_000, 1000).hang())
        .when_instructed(&angle(2), |turn| turn.text("Hm").hang())
        .when_instructed(&angle(3), |turn| turn.burst(8_000, 1000));
    let fake = FakeCodex::start(script)?;
    let settings = "[limits]\nturns = 3\ncandidate_bytes = \"32MiB\"\nfan_out_bytes = \"64MiB\"";
    let gateway = Gateway::with().settings(settings);
    let gateway = gateway.over_fake(&fake).await?;
    let more = fan_out(
        3,
        json!({"airlock": {"synthesis": "judge", "quorum": 1, "grace_ms": 0}}),
    );
    let silent = ask_without_reading(&gateway, 3, "never read", more).await?;
    // The third has answered, and its answer is picked.
    fake.expect_endings("interrupted", 2).await?;
    for question in ["one", "two", "three"] {
        let answer = gateway.client().ask(question).await?;
        assert_eq!(answer, format!("You said: {question}"));
    }
    drop(silent);
    Ok(())
}

/// The same for a panel that traps, which ends the request without a verdict.
#[tokio::test]
async fn a_panel_that_fails_frees_its_places_though_nobody_reads() -> Result<()> {
    let script = Script::new().when("never read", |turn| {
        turn.burst(7_000, 1000)
            .message(None)
            .text("hostile:panel:trap")
    });
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::with()
        .settings("[limits]\nturns = 2")
        .policy(airlock_tests::components::HOSTILE)
        .over_fake(&fake)
        .await?;
    let silent = ask_without_reading(&gateway, 2, "never read", json!({})).await?;
    fake.expect_count("turn/start", 2).await?;
    assert_eq!(gateway.client().ask("next").await?, "You said: next");
    drop(silent);
    Ok(())
}

/// Sends a streamed fan-out over a connection with small buffers, and reads nothing of the response.
async fn ask_without_reading(
    gateway: &Gateway,
    candidates: usize,
    question: &str,
    more: Value,
) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4096)?;
    let mut silent = socket.connect(gateway.address()).await?;
    let mut body = more;
    body["model"] = json!("gpt-5.5");
    body["stream"] = json!(true);
    body["parallel_calls"] = json!(candidates);
    body["messages"] = json!([{"role": "user", "content": question}]);
    let body = body.to_string();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        gateway.address(),
        body.len()
    );
    silent.write_all(format!("{head}{body}").as_bytes()).await?;
    Ok(silent)
}
