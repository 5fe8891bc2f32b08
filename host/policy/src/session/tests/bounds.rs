//! Tests that the shipped policy renders every request of an allowed size within its limits, and of the charge of CPU time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::*;
use crate::request_size::{BodyLimits, TOO_LARGE};
use crate::sandbox::thread_time;

/// A release with the default limits, and six times the time of a call, because processors differ.
fn usual() -> Release {
    let sandbox = SandboxConfig {
        instances: 1,
        call_timeout: 6 * SandboxConfig::default().call_timeout,
        ..SandboxConfig::default()
    };
    let terms = ReleaseOptions {
        allowance: SandboxLimits::of(&sandbox),
        ..terms()
    };
    let engine = Engine::new(&sandbox).unwrap();
    crate::testing::load(&engine, "test", EMBEDDED, terms).unwrap()
}

/// A body of `count` texts that `each` writes by their numbers, between a beginning and an end.
fn body(count: usize, begin: &str, each: impl Fn(usize) -> String, end: &str) -> String {
    let all: Vec<String> = (0..count).map(each).collect();
    format!("{begin}{}{end}", all.join(","))
}

/// Makes a body of one kind with this many members.
type Kind = (&'static str, fn(usize) -> String);

const ASKED: &str = r#"{"model":"default","messages":[{"role":"user","content":"hi"}]"#;

/// The kinds of members of which a body may have many.
const KINDS: &[Kind] = &[
    ("calls and results", |count| {
        let begin = r#"{"model":"default","messages":[{"role":"user","content":"hi"},{"role":"assistant","tool_calls":["#;
        let call = |number| {
            format!(
                r#"{{"id":"c{number}","type":"function","function":{{"name":"f","arguments":"{{}}"}}}}"#
            )
        };
        let calls = body(count, begin, call, "]},");
        let result =
            |number| format!(r#"{{"role":"tool","tool_call_id":"c{number}","content":"x"}}"#);
        body(count, &calls, result, "]}")
    }),
    ("calls, each of a message", |count| {
        let pair = |number| {
            format!(
                r#"{{"role":"assistant","tool_calls":[{{"id":"c{number}","type":"function","function":{{"name":"f","arguments":"{{}}"}}}}]}},{{"role":"tool","tool_call_id":"c{number}","content":"x"}}"#
            )
        };
        body(count, r#"{"model":"default","messages":["#, pair, "]}")
    }),
    ("the same key", |count| {
        body(
            count,
            &format!("{ASKED},"),
            |_| r#""seed":1"#.to_owned(),
            "}",
        )
    }),
    ("unknown keys", |count| {
        body(
            count,
            &format!("{ASKED},"),
            |number| format!(r#""k{number}":1"#),
            "}",
        )
    }),
    ("numbers", |count| {
        body(
            count,
            &format!(r#"{ASKED},"unknown":["#),
            |_| "0".to_owned(),
            "]}",
        )
    }),
    ("named messages", |count| {
        let message = |_| r#"{"role":"user","name":"me","content":"hi"}"#.to_owned();
        body(count, r#"{"model":"default","messages":["#, message, "]}")
    }),
    ("empty messages", |count| {
        let message = |_| r#"{"role":"user","content":""}"#.to_owned();
        body(count, r#"{"model":"default","messages":["#, message, "]}")
    }),
    ("parts of a message", |count| {
        let part = |_| r#"{"type":"text","text":"x"}"#.to_owned();
        body(
            count,
            r#"{"model":"default","messages":[{"role":"user","content":["#,
            part,
            "]}]}",
        )
    }),
    ("properties of a schema", |count| {
        let begin = format!(
            r#"{ASKED},"response_format":{{"type":"json_schema","json_schema":{{"name":"s","schema":{{"type":"object","properties":{{"#
        );
        let property = |number| format!(r#""p{number}":{{"type":"string"}}"#);
        body(count, &begin, property, "}}}}}")
    }),
    ("tools", |count| {
        let tool = |number| {
            format!(
                r#"{{"type":"function","function":{{"name":"f{number}","parameters":{{"type":"object"}}}}}}"#
            )
        };
        body(count, &format!(r#"{ASKED},"tools":["#), tool, "]}")
    }),
    ("properties of a tool", |count| {
        let begin = format!(
            r#"{ASKED},"tools":[{{"type":"function","function":{{"name":"f","parameters":{{"type":"object","properties":{{"#
        );
        let property = |number| format!(r#""p{number}":{{"type":"string"}}"#);
        body(count, &begin, property, "}}}}]}")
    }),
];

/// Texts that are repeated to the length of the longest body.
const TEXTS: &[(&str, &str)] = &[
    ("letters", "a"),
    ("escapes", "\\n"),
    ("code points", "\\u0001"),
    ("crabs", "🦀"),
];

/// The largest number of members that the bounds allow.
fn most(bounds: BodyLimits, make: fn(usize) -> String) -> usize {
    let (mut fits, mut fails) = (1, 2);
    while bounds.check(&make(fails)).is_ok() {
        (fits, fails) = (fails, fails * 2);
    }
    while fails - fits > fits / 100 + 1 {
        let middle = usize::midpoint(fits, fails);
        match bounds.check(&make(middle)) {
            Ok(()) => fits = middle,
            Err(_) => fails = middle,
        }
    }
    fits
}

/// Renders a body, which the policy may refuse. Panics at a fault. Returns the CPU time, in nanoseconds.
async fn renders(release: &Release, what: &str, body: String) -> u64 {
    let mut session = release.session().await.unwrap();
    let bytes = body.len();
    let began = thread_time();
    let rendered = session.render(&request(&body)).await;
    let (time, memory) = (thread_time() - began, session.memory_bytes() >> 20);
    let refused = rendered
        .as_ref()
        .err()
        .map(|failure| &failure.problem.message);
    println!("{what}: {bytes} bytes, {time} ns, {memory} MiB {refused:?}");
    if let Err(failure) = rendered {
        assert!(
            failure.cause.is_none(),
            "{what}: {bytes} bytes: {:?}",
            failure.cause
        );
    }
    time
}

/// Panics if the time grows faster than the size: if an eighth of it takes less than a third of an eighth of the time.
async fn scales(release: &Release, what: &str, make: impl Fn(usize) -> String, size: usize) {
    let eighth = renders(release, &format!("an eighth of {what}"), make(size / 8)).await;
    let whole = renders(release, what, make(size)).await;
    assert!(
        whole < 3 * 8 * eighth,
        "{what}: {whole} ns, {eighth} ns for an eighth"
    );
}

fn bounds() -> BodyLimits {
    BodyLimits::of(&SandboxLimits::of(&SandboxConfig::default()))
}

#[tokio::test]
async fn as_many_members_as_the_bounds_let_through_are_rendered_within_the_limits() {
    let (release, bounds) = (usual(), bounds());
    for (what, make) in KINDS {
        let count = most(bounds, *make);
        let beyond = bounds.check(&make(2 * count)).unwrap_err();
        assert_eq!(beyond.problem.code.as_deref(), Some(TOO_LARGE), "{what}");
        scales(&release, &format!("{count} {what}"), make, count).await;
    }
}

#[tokio::test]
async fn texts_as_long_as_the_bounds_let_through_are_rendered_within_the_limits() {
    let (release, bounds) = (usual(), bounds());
    for (what, text) in TEXTS {
        let around = r#"{"model":"default","messages":[{"role":"user","content":""}]}"#;
        let longest = (bounds.bytes() - around.len()) / text.len();
        let make = |count| around.replace("\"\"", &format!("\"{}\"", text.repeat(count)));
        bounds.check(&make(longest)).unwrap();
        scales(&release, what, make, longest).await;
    }
}

/// The cost of an answer is below the expected cost in `answer_size.rs`.
#[tokio::test]
async fn an_answer_takes_less_than_would_excuse_a_fault() {
    let release = usual();
    for (pieces, piece) in [(20_000, "word"), (64, &*"x".repeat(64 << 10))] {
        let mut session = release.session().await.unwrap();
        let plan = session
            .render(&request(&format!("{ASKED}}}")))
            .await
            .unwrap()
            .plan()
            .unwrap();
        session.open(&context(&plan)).await.unwrap();
        let before = session.memory_bytes();
        let began = thread_time();
        for _ in 0..pieces {
            session.feed(&[text(piece)]).await.unwrap();
        }
        session.finish(&Ending::Completed).await.unwrap();
        let nanoseconds = thread_time() - began;
        let memory = session.memory_bytes() - before;
        let bytes = pieces * piece.len();
        println!(
            "{pieces} of {} bytes: {nanoseconds} ns, {memory} bytes",
            piece.len()
        );
        let excused = 100 * bytes + 20_000 * pieces;
        assert!(
            nanoseconds < excused as u64,
            "{nanoseconds} of {excused} ns"
        );
        assert!(memory < 16 * bytes, "{memory} bytes");
    }
}

#[tokio::test]
async fn a_call_is_charged_the_time_that_it_runs_and_not_the_time_that_it_waits() {
    let looping = release_of(&hostile::with(EMBEDDED, hostile::LOOPS), 1);
    let stop = Arc::new(AtomicBool::new(false));
    let busy: Vec<_> = (0..4 * thread::available_parallelism().map_or(1, usize::from))
        .map(|_| {
            let stop = stop.clone();
            let spin = move || while !stop.load(Ordering::Relaxed) {};
            thread::Builder::new()
                .name("spin".to_owned())
                .spawn(spin)
                .unwrap()
        })
        .collect();
    let before = thread_time();
    let ended = looping.session().await.err();
    let ran = Duration::from_nanos(thread_time() - before);
    stop.store(true, Ordering::Relaxed);
    busy.into_iter().for_each(|thread| thread.join().unwrap());
    assert!(matches!(ended, Some(Fault::TimedOut)), "{ended:?}");
    assert!(ran >= Duration::from_millis(90), "{ran:?} of 100 ms");
}
