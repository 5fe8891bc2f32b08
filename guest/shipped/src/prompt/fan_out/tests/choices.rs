//! Several answers (`n`), which are a plan of several turns without a strategy.

use super::*;

fn choices(plan: &Plan) -> Option<u32> {
    PlanNotes::from_text(&plan.notes).choices
}

#[test]
fn each_answer_is_the_requests_only_turn() {
    let fields = r#","stream":true,"reasoning":{"effort":"low","summary":"detailed"},"verbosity":"high","stop":["a"],
        "response_format":{"type":"json_object"},"airlock":{"candidates":[{"hint":"b"}]}"#;
    let single = plan(fields);
    for n in 2..=20 {
        let several = planned(&request(&format!(r#","n":{n}{fields}"#), STRICT)).unwrap();
        // The question is in the history that they share.
        let brief = Brief {
            input: Vec::new(),
            ..single.briefs[0].clone()
        };
        assert_eq!(several.briefs, vec![brief; usize::try_from(n).unwrap()]);
        assert_eq!(several.history.len(), single.history.len() + 1);
        let notes = PlanNotes {
            choices: Some(n),
            ..PlanNotes::from_text(&single.notes)
        };
        assert_eq!(PlanNotes::from_text(&several.notes), notes);
        assert_eq!(several.ignored, [""; 0]);
    }
}

#[test]
fn one_answer_is_a_plain_request() {
    for n in ["1", "null"] {
        assert_eq!(plan(&format!(r#","n":{n}"#)), plan(""));
        let fan_out = r#","parallel_calls":2"#;
        assert_eq!(plan(&format!(r#"{fan_out},"n":{n}"#)), plan(fan_out));
    }
    assert_eq!(choices(&plan(r#","n":2,"parallel_calls":null"#)), Some(2));
}

#[test]
fn only_one_to_twenty_answers_are_accepted() {
    for value in [
        "0",
        "21",
        "-1",
        "2.0",
        "2.5",
        "1e1",
        "4294967298",
        r#""3""#,
        "true",
        "[2]",
        "{}",
    ] {
        let fields = format!(r#","n":{value}"#);
        assert_invalid(&fields, "n", "an integer from 1 to 20, found");
    }
}

#[test]
fn several_answers_are_not_several_attempts() {
    for fields in [
        r#","n":2,"parallel_calls":2"#,
        r#","parallel_calls":20,"n":20"#,
    ] {
        assert_invalid(fields, "n", "not together with `parallel_calls`");
    }
    assert_invalid(
        r#","n":2,"airlock":{"candidates":[null,null]}"#,
        "airlock.candidates",
        "raise `parallel_calls` to 2",
    );
}

#[test]
fn several_answers_call_no_functions() {
    let tools = r#","n":2,"tools":[{"type":"function","function":{"name":"f"}}]"#;
    for choice in [
        "",
        r#","tool_choice":"auto""#,
        r#","tool_choice":"required""#,
    ] {
        for settings in ["", STRICT] {
            let fields = format!("{tools}{choice}");
            let problem = planned(&request(&fields, settings)).unwrap_err();
            assert_eq!(problem.kind, ProblemKind::Unsupported);
            assert_eq!(problem.param.as_deref(), Some("n"));
        }
    }
    let none = planned(&request(
        &format!(r#"{tools},"tool_choice":"none""#),
        STRICT,
    ));
    assert_eq!(none, Ok(plan(r#","n":2"#)));
}

#[test]
fn results_of_calls_are_history() {
    let messages = r#"{"model":"m","n":2,"messages":[{"role":"user","content":"x"},
        {"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},
        {"role":"tool","tool_call_id":"c","content":"y"}]}"#;
    let plan = planned(&Request {
        body: messages.to_owned(),
        ..request("", "")
    });
    let plan = plan.unwrap();
    assert_eq!((plan.history.len(), plan.resume.is_none()), (3, true));
    assert_eq!(choices(&plan), Some(2));
}

#[test]
fn a_turn_of_a_gateway_gets_one_answer() {
    let nested = |fields: &str| {
        planned(&Request {
            nested: true,
            ..request(fields, "")
        })
    };
    let problem = nested(r#","n":2"#).unwrap_err();
    assert_eq!(problem.code.as_deref(), Some("nested_fan_out"));
    assert_eq!(problem.param.as_deref(), Some("n"));
    assert_eq!(nested(r#","n":1"#), Ok(plan("")));
}
