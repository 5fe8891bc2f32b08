//! What every policy must do before it is offered: a few requests from beginning to end, each of them twice.

mod relay; // what is told without a call

use serde::de::IgnoredAny;

use super::policy_call::{CallResult, PolicyCall};
use super::release::{LoadError, Release};
use super::replay::Replay;
use airlock_types::wit::{
    Admission, Context, Description, Ending, Event, EventKind, Load, Message, Model, Notification,
    Outcome, Problem, ProblemKind, Reasoning, Request, Shortfall, Text, Usage, Verdict,
};

/// A time, for what is done at one: the set gives the same to every policy, always.
const NOW: u64 = 1_700_000_000_000;

/// The dialect that all of the set is written in.
const DIALECT: &str = "chat-completions";

/// Cases that are plain requests: whoever speaks their dialect serves them.
const PLAIN: [&str; 2] = ["a whole answer", "a stream"];

/// Requests, and how their turns end.
fn cases() -> Vec<(&'static str, String, Ending)> {
    let body = |more: &str| {
        format!(
            r#"{{"model":"default",{more}"messages":[{{"role":"system","content":"Be brief."}},{{"role":"user","content":"Grüße 🦀"}}]}}"#
        )
    };
    let failed = Ending::Failed(Problem {
        kind: ProblemKind::Upstream,
        code: Some("stream_broken".to_owned()),
        message: "The model's stream broke.".to_owned(),
        param: None,
        retry_after_seconds: None,
    });
    vec![
        ("a whole answer", body(""), Ending::Completed),
        ("a stream", body(r#""stream":true,"#), Ending::Completed),
        (
            "an answer cut short",
            body(""),
            Ending::Incomplete(Shortfall::MaxOutputTokens),
        ),
        ("a stream that fails", body(r#""stream":true,"#), failed),
        (
            "a stream that is interrupted",
            body(r#""stream":true,"#),
            Ending::Interrupted,
        ),
        (
            "a fan-out",
            body(r#""parallel_calls":3,"#),
            Ending::Completed,
        ),
        (
            "a stream of a fan-out",
            body(r#""stream":true,"parallel_calls":3,"#),
            Ending::Completed,
        ),
        ("no request at all", "{}".to_owned(), Ending::Completed),
        ("no JSON", "Hello".to_owned(), Ending::Completed),
    ]
}

/// Runs the set.
///
/// # Errors
/// Which case fails, at which call, and why.
pub async fn check(release: &Release) -> Result<(), LoadError> {
    let failed = |detail: String| LoadError::Failed {
        name: release.about().name.clone(),
        detail,
    };
    let speaks = speaks(release).await.map_err(failed)?;
    for (name, body, ending) in cases() {
        let once = run(release, &body, &ending).await;
        let once = once.map_err(|why| failed(format!("{name}: {why}")))?;
        if speaks && PLAIN.contains(&name) {
            served(&once).map_err(|why| failed(format!("{name}: {why}")))?;
        }
        let twice = run(release, &body, &ending).await;
        if twice.as_ref() != Ok(&once) {
            return Err(failed(format!(
                "{name}: equal requests give different answers"
            )));
        }
    }
    relay::check(release).await.map_err(failed)?;
    models(release).await.map_err(failed)
}

/// Whether it says that it speaks the set's dialect. One that says nothing of itself does.
async fn speaks(release: &Release) -> Result<bool, String> {
    let described = match release.session().await {
        Ok(mut session) => session.describe().await,
        Err(fault) => Err(fault),
    };
    let description = described.map_err(|fault| format!("describe: {fault}"))?;
    let names = |it: Description| it.dialects.iter().any(|dialect| dialect == DIALECT);
    Ok(description.is_none_or(names))
}

/// A plain request, of a gateway that has nothing else to do, must not be refused.
fn served(answers: &[CallResult]) -> Result<(), String> {
    for answer in answers {
        let (call, problem) = match answer {
            CallResult::Refused(problem) => ("render", problem),
            CallResult::Admission(Admission::Refuse(problem)) => ("decide", problem),
            _ => continue,
        };
        let message = &problem.message;
        return Err(format!("{call}: a plain request is refused: {message}"));
    }
    Ok(())
}

/// One request from beginning to end. What it gives is checked, and returned to be compared.
async fn run(release: &Release, body: &str, ending: &Ending) -> Result<Vec<CallResult>, String> {
    let mut replay = Replay::on(release)
        .await
        .map_err(|fault| fault.to_string())?;
    let mut answers = Vec::new();
    let rendered = take(&mut replay, PolicyCall::Render(request(body)), &mut answers).await?;
    let plan = match rendered {
        CallResult::Plan(plan) => plan,
        CallResult::Refused(problem) if problem.kind == ProblemKind::Internal => {
            return Err(format!("render: {}", problem.message));
        }
        // It may not serve such a request.
        _ => return Ok(answers),
    };
    let wanted = u32::try_from(plan.briefs.len()).unwrap_or(u32::MAX);
    let admission = take(&mut replay, PolicyCall::Decide(load(wanted)), &mut answers).await?;
    if let CallResult::Admission(Admission::Refuse(_)) = admission {
        return Ok(answers);
    }
    take(&mut replay, PolicyCall::Open(context()), &mut answers).await?;
    if wanted > 1 {
        panel(&mut replay, wanted, &mut answers).await?;
    }
    for batch in batches() {
        take(&mut replay, PolicyCall::Feed(batch), &mut answers).await?;
    }
    let finished = take(
        &mut replay,
        PolicyCall::Finish(ending.clone()),
        &mut answers,
    )
    .await?;
    let frames: usize = answers.iter().map(|answer| answer.frames().len()).sum();
    if plan.streaming && frames == 0 {
        return Err("a stream without a frame".to_owned());
    }
    // A stream's client gets frames alone: what its body is does not matter.
    if let CallResult::Closing(closing) = finished
        && !plan.streaming
    {
        match closing.body {
            // The body of a stream goes nowhere.
            Ok(_) if plan.streaming => {}
            Ok(body) => is_json("finish: the body", &body)?,
            Err(_) if *ending == Ending::Completed => {
                return Err("finish: a complete answer becomes a problem".to_owned());
            }
            Err(_) => {}
        }
    }
    Ok(answers)
}

/// The candidates end one after the other, and the panel must come to something.
async fn panel(
    replay: &mut Replay,
    candidates: u32,
    answers: &mut Vec<CallResult>,
) -> Result<(), String> {
    take(replay, PolicyCall::Convene(context(), candidates), answers).await?;
    let mut last = take(replay, PolicyCall::Wake(NOW), answers).await?;
    for candidate in 1..=candidates {
        if !matches!(last, CallResult::Verdict(Verdict::Wait(_))) {
            return Ok(());
        }
        let outcome = Outcome {
            ending: Ending::Completed,
            messages: vec![Message {
                phase: None,
                text: "Grüße zurück 🦀".to_owned(),
            }],
        };
        last = take(replay, PolicyCall::Settle(candidate, outcome, NOW), answers).await?;
    }
    if matches!(last, CallResult::Verdict(Verdict::Wait(_))) {
        return Err("settle: the panel waits, and there is nothing to wait for".to_owned());
    }
    Ok(())
}

async fn models(release: &Release) -> Result<(), String> {
    let model = Model {
        id: "gpt-test".to_owned(),
        display_name: "Test \"1\"".to_owned(),
        description: "A\nmodel".to_owned(),
        is_default: true,
        efforts: vec!["low".to_owned()],
        default_effort: None,
        inputs: Vec::new(),
        tools: true,
    };
    let mut session = release.session().await.map_err(|fault| fault.to_string())?;
    let list = session
        .list_models(DIALECT, std::slice::from_ref(&model))
        .await;
    is_json(
        "list-models",
        &list.map_err(|fault| format!("list-models: {fault}"))?,
    )?;
    let shown = session.show_model(DIALECT, &model).await;
    is_json(
        "show-model",
        &shown.map_err(|fault| format!("show-model: {fault}"))?,
    )
}

async fn take(
    replay: &mut Replay,
    step: PolicyCall,
    answers: &mut Vec<CallResult>,
) -> Result<CallResult, String> {
    let answer = replay.step(&step).await;
    if let CallResult::Fault(fault) = &answer {
        return Err(format!("{}: {fault}", step.name()));
    }
    answers.push(answer.clone());
    Ok(answer)
}

fn is_json(what: &str, text: &str) -> Result<(), String> {
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(IgnoredAny) => Ok(()),
        Err(error) => Err(format!("{what} is no JSON: {error}")),
    }
}

fn request(body: &str) -> Request {
    Request {
        id: "req_conformance".to_owned(),
        arrived: NOW,
        dialect: DIALECT.to_owned(),
        body: body.to_owned(),
        attachments: Vec::new(),
        // The release's own take their place.
        settings: String::new(),
        nested: false,
    }
}

fn context() -> Context {
    Context {
        id: "req_conformance".to_owned(),
        arrived: NOW,
        dialect: DIALECT.to_owned(),
        model: "gpt-test".to_owned(),
        // The plan's own take their place.
        notes: String::new(),
    }
}

/// A gateway that has nothing else to do.
fn load(wanted: u32) -> Load {
    Load {
        wanted,
        running: 0,
        waiting: 0,
        capacity: 64,
        room: 256,
        longest_wait: 0,
    }
}

fn event(kind: EventKind) -> Event {
    Event {
        source: 0,
        at: NOW,
        kind,
    }
}

/// What a turn tells, in batches.
fn batches() -> Vec<Vec<Event>> {
    let text = |text: &str| {
        event(EventKind::Text(Text {
            message: 0,
            phase: None,
            text: text.to_owned(),
        }))
    };
    let reasoning = EventKind::Reasoning(Reasoning {
        part: 0,
        raw: false,
        text: "**Thinking**".to_owned(),
    });
    let other = EventKind::Other(Notification {
        method: "item/started".to_owned(),
        params: r#"{"item":{"type":"unheardOf"}}"#.to_owned(),
    });
    let usage = EventKind::Usage(Usage {
        input: 12,
        cached: 4,
        output: 3,
        reasoning: 1,
    });
    vec![
        Vec::new(),
        vec![event(reasoning)],
        vec![text("Grü"), event(other), text("ße\n\"zurück\" ")],
        vec![text("🦀"), event(usage)],
    ]
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::EMBEDDED;
    use crate::testing::{patched, release};

    #[tokio::test]
    async fn a_policy_that_names_the_dialect_must_serve_plain_requests() {
        let shipped = release("shipped", EMBEDDED);
        assert!(speaks(&shipped).await.unwrap());
        let other = release("other", &patched(DIALECT, "chat-campletions"));
        assert!(!speaks(&other).await.unwrap());
        for (_, body, ending) in cases() {
            let answers = run(&shipped, &body, &ending).await.unwrap();
            assert_eq!(
                served(&answers).is_ok(),
                body.starts_with("{\"model"),
                "{body}"
            );
        }
    }

    #[test]
    fn to_refuse_at_the_door_is_to_refuse() {
        let problem = Problem {
            kind: ProblemKind::Overloaded,
            code: None,
            message: "Nobody comes in.".to_owned(),
            param: None,
            retry_after_seconds: None,
        };
        let why = served(&[CallResult::Admission(Admission::Refuse(problem))]).unwrap_err();
        assert!(why.contains("decide") && why.contains("Nobody"), "{why}");
    }
}
