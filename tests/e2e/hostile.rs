//! Policies that misbehave or cannot be loaded: each gives a clear error, and other requests are not affected.

mod refused; // components that are refused
mod signed; // signatures
mod worldly; // policies that import WASI

use airlock_tests::policies::stamped;
use airlock_tests::{FakeCodex, Frame, Gate, Gateway, Script, Stream, process};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

const MIB: u64 = 1 << 20;

/// Settings with which faults do not lead to a rollback.
const FOREVER: &str = "[rollback]\nfaults = 0";

/// A gateway with the stamping policy, and a client in the middle of a stream.
struct Arena {
    gate: Gate,
    beside: Stream,
    gateway: Gateway,
    _fake: FakeCodex,
}

impl Arena {
    async fn open(settings: &str) -> Result<Self> {
        let gate = Gate::new();
        let script = Script::new()
            .describe_models("stamp:trap:models")
            .when("a long answer", |turn| turn.text(&"x".repeat(20_000)))
            .when("beside", |turn| {
                turn.text("before ").hold(&gate).text("after")
            });
        let fake = FakeCodex::start(script)?;
        let gateway = Gateway::with()
            .administered()
            .settings(FOREVER)
            .settings(settings)
            .policy_file("stamp.wasm", stamped("STAMP-0001")?)
            .over_fake(&fake)
            .await?;
        gateway.admin().activate("stamp", None).await?;
        let mut beside = gateway.client().stream(saying("beside")).await?;
        assert_eq!(beside.next_text().await?, "before ");
        Ok(Self {
            gate,
            beside,
            gateway,
            _fake: fake,
        })
    }

    /// Requests a whole response, with these further members. It must fail, with this reason in the log.
    async fn fails(&self, word: &str, why: &str, more: Value) -> Result<()> {
        self.fails_as((500, "policy_failed"), word, why, more).await
    }

    async fn fails_as(
        &self,
        (status, code): (u16, &str),
        word: &str,
        why: &str,
        more: Value,
    ) -> Result<()> {
        let mut body = saying(word);
        if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
            body.extend(more.clone());
        }
        let reply = self.gateway.client().chat_as(&id(word), body).await?;
        ensure!(
            reply.status == status && reply.error("code") == code,
            "{word}: {} {}",
            reply.status,
            reply.body
        );
        self.logged(word, why).await
    }

    /// Requests a stream, which must end in an error, with this reason in the log.
    async fn stream_fails(&self, word: &str, why: &str) -> Result<()> {
        self.stream_fails_as("policy_failed", word, why).await
    }

    async fn stream_fails_as(&self, expected: &str, word: &str, why: &str) -> Result<()> {
        let mut stream = self
            .gateway
            .client()
            .stream_as(&id(word), saying(word))
            .await?;
        let code = if stream.status() == 200 {
            let frames = stream.frames().await?;
            ensure!(frames.last() == Some(&Frame::Done), "{word}: {frames:?}");
            let error = frames.iter().find_map(Frame::error).cloned();
            error.unwrap_or_default()["code"].clone()
        } else {
            let body: Value = serde_json::from_str(&stream.rest().await?)?;
            body["error"]["code"].clone()
        };
        ensure!(code == expected, "{word}: {code}");
        self.logged(word, why).await
    }

    /// Checks that a line of the log has the request and the reason.
    async fn logged(&self, word: &str, why: &str) -> Result<()> {
        let log = self.gateway.log().await?;
        let id = id(word);
        let mut lines = log.lines().filter(|line| line.contains(&id));
        ensure!(
            lines.any(|line| line.contains(why)),
            "{word}: the log does not say {why:?}"
        );
        Ok(())
    }

    /// Checks that the open stream is served to its end, and so is a new request.
    async fn holds(mut self) -> Result<()> {
        self.gate.open();
        assert_eq!(self.beside.text().await?, "after");
        let reply = self.gateway.client().chat(saying("fine")).await?;
        assert_eq!(reply.text()?, "You said: fine");
        assert_eq!(reply.body["stamp"], "STAMP-0001");
        Ok(())
    }
}

/// The client's id of the request: the beginning of its text.
fn id(word: &str) -> String {
    let plain = |letter: char| {
        if letter.is_ascii_alphanumeric() {
            letter
        } else {
            '-'
        }
    };
    word.chars().take(32).map(plain).collect()
}

fn saying(text: &str) -> Value {
    json!({"messages": [{"role": "user", "content": text}]})
}

#[tokio::test]
async fn each_export_may_trap_loop_or_overflow_its_stack() -> Result<()> {
    let arena = Arena::open("[sandbox]\ncall_timeout = \"100ms\"").await?;
    for (deed, why) in [
        ("trap", "trapped"),
        ("loop", "used up its time"),
        ("stack", "call stack exhausted"),
    ] {
        for place in ["render", "decide", "open", "feed", "finish"] {
            let word = format!("stamp:{deed}:{place}");
            arena.fails(&word, why, json!({})).await?;
        }
        let word = format!("stamp:{deed}:panel");
        let several = json!({"parallel_calls": 2});
        arena.fails(&word, why, several).await?;
    }
    for path in ["/v1/models", "/v1/models/gpt-5.5"] {
        let reply = arena.gateway.client().get(path).await?;
        assert_eq!(
            (reply.status.as_u16(), reply.error("code")),
            (500, &json!("policy_failed")),
            "{path}: {}",
            reply.body
        );
    }
    arena.holds().await
}

#[tokio::test]
async fn a_frame_as_large_as_memory_allows_costs_its_own_request_alone() -> Result<()> {
    let arena = Arena::open("[sandbox]\nevent_bytes = \"1MiB\"").await?;
    let pid = arena.gateway.pid();
    let before = process::resident(pid)?;
    process::forget_peak(pid)?;
    for round in 0..3 {
        let word = format!("{round} stamp:giant:feed");
        arena.stream_fails(&word, "the policy").await?;
    }
    // One sandbox's memory, its frame, and some room.
    let grown = process::peak(pid)?.saturating_sub(before) / MIB;
    assert!(grown < 400, "the gateway grew by {grown} MiB");
    arena.holds().await
}

#[tokio::test]
async fn a_frame_of_1_gib_costs_its_own_request_alone() -> Result<()> {
    let arena = Arena::open("[sandbox]\nmemory_bytes = \"3GiB\"\ncall_timeout = \"10s\"").await?;
    let word = "stamp:giant:feed";
    arena.stream_fails(word, "gave out too much: 10737").await?;
    arena.holds().await
}

#[tokio::test]
async fn what_is_given_out_is_bounded_by_event_and_by_request() -> Result<()> {
    // On a busy machine, writing them takes longer than the time limit of calls.
    let settings = "[sandbox]\nmemory_bytes = \"1GiB\"\ncall_timeout = \"5s\"";
    let arena = Arena::open(settings).await?;
    // 64 frames of 1 MiB for one event.
    arena
        .stream_fails("stamp:flood:feed", "gave out too much")
        .await?;
    arena.holds().await?;

    // A large output of the model is no fault of the policy.
    let (status, code) = (502, "answer_too_large");
    let arena = Arena::open("[sandbox]\nevent_bytes = \"1KiB\"").await?;
    arena
        .stream_fails_as(code, "a long answer", "frames for")
        .await?;
    arena.holds().await?;

    let arena = Arena::open("[sandbox]\noutput_bytes = \"4KiB\"").await?;
    // Each word is a chunk that is small by itself.
    let many = "word ".repeat(100);
    arena
        .stream_fails_as(code, many.trim_end(), "bytes for one request")
        .await?;
    // A whole response counts too.
    let long = "y".repeat(5000);
    arena
        .fails_as((status, code), &long, "bytes for one request", json!({}))
        .await?;
    arena.holds().await
}

#[tokio::test]
async fn all_calls_of_a_request_together_have_their_time() -> Result<()> {
    let arena = Arena::open("[sandbox]\nrequest_time = \"20ms\"").await?;
    // Some milliseconds at each word.
    let many = format!("stamp:slow:feed{}", " word".repeat(200));
    arena.stream_fails(&many, "used up its time").await?;
    arena.fails(&many, "used up its time", json!({})).await?;
    arena.holds().await
}

#[tokio::test]
async fn more_memory_than_there_is_costs_its_own_request_alone() -> Result<()> {
    let gate = Gate::new();
    let script = Script::new().when("beside", |turn| {
        turn.text("before ").hold(&gate).text("after")
    });
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::with()
        .settings("[sandbox]\nmemory_bytes = \"16MiB\"")
        .policy(airlock_tests::components::HOSTILE)
        .over_fake(&fake)
        .await?;
    let mut beside = gateway.client().stream(saying("beside")).await?;
    assert_eq!(beside.next_text().await?, "before ");
    let body = json!({"user": "hostile:render:hoard"});
    let reply = gateway.client().chat_as("the-hoarder", body).await?;
    assert_eq!(reply.error("code"), "policy_failed", "{}", reply.body);
    let log = gateway.log().await?;
    let mut lines = log.lines().filter(|line| line.contains("the-hoarder"));
    let why = lines.find(|line| line.contains("used up its memory"));
    why.context("the log does not say that memory was used up")?;
    gate.open();
    assert_eq!(beside.text().await?, "after");
    Ok(())
}
