//! Fan-outs that are accepted. `refused` has the others.

#![allow(clippy::unwrap_used, reason = "tests")]

mod choices;
mod refused;
mod strategies;

use super::*;
use crate::DIALECT;
use crate::bindings::airlock::policy::types::{Request, Transport};
use crate::bindings::exports::airlock::policy::prompt::Plan;
use crate::notes::{PlanNotes, Structure};
use crate::prompt::{planned, planned_with};

const USER: &str = r#""messages":[{"role":"user","content":"x"}]"#;
const STRICT: &str = r#"{"strict":true}"#;

fn request(fields: &str, settings: &str) -> Request {
    Request {
        id: "req_1".to_owned(),
        arrived: 0,
        dialect: DIALECT.to_owned(),
        body: format!(r#"{{"model":"m",{USER}{fields}}}"#),
        attachments: Vec::new(),
        settings: settings.to_owned(),
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

fn plan(fields: &str) -> Plan {
    planned(&request(fields, "")).unwrap()
}

fn problem(fields: &str) -> Problem {
    planned(&request(fields, "")).unwrap_err()
}

fn terms(plan: &Plan) -> FanOutTerms {
    PlanNotes::from_text(&plan.notes).fan_out.unwrap()
}

fn selection_of(name: &str, param: &str) -> Option<Selection> {
    Some(Selection {
        name: name.to_owned(),
        param: param.to_owned(),
    })
}

/// A fan-out of three with these options.
fn with_airlock(fields: &str) -> String {
    format!(r#","parallel_calls":3,"airlock":{{{fields}}}"#)
}

fn assert_invalid(fields: &str, param: &str, fragment: &str) {
    let problem = problem(fields);
    assert_eq!(problem.kind, ProblemKind::InvalidRequest, "{fields}");
    assert_eq!(problem.param.as_deref(), Some(param), "{fields}");
    assert!(
        problem.message.starts_with(param) && problem.message.contains(fragment),
        "{fields}: {}",
        problem.message
    );
}

#[test]
fn one_attempt_is_a_plain_request() {
    let plain = plan("");
    for fields in [
        r#","parallel_calls":1"#,
        r#","parallel_calls":null"#,
        r#","airlock":null"#,
        r#","airlock":{}"#,
        r#","parallel_calls":1,"airlock":{"synthesis":null,"quorum":null,"grace_ms":null,"deadline_ms":null,"candidates":null}"#,
        r#","airlock":{"candidates":[]}"#,
        r#","airlock":{"candidates":[null]}"#,
        r#","airlock":{"candidates":[{"model":null,"effort":null,"hint":null}]}"#,
        r#","airlock":{"candidates":[{"model":"m"}]}"#,
    ] {
        assert_eq!(plan(fields), plain, "{fields}");
    }
    let stream = r#","stream":true,"stream_options":{"include_usage":true"#;
    let plain = plan(&format!("{stream}}}"));
    for shown in ["true", "false", "null"] {
        let fields = format!(r#"{stream},"include_candidates":{shown}}}"#);
        assert_eq!(plan(&fields), plain, "{fields}");
    }
}

fn count_of(plan: &Plan) -> u32 {
    u32::try_from(plan.briefs.len()).unwrap()
}

#[test]
fn absent_fields_have_their_defaults() {
    let expected = FanOutTerms {
        candidates: 3,
        shown: true,
        strategy: "merge".to_owned(),
        quorum: 3,
        grace_ms: 2_000,
        deadline_ms: None,
        effort: None,
        summary: Some("none".to_owned()),
        schema: None,
    };
    for airlock in [
        "",
        r#""synthesis":null,"quorum":null,"grace_ms":null,"deadline_ms":null,"candidates":null"#,
    ] {
        assert_eq!(terms(&plan(&with_airlock(airlock))), expected);
    }
}

#[test]
fn terms_at_their_bounds_are_accepted() {
    let whole = |airlock: &str| terms(&plan(&with_airlock(airlock)));
    for strategy in ["merge", "judge", "vote", "first"] {
        let terms = whole(&format!(r#""synthesis":"{strategy}""#));
        assert_eq!(terms.strategy, strategy);
    }
    for quorum in 1..=3 {
        assert_eq!(whole(&format!(r#""quorum":{quorum}"#)).quorum, quorum);
    }
    for grace_ms in [0, 3_600_000] {
        assert_eq!(
            whole(&format!(r#""grace_ms":{grace_ms}"#)).grace_ms,
            grace_ms
        );
    }
    for deadline_ms in [1, 86_400_000] {
        assert_eq!(
            whole(&format!(r#""deadline_ms":{deadline_ms}"#)).deadline_ms,
            Some(deadline_ms)
        );
    }
}

#[test]
fn a_candidate_has_a_model_an_effort_and_a_hint_of_its_own() {
    let plan = plan(
        r#","parallel_calls":4,"reasoning_effort":"low","airlock":{"candidates":[
        {"model":"o"},{"model":"o","effort":"high"},{"model":"m","effort":"max","hint":" Be\nbold. "}]}"#,
    );
    assert_eq!(plan.model, selection_of("m", "model"));
    let [first, second, third, fourth] = plan.briefs.as_slice() else {
        unreachable!("four attempts");
    };
    assert_eq!(
        first.model,
        selection_of("o", "airlock.candidates[0].model")
    );
    // `low` may not be an effort of this model.
    assert_eq!(first.effort, None);
    assert_eq!(
        second.model,
        selection_of("o", "airlock.candidates[1].model")
    );
    assert_eq!(
        second.effort,
        selection_of("high", "airlock.candidates[1].effort")
    );
    assert_eq!(third.model, None);
    assert_eq!(
        third.effort,
        selection_of("max", "airlock.candidates[2].effort")
    );
    assert!(
        third.instructions.contains("\n\nBe\nbold.\n\n"),
        "{}",
        third.instructions
    );
    assert_eq!(fourth.model, None);
    assert_eq!(fourth.effort, selection_of("low", "reasoning_effort"));
    for brief in [first, second, fourth] {
        assert_eq!(brief.instructions, "");
    }
    let effort = terms(&plan).effort;
    assert_eq!(
        effort,
        Some(("low".to_owned(), "reasoning_effort".to_owned()))
    );
}

#[test]
fn a_candidate_may_use_the_default_model_if_the_request_does() {
    let mut request = request(
        r#","parallel_calls":2,"airlock":{"candidates":[{"model":"default"},{"model":"o"}]}"#,
        "",
    );
    request.body = request
        .body
        .replace(r#""model":"m""#, r#""model":"default""#);
    let plan = planned(&request).unwrap();
    assert_eq!(plan.model, None);
    assert_eq!(plan.briefs[0].model, None);
    assert_eq!(
        plan.briefs[1].model,
        selection_of("o", "airlock.candidates[1].model")
    );
}

#[test]
fn a_single_attempt_may_have_options_too() {
    let plan = plan(
        r#","reasoning_effort":"low","airlock":{"candidates":[{"model":"o","hint":"Be bold."}]}"#,
    );
    // The response names this model.
    assert_eq!(plan.model, selection_of("o", "airlock.candidates[0].model"));
    let [brief] = plan.briefs.as_slice() else {
        unreachable!("one attempt");
    };
    assert_eq!((&brief.model, &brief.effort), (&None, &None));
    assert!(brief.instructions.contains("Be bold."));
    assert_eq!(brief.input.len(), 1);
    assert_eq!(plan.notes, "{}");
    assert_eq!(plan.ignored, [""; 0]);
}

#[test]
fn every_candidate_answers_the_whole_conversation() {
    let plan = plan(
        r#","messages":[{"role":"system","content":"s"},{"role":"user","content":"a"},{"role":"assistant","content":"b"},
        {"role":"user","content":"c"}],"parallel_calls":2,"include_reasoning":true,
        "response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object"}}}"#,
    );
    assert_eq!(plan.instructions, "s");
    assert_eq!(plan.history.len(), 3);
    assert_eq!(
        plan.history[2],
        r#"{"type":"message","role":"user","content":[{"type":"input_text","text":"c"}]}"#
    );
    for brief in &plan.briefs {
        assert_eq!(brief.input, []);
        assert_eq!(brief.summary.as_deref(), Some("none"));
        assert_eq!(brief.output_schema.as_deref(), Some(r#"{"type":"object"}"#));
    }
    let notes = PlanNotes::from_text(&plan.notes);
    assert!(notes.reasoning);
    assert_eq!(notes.structure, Structure::Schema);
    let terms = terms(&plan);
    assert_eq!(terms.summary.as_deref(), Some("auto"));
    assert_eq!(terms.schema.as_deref(), Some(r#"{"type":"object"}"#));
}

#[test]
fn the_order_of_members_does_not_matter() {
    let parts = [
        r#""parallel_calls":3"#,
        r#""airlock":{"quorum":2,"candidates":[{"model":"o"}],"synthesis":"judge"}"#,
        r#""model":"m""#,
        USER,
        r#""reasoning_effort":"low""#,
    ];
    let mut plans = Vec::new();
    for turn in 0..parts.len() {
        for reversed in [false, true] {
            let mut parts = parts;
            parts.rotate_left(turn);
            if reversed {
                parts.reverse();
            }
            let mut request = request("", "");
            request.body = format!("{{{}}}", parts.join(","));
            plans.push(planned(&request).unwrap());
        }
    }
    assert!(plans.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(terms(&plans[0]).quorum, 2);

    for fields in [
        r#","parallel_calls":2,"airlock":{"quorum":3}"#,
        r#","airlock":{"quorum":3},"parallel_calls":2"#,
    ] {
        assert_invalid(fields, "airlock.quorum", "from 1 to 2");
    }
    let first = r#""synthesis":"first""#;
    let quorum = r#""quorum":1"#;
    for airlock in [format!("{first},{quorum}"), format!("{quorum},{first}")] {
        assert_eq!(plan(&with_airlock(&airlock)).ignored, ["airlock.quorum"]);
    }
}

#[test]
fn candidates_are_shown_unless_disabled() {
    let with = |options: &str| {
        let plan = plan(&format!(r#","parallel_calls":2,"stream":true{options}"#));
        terms(&plan).shown
    };
    for options in [
        "",
        r#","stream_options":null"#,
        r#","stream_options":{}"#,
        r#","stream_options":{"include_candidates":null}"#,
        r#","stream_options":{"include_candidates":true}"#,
    ] {
        assert!(with(options), "{options}");
    }
    assert!(!with(r#","stream_options":{"include_candidates":false}"#));
    assert_invalid(
        r#","stream":true,"stream_options":{"include_candidates":1}"#,
        "stream_options.include_candidates",
        "a boolean",
    );
}
