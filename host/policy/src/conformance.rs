//! The conformance set: requests that every build must handle before it becomes a release. Each runs twice, and the results
//! must be equal.

mod relay; // patterns compared with `feed`

use serde::de::IgnoredAny;

use super::policy_call::CallResult;
use super::release::{LoadError, Release};
use super::trial::{Batches, DIALECT, NOW, Trial, TrialCall, TrialOutcome, broken_stream};
use airlock_types::wit::{
    Admission, Description, Ending, Event, EventKind, Message, Model, Notification, Outcome,
    Reasoning, Shortfall, Text, Usage,
};

/// Cases that a policy of the set's dialect must serve.
const PLAIN: [&str; 2] = ["a whole answer", "a stream"];

/// The cases. The model is always the same.
fn cases() -> Vec<Trial> {
    let body = |more: &str| {
        format!(
            r#"{{"model":"default",{more}"messages":[{{"role":"system","content":"Be brief."}},{{"role":"user","content":"Grüße 🦀"}}]}}"#
        )
    };
    let case = |name, body, ending| Trial {
        name,
        body,
        outcomes,
        batches: Box::new(|| -> Batches { Box::new(batches().into_iter()) }),
        ending,
        adverse: false,
    };
    let stream = r#""stream":true,"#;
    let cut = Ending::Incomplete(Shortfall::MaxOutputTokens);
    let failed = Ending::Failed(broken_stream());
    let fan_out = r#""parallel_calls":3,"#;
    let streamed_fan_out = r#""stream":true,"parallel_calls":3,"#;
    vec![
        case("a whole answer", body(""), Ending::Completed),
        case("a stream", body(stream), Ending::Completed),
        case("an answer cut short", body(""), cut),
        case("a stream that fails", body(stream), failed),
        case(
            "a stream that is interrupted",
            body(stream),
            Ending::Interrupted,
        ),
        case("a fan-out", body(fan_out), Ending::Completed),
        case(
            "a stream of a fan-out",
            body(streamed_fan_out),
            Ending::Completed,
        ),
        case("no request at all", "{}".to_owned(), Ending::Completed),
        case("no JSON", "Hello".to_owned(), Ending::Completed),
    ]
}

/// Runs the set.
///
/// # Errors
/// The case that fails, its call, and the reason.
pub async fn check(release: &Release) -> Result<(), LoadError> {
    let failed = |detail: String| LoadError::Failed {
        name: release.about().name.clone(),
        detail,
    };
    let has_dialect = has_dialect(release).await.map_err(failed)?;
    for case in cases() {
        let name = case.name;
        let once = run(release, &case).await;
        let once = once.map_err(|why| failed(format!("{name}: {why}")))?;
        if has_dialect && PLAIN.contains(&name) {
            check_served(&once).map_err(|why| failed(format!("{name}: {why}")))?;
        }
        let twice = run(release, &case).await;
        if twice.as_ref() != Ok(&once) {
            return Err(failed(format!(
                "{name}: equal requests give different answers"
            )));
        }
    }
    relay::check(release).await.map_err(failed)?;
    models(release).await.map_err(failed)
}

/// Whether the policy's manifest names the set's dialect. A policy without a manifest counts as one that does.
async fn has_dialect(release: &Release) -> Result<bool, String> {
    let described = release.describe().await;
    let description = described.map_err(|fault| format!("describe: {fault}"))?;
    let names = |it: Description| it.dialects.iter().any(|dialect| dialect == DIALECT);
    Ok(description.is_none_or(names))
}

/// Fails if a call refused the request. The gateway is idle, so a plain request must be served.
fn check_served(results: &[CallResult]) -> Result<(), String> {
    for result in results {
        let (call, problem) = match result {
            CallResult::Refused(problem) => ("render", problem),
            CallResult::Admission(Admission::Refuse(problem)) => ("decide", problem),
            _ => continue,
        };
        let message = &problem.message;
        return Err(format!("{call}: a plain request is refused: {message}"));
    }
    Ok(())
}

/// Runs a case, checks the response's body, and returns the results of all calls.
async fn run(release: &Release, case: &Trial) -> Result<Vec<CallResult>, String> {
    let mut results = Vec::new();
    let mut observer = |it: TrialCall<'_>| {
        results.push(it.result.clone());
        Ok(())
    };
    let outcome = case.run(release, &mut observer).await?;
    // The body of a stream is not sent.
    if let TrialOutcome::Finished { streaming, closing } = outcome
        && !streaming
    {
        match closing.body {
            Ok(body) => is_json("finish: the body", &body)?,
            Err(_) if case.ending == Ending::Completed => {
                return Err("finish: a complete answer becomes a problem".to_owned());
            }
            Err(_) => {}
        }
    }
    Ok(results)
}

/// All candidates complete, in their order.
fn outcomes(candidates: u32) -> Vec<(u32, Outcome)> {
    let complete = |candidate| {
        let message = Message {
            phase: None,
            text: "Grüße zurück 🦀".to_owned(),
        };
        let outcome = Outcome {
            ending: Ending::Completed,
            messages: vec![message],
        };
        (candidate, outcome)
    };
    (1..=candidates).map(complete).collect()
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

fn is_json(what: &str, text: &str) -> Result<(), String> {
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(IgnoredAny) => Ok(()),
        Err(error) => Err(format!("{what} is not JSON: {error}")),
    }
}

fn event(kind: EventKind) -> Event {
    Event {
        source: 0,
        at: NOW,
        kind,
    }
}

/// The events of a turn, in batches.
fn batches() -> Vec<Vec<Event>> {
    let text = |text: &str| {
        event(EventKind::Text(Text {
            message: 0,
            phase: None,
            text: text.to_owned(),
            item: None,
        }))
    };
    let reasoning = EventKind::Reasoning(Reasoning {
        part: 0,
        raw: false,
        text: "**Thinking**".to_owned(),
        item: None,
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
    use airlock_types::wit::{Problem, ProblemKind};

    #[tokio::test]
    async fn a_policy_that_names_the_dialect_must_serve_plain_requests() {
        let shipped = release("shipped", EMBEDDED);
        assert!(has_dialect(&shipped).await.unwrap());
        let other = release("other", &patched(DIALECT, "chat-campletions"));
        assert!(!has_dialect(&other).await.unwrap());
        for case in cases() {
            let results = run(&shipped, &case).await.unwrap();
            let is_valid = case.body.starts_with("{\"model");
            assert_eq!(check_served(&results).is_ok(), is_valid, "{}", case.name);
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
        let why = check_served(&[CallResult::Admission(Admission::Refuse(problem))]).unwrap_err();
        assert!(why.contains("decide") && why.contains("Nobody"), "{why}");
    }
}
