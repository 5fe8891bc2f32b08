//! Sessions of the shipped policy, and of policies that misbehave.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod bounds;
mod relay;

use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::oneshot;

use super::super::release::tests::terms;
use super::super::sandbox::SandboxLimits;
use super::super::{EMBEDDED, Engine, Release, ReleaseOptions};
use super::*;
use crate::config::SandboxConfig;
use crate::testing::hostile;
use airlock_base::task::Tasks;
use airlock_types::wit::{EventKind, InputItem, Plan, ProblemKind, Text, Transport, Usage};

const MEMORY: usize = 32 << 20;

fn release_of(bytes: &[u8], instances: u32) -> Release {
    release_within(bytes, instances, Duration::from_millis(100))
}

/// A release with this limit of a call.
fn release_within(bytes: &[u8], instances: u32, call_timeout: Duration) -> Release {
    let sandbox = SandboxConfig {
        memory_bytes: MEMORY,
        call_timeout,
        instances,
        ..SandboxConfig::default()
    };
    let terms = ReleaseOptions {
        allowance: SandboxLimits::of(&sandbox),
        ..terms()
    };
    crate::testing::load(&Engine::new(&sandbox).unwrap(), "test", bytes, terms).unwrap()
}

fn release() -> Release {
    release_of(EMBEDDED, 4)
}

fn request(body: &str) -> Request {
    Request {
        id: "req_1".to_owned(),
        arrived: 1_700_000_000_000,
        dialect: "chat-completions".to_owned(),
        body: body.to_owned(),
        attachments: Vec::new(),
        settings: r#"{"strict":false}"#.to_owned(),
        nested: false,
        route: "POST /v1/chat/completions".to_owned(),
        path_parameters: Vec::new(),
        query: Vec::new(),
        seed: String::new(),
        transport: Transport::Http,
        has_store: true,
        loaded: None,
    }
}

fn context(plan: &Plan) -> Context {
    Context {
        id: "req_1".to_owned(),
        arrived: 1_700_000_000_000,
        dialect: "chat-completions".to_owned(),
        model: "gpt-test".to_owned(),
        notes: plan.notes.clone(),
        seed: String::new(),
    }
}

fn event(kind: EventKind) -> Event {
    Event {
        source: 0,
        at: 1_700_000_000_001,
        kind,
    }
}

fn text(text: &str) -> Event {
    event(EventKind::Text(Text {
        message: 0,
        phase: None,
        text: text.to_owned(),
        item: None,
    }))
}

#[tokio::test]
async fn a_stream_from_request_to_done() {
    let mut session = release().session().await.unwrap();
    let body = r#"{"model":"gpt-test","stream":true,"seed":1,"messages":[{"role":"user","content":"Hi"}]}"#;
    let plan = session
        .render(&request(body))
        .await
        .unwrap()
        .plan()
        .unwrap();
    assert!(plan.streaming);
    assert_eq!(plan.model.as_ref().unwrap().name, "gpt-test");
    assert_eq!(plan.briefs[0].input, [InputItem::Text("Hi".to_owned())]);
    assert_eq!(plan.ignored, ["seed"]);
    let load = Load {
        wanted: 1,
        running: 0,
        waiting: 0,
        capacity: 1,
        room: 0,
        longest_wait: 0,
    };
    assert_eq!(session.decide(load).await.unwrap(), Admission::Run);

    session.open(&context(&plan)).await.unwrap();
    let output = session.feed(&[text("Hel"), text("lo")]).await.unwrap();
    let mut frames = output.frames;
    let closing = session.finish(&Ending::Completed).await.unwrap();
    frames.extend(closing.frames);
    assert_eq!(
        frames.last().map(|frame| frame.data.as_str()),
        Some("[DONE]")
    );
    let answer: String = frames
        .iter()
        .filter_map(|frame| content(&frame.data))
        .collect();
    assert_eq!(answer, "Hello");
}

/// The text of a chunk.
fn content(chunk: &str) -> Option<String> {
    let chunk: serde_json::Value = serde_json::from_str(chunk).ok()?;
    chunk["choices"][0]["delta"]["content"]
        .as_str()
        .map(str::to_owned)
}

#[tokio::test]
async fn a_whole_response_has_text_and_usage() {
    let mut session = release().session().await.unwrap();
    let plan = session
        .render(&request(
            r#"{"model":"m","messages":[{"role":"user","content":"Hi"}]}"#,
        ))
        .await
        .unwrap()
        .plan()
        .unwrap();
    session.open(&context(&plan)).await.unwrap();
    let usage = EventKind::Usage(Usage {
        input: 10,
        cached: 4,
        output: 5,
        reasoning: 2,
    });
    let output = session.feed(&[text("Hello"), event(usage)]).await.unwrap();
    assert_eq!((output.frames.len(), output.handoff), (0, None));
    let body = session
        .finish(&Ending::Completed)
        .await
        .unwrap()
        .body
        .unwrap();
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["choices"][0]["message"]["content"], "Hello");
    assert_eq!(body["usage"]["total_tokens"], 15);
    assert_eq!(body["model"], "gpt-test");
}

#[tokio::test]
async fn a_refusal_is_the_policys_own_word() {
    for (body, param) in [
        (r#"{"model":"m","messages":[]}"#, Some("messages")),
        ("{", None),
    ] {
        let mut session = release().session().await.unwrap();
        let failure = session.render(&request(body)).await.unwrap_err();
        assert_eq!(failure.problem.kind, ProblemKind::InvalidRequest);
        assert_eq!(failure.problem.param.as_deref(), param);
        assert!(failure.cause.is_none());
    }
}

#[tokio::test]
async fn json_nested_without_end_is_refused_and_never_a_trap() {
    for depth in [120, 1_000, 100_000] {
        let mut session = release().session().await.unwrap();
        let deep = format!(
            r#"{{"model":"m","messages":[{{"role":"user","content":"Hi"}}],"x":{}"#,
            "[".repeat(depth)
        );
        let failure = session.render(&request(&deep)).await.unwrap_err();
        assert_eq!(
            failure.problem.kind,
            ProblemKind::InvalidRequest,
            "{depth}: {:?}",
            failure.cause
        );
    }
}

#[tokio::test]
async fn models_are_written_in_the_dialect() {
    let model = Model {
        id: "gpt-test".to_owned(),
        display_name: "Test".to_owned(),
        description: String::new(),
        is_default: true,
        efforts: vec!["low".to_owned()],
        default_effort: None,
        inputs: vec!["text".to_owned()],
        tools: true,
    };
    let mut session = release().session().await.unwrap();
    let list = session
        .list_models("chat-completions", std::slice::from_ref(&model))
        .await
        .unwrap();
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    assert_eq!(
        (&list["object"], &list["data"][0]["id"]),
        (&"list".into(), &"gpt-test".into())
    );
    let one = session
        .show_model("chat-completions", &model)
        .await
        .unwrap();
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&one).unwrap(),
        list["data"][0]
    );
}

#[tokio::test]
async fn a_reply_ends_once() {
    let mut session = release().session().await.unwrap();
    assert!(
        matches!(session.feed(&[]).await, Err(Fault::Contract(_))),
        "not yet open"
    );
    let plan = session
        .render(&request(
            r#"{"model":"m","messages":[{"role":"user","content":"Hi"}]}"#,
        ))
        .await
        .unwrap()
        .plan()
        .unwrap();
    session.open(&context(&plan)).await.unwrap();
    session.finish(&Ending::Completed).await.unwrap();
    assert!(
        matches!(session.feed(&[]).await, Err(Fault::Contract(_))),
        "over"
    );
}

#[tokio::test]
async fn sandboxes_are_bounded_and_come_back() {
    let release = release_of(EMBEDDED, 1);
    let only = release.session().await.unwrap();
    let Err(fault) = release.session().await else {
        panic!("there is one sandbox")
    };
    assert!(matches!(fault, Fault::Exhausted(_)), "{fault}");
    let failure = Failure::from(fault);
    assert_eq!(failure.problem.kind, ProblemKind::Overloaded);
    assert_eq!(failure.problem.retry_after_seconds, Some(1));
    drop(only);
    for _ in 0..50 {
        release.session().await.unwrap();
    }
}

#[tokio::test]
async fn a_policy_that_misbehaves_costs_its_own_request_and_nothing_else() {
    for (module, expected) in [
        (hostile::TRAPS, "the policy trapped"),
        (hostile::LOOPS, "the policy used up its time"),
        (hostile::HOARDS, "the policy used up its memory"),
    ] {
        let release = release_of(&hostile::with(EMBEDDED, module), 1);
        // Twice, because the first request must have freed its sandbox.
        for _ in 0..2 {
            let Err(fault) = release.session().await else {
                panic!("{expected}")
            };
            assert!(fault.to_string().starts_with(expected), "{fault}");
            let failure = Failure::from(fault);
            assert_eq!(failure.problem.code.as_deref(), Some("policy_failed"));
            assert!(
                !failure.problem.message.contains("wasm"),
                "{}",
                failure.problem.message
            );
        }
    }
}

#[tokio::test]
async fn a_call_that_is_dropped_midway_is_counted() {
    let looping = release_of(&hostile::with(EMBEDDED, hostile::LOOPS), 1);
    // The call yields at the first tick, and is dropped then.
    assert!(looping.session().now_or_never().is_none());
    assert_eq!(
        looping
            .meter()
            .calls(CallPurpose::Serving)
            .instantiate
            .number(),
        1
    );
}

#[tokio::test]
async fn a_policy_that_loops_does_not_keep_others_from_their_sockets() {
    // On a busy machine, a policy yields less often in the same CPU time.
    let time = Duration::from_secs(1);
    let looping = release_within(&hostile::with(EMBEDDED, hostile::LOOPS), 1, time);
    let (ended, mut end) = oneshot::channel();
    // Only a task competes with sockets for the thread.
    Tasks::default().spawn("looping", async move {
        let _ = ended.send(looping.session().await.err());
    });
    let (mut here, mut there) = UnixStream::pair().unwrap();
    // A word is received only after the runtime has polled its sockets.
    let talk = async {
        let mut word = [0; 16];
        for _ in 0..10 {
            here.write_all(b"ping").await.unwrap();
            assert_eq!(there.read(&mut word).await.unwrap(), 4);
            there.write_all(b"pong").await.unwrap();
            assert_eq!(here.read(&mut word).await.unwrap(), 4);
        }
    };
    tokio::select! {
        biased;
        _ = &mut end => panic!("the loop ended before ten words were received"),
        () = talk => {}
    }
    assert!(matches!(end.await, Ok(Some(Fault::TimedOut))));
}

#[tokio::test(flavor = "current_thread")]
async fn a_policy_that_loops_lets_others_run_meanwhile() {
    let looping = release_of(&hostile::with(EMBEDDED, hostile::LOOPS), 1);
    let healthy = release();
    let mut loops = std::pin::pin!(looping.session());
    // One thread serves both, so the healthy one gets its turn only if the other gives it up.
    let rendered = async {
        let mut session = healthy.session().await.unwrap();
        session
            .render(&request(
                r#"{"model":"m","messages":[{"role":"user","content":"Hi"}]}"#,
            ))
            .await
            .unwrap()
            .plan()
            .unwrap()
    };
    tokio::select! {
        biased;
        _ = &mut loops => panic!("the loop ended before the other could run"),
        plan = rendered => assert!(!plan.streaming),
    }
    assert!(matches!(loops.await, Err(Fault::TimedOut)));
}
