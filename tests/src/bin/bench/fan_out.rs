//! A fan-out through the gateway against the same turns on an app-server of their own, and how fast leaving stops one.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use airlock_tests::direct::AppServer;
use airlock_tests::{
    FakeCodex, FanOut, Gateway, ModelAnswer, Script, ScriptedModel, TurnPlan, process, programs,
    soon,
};
use anyhow::{Context, Result, bail, ensure};
use futures_util::future::try_join_all;
use serde_json::{Value, json};

use super::codex::catalogue;
use super::spans::{median, mib, millis, summary};
use super::{print_line, ready};

/// Rounds of each kind.
const ROUNDS: usize = 5;
/// Candidates of the fan-out.
const CANDIDATES: usize = 20;
/// The number of deltas of each turn, and the interval between them.
const DELTAS: usize = 100;
const PACE: Duration = Duration::from_millis(20);

/// A gateway's requests to Codex for a fan-out.
struct RecordedCalls {
    introduction: Value,
    candidate: TurnCalls,
    synthesis: TurnCalls,
}

/// The parameters of a turn's calls. The thread's id is replaced in each run.
struct TurnCalls {
    thread: Value,
    items: Option<Value>,
    start: Value,
}

/// The purpose of a call.
#[derive(Clone, Copy)]
enum CallPurpose {
    Thread,
    Items,
    Start,
}

/// Measures both.
pub(super) async fn measure() -> Result<Value> {
    let model = ScriptedModel::start().await?;
    let gateway = ready(&model).await?;
    let mut figures = compare(&gateway, &model).await?;
    figures["leaving"] = leave(&gateway, &model).await?;
    Ok(figures)
}

/// The time from the request to the end of the answer, and the gateway's peak memory meanwhile.
async fn compare(gateway: &Gateway, model: &ScriptedModel) -> Result<Value> {
    let mut recorded = RecordedCalls::of_a_gateway().await?;
    // That gateway's is gone with it.
    let catalogue = catalogue(&gateway.codex_home())?;
    for turn in [&mut recorded.candidate, &mut recorded.synthesis] {
        turn.thread["config"]["model_catalog_json"] = json!(catalogue);
    }
    let mut direct = AppServer::start_as(
        programs::real_codex()?,
        &gateway.codex_home(),
        recorded.introduction.clone(),
    )
    .await?;
    model.otherwise(ModelAnswer::new().paced(DELTAS, PACE));
    let (mut through, mut without, mut peak) = (Vec::new(), Vec::new(), 0);
    let anew = process::forget_peak(gateway.pid()).is_ok();
    for round in 0..=ROUNDS {
        let one = run_through(gateway).await?;
        let other = run_without(&mut direct, &recorded).await?;
        peak = peak.max(process::peak(gateway.pid())?);
        // The first of each warms up.
        if round > 0 {
            through.push(one);
            without.push(other);
        }
    }
    let calls = 2 * (ROUNDS + 1) * (CANDIDATES + 1);
    ensure!(model.calls().len() == calls, "not the same turns");
    let (ours, others) = (millis(&through), millis(&without));
    let ratio = median(ours.iter().zip(&others).map(|(one, other)| one / other));
    print_line(&format!(
        "\nfan-out, {CANDIDATES} candidates of {DELTAS} deltas {PACE:?} apart, merged by a turn of as many"
    ));
    print_line(&format!("  through the gateway: {}", summary(&through)));
    print_line(&format!(
        "  from the app-server directly: {}",
        summary(&without)
    ));
    print_line(&format!("  ratio, the median over rounds: {ratio:.3}"));
    let since = if anew { "during it" } else { "since the start" };
    let peak = mib(peak);
    print_line(&format!(
        "  resident at most, the gateway {since}: {peak:.1} MiB"
    ));
    let medians = json!({"through_ms": median(ours.iter().copied()), "direct_ms": median(others.iter().copied())});
    let figures = json!({"candidates": CANDIDATES, "medians": medians, "rounds": {"through_ms": ours, "direct_ms": others},
        "of_direct": ratio, "gateway_peak_mib": peak, "peak_reset": anew});
    Ok(figures)
}

async fn run_through(gateway: &Gateway) -> Result<Duration> {
    let began = Instant::now();
    let mut stream = gateway.client().stream(body()).await?;
    let frames = stream.frames().await?;
    let taken = began.elapsed();
    let answer = FanOut::read(&frames)?;
    ensure!(answer.text == text(), "not the answer: {:?}", answer.error);
    for candidate in 1..=CANDIDATES {
        let closed = answer.closed(candidate);
        ensure!(closed == Some(text().as_str()), "{candidate}: {closed:?}");
    }
    Ok(taken)
}

async fn run_without(direct: &mut AppServer, recorded: &RecordedCalls) -> Result<Duration> {
    let began = Instant::now();
    let candidates: Vec<_> = (0..CANDIDATES).map(|_| &recorded.candidate).collect();
    let mut threads = drive(direct, &candidates).await?;
    threads.extend(drive(direct, &[&recorded.synthesis]).await?);
    let taken = began.elapsed();
    for thread in threads {
        direct
            .call("thread/unsubscribe", json!({ "threadId": thread }))
            .await?;
    }
    Ok(taken)
}

/// Runs these turns at once, each on its own thread, until the last has completed. Returns the threads.
async fn drive(direct: &mut AppServer, turns: &[&TurnCalls]) -> Result<Vec<String>> {
    let mut calls = HashMap::new();
    let mut threads = vec![String::new(); turns.len()];
    for (number, turn) in turns.iter().enumerate() {
        let id = direct.request("thread/start", turn.thread.clone()).await?;
        calls.insert(id, (number, CallPurpose::Thread));
    }
    let mut running = turns.len();
    while running > 0 {
        let message = direct.next().await?;
        if message["method"] == "turn/completed" {
            let thread = message["params"]["threadId"].as_str().unwrap_or_default();
            // Another's, of the round before, may still come.
            if threads.iter().any(|known| known == thread) {
                let status = &message["params"]["turn"]["status"];
                ensure!(status == "completed", "a turn ended as {status}");
                running -= 1;
            }
            continue;
        }
        let answered = message["id"].as_u64().and_then(|id| calls.remove(&id));
        let Some((number, call)) = answered else {
            continue;
        };
        if let Some(error) = message.get("error") {
            bail!("a call failed: {error}");
        }
        if let CallPurpose::Thread = call {
            let id = message["result"]["thread"]["id"].as_str();
            id.context("no thread")?.clone_into(&mut threads[number]);
        }
        let turn = turns[number];
        let (method, params, next) = match (call, &turn.items) {
            (CallPurpose::Thread, Some(items)) => {
                ("thread/inject_items", items, CallPurpose::Items)
            }
            (CallPurpose::Thread, None) | (CallPurpose::Items, _) => {
                ("turn/start", &turn.start, CallPurpose::Start)
            }
            (CallPurpose::Start, _) => continue,
        };
        let mut params = params.clone();
        params["threadId"] = json!(threads[number]);
        calls.insert(direct.request(method, params).await?, (number, next));
    }
    Ok(threads)
}

impl RecordedCalls {
    /// Records a gateway's requests to a scripted Codex with the same answers.
    async fn of_a_gateway() -> Result<Self> {
        let words = |plan| (0..DELTAS).fold(plan, |plan: TurnPlan, _| plan.text("word "));
        let fake = FakeCodex::start(Script::new().every_turn(words))?;
        let gateway = Gateway::over_fake(&fake).await?;
        let mut stream = gateway.client().stream(body()).await?;
        let answer = FanOut::read(&stream.frames().await?)?;
        ensure!(answer.text == text(), "{:?}", answer.error);
        let starts = fake.received("turn/start");
        ensure!(starts.len() == CANDIDATES + 1, "{} turns", starts.len());
        let introductions = fake.received("initialize");
        let introduction = introductions.first().context("no introduction")?;
        Ok(Self {
            introduction: introduction["params"].clone(),
            candidate: TurnCalls::of(&fake, 0)?,
            synthesis: TurnCalls::of(&fake, CANDIDATES)?,
        })
    }
}

impl TurnCalls {
    /// The calls of the turn that was started as this one, counted from 0. Identical threads need not be distinguished.
    fn of(fake: &FakeCodex, number: usize) -> Result<Self> {
        let nth = |method| fake.received(method).into_iter().nth(number);
        let start = nth("turn/start").context("no turn")?["params"].take();
        let items = fake.received("thread/inject_items").into_iter();
        let mut items = items.filter(|items| items["params"]["threadId"] == start["threadId"]);
        Ok(Self {
            thread: nth("thread/start").context("no thread")?["params"].take(),
            items: items.next().map(|mut items| items["params"].take()),
            start,
        })
    }
}

/// How long after its client has left a fan-out's last connection to the model is closed.
async fn leave(gateway: &Gateway, model: &ScriptedModel) -> Result<Value> {
    model.otherwise(ModelAnswer::new().text("word ").hang());
    let mut taken = Vec::new();
    for round in 0..=ROUNDS {
        let before = model.calls().len();
        let mut stream = gateway.client().stream(body()).await?;
        let mut talking = 0;
        while talking < CANDIDATES {
            let event = stream.next_tool_event().await?;
            talking += usize::from(event["type"] == "codex_tab_chunk");
        }
        let calls = model.calls().split_off(before);
        let gone = Instant::now();
        drop(stream);
        let all = try_join_all(calls.iter().map(|call| call.left()));
        soon("the end of all connections", all).await??;
        if round > 0 {
            taken.push(gone.elapsed());
        }
    }
    print_line(&format!(
        "fan-out, from its client's leaving until the last of {CANDIDATES} connections to the model is closed: {}",
        summary(&taken)
    ));
    let rounds = millis(&taken);
    Ok(json!({"median_ms": median(rounds.iter().copied()), "rounds": rounds}))
}

fn body() -> Value {
    json!({"parallel_calls": CANDIDATES})
}

/// The text of each turn.
fn text() -> String {
    "word ".repeat(DELTAS)
}
