//! Options of a fan-out that are refused, or named as ignored.

use super::*;

#[test]
fn only_one_to_twenty_attempts_are_accepted() {
    for attempts in 2..=20 {
        let plan = plan(&format!(r#","parallel_calls":{attempts}"#));
        assert_eq!(count_of(&plan), attempts);
        assert_eq!(terms(&plan).candidates, attempts);
        assert_eq!(terms(&plan).quorum, attempts);
    }
    for value in [
        "0",
        "21",
        "-1",
        "-0",
        "2.5",
        "1e1",
        "2.0",
        "4294967298",
        "18446744073709551618",
        r#""3""#,
        "true",
        "false",
        "[2]",
        r#"{"a":2}"#,
    ] {
        let fields = format!(r#","parallel_calls":{value}"#);
        assert_invalid(&fields, "parallel_calls", "an integer from 1 to 20, found");
    }
}

#[test]
fn invalid_terms_are_refused_with_their_path() {
    let cases: [(&str, &[&str], &str); 6] = [
        (
            "synthesis",
            &[r#""best""#, r#""Merge""#, r#""""#, "1", "true", "[]", "{}"],
            "expected one of `merge`, `judge`, `vote`, `first`, found",
        ),
        (
            "quorum",
            &["0", "21", "-1", "1.5", "1e0", r#""1""#, "true", "[]", "{}"],
            "an integer from 1 to 20, found",
        ),
        ("quorum", &["4", "20"], "an integer from 1 to 3"),
        (
            "grace_ms",
            &["-1", "3600001", "0.5", r#""1""#, "false", "[]", "{}"],
            "an integer from 0 to 3600000, found",
        ),
        (
            "deadline_ms",
            &["0", "86400001", "1e3", r#""1""#, "true", "[]", "{}"],
            "an integer from 1 to 86400000, found",
        ),
        (
            "candidates",
            &["1", "true", r#""m""#, "{}"],
            "an array of objects, found",
        ),
    ];
    for (name, values, fragment) in cases {
        for value in values {
            let fields = with_airlock(&format!(r#""{name}":{value}"#));
            assert_invalid(&fields, &format!("airlock.{name}"), fragment);
            // For a single attempt too: a value out of range is always an error.
            if fragment.ends_with("found") {
                let alone = format!(r#","airlock":{{"{name}":{value}}}"#);
                assert_invalid(&alone, &format!("airlock.{name}"), fragment);
            }
        }
    }
    for value in ["1", r#""merge""#, "true", "[]"] {
        let fields = format!(r#","airlock":{value}"#);
        assert_invalid(&fields, "airlock", "an object, found");
    }
}

#[test]
fn invalid_candidate_fields_are_refused_with_their_path() {
    for (value, path, fragment) in [
        ("1", "", "an object, found an integer"),
        (r#""m""#, "", "an object, found a string"),
        ("[]", "", "an object, found an array"),
        (r#"{"model":1}"#, ".model", "a string"),
        (r#"{"model":""}"#, ".model", "must not be empty"),
        (r#"{"model":"default"}"#, ".model", "name a model"),
        (r#"{"effort":1}"#, ".effort", "a string"),
        (r#"{"effort":"Very High"}"#, ".effort", "expected `none`"),
        (r#"{"effort":""}"#, ".effort", "expected `none`"),
        (r#"{"hint":[]}"#, ".hint", "a string"),
        (r#"{"hint":" \n"}"#, ".hint", "must not be empty"),
    ] {
        let fields = with_airlock(&format!(r#""candidates":[null,{value}]"#));
        assert_invalid(&fields, &format!("airlock.candidates[1]{path}"), fragment);
        let only = format!(r#","airlock":{{"candidates":[{value}]}}"#);
        assert_invalid(&only, &format!("airlock.candidates[0]{path}"), fragment);
    }
}

#[test]
fn more_candidates_than_attempts_are_refused_with_advice() {
    let entries = |count: usize| format!(r#""candidates":[{}]"#, vec!["null"; count].join(","));
    assert_eq!(plan(&with_airlock(&entries(3))), plan(&with_airlock("")));
    assert_invalid(
        &with_airlock(&entries(4)),
        "airlock.candidates",
        "raise `parallel_calls` to 4",
    );
    for attempts in ["", r#","parallel_calls":1"#] {
        assert_invalid(
            &format!(r#"{attempts},"airlock":{{{}}}"#, entries(2)),
            "airlock.candidates",
            "raise `parallel_calls` to 2",
        );
    }
    assert_invalid(
        &with_airlock(&entries(21)),
        "airlock.candidates",
        "at most 20 entries",
    );
}

#[test]
fn fields_without_effect_on_a_single_attempt_are_named_or_refused() {
    let fields = [
        (r#""synthesis":"vote""#, "airlock.synthesis"),
        (r#""quorum":20"#, "airlock.quorum"),
        (r#""grace_ms":0"#, "airlock.grace_ms"),
        (r#""deadline_ms":1"#, "airlock.deadline_ms"),
    ];
    for attempts in ["", r#","parallel_calls":1"#] {
        for (field, name) in fields {
            let body = format!(r#"{attempts},"airlock":{{{field}}}"#);
            let plan = plan(&body);
            assert_eq!(plan.ignored, [name]);
            assert_eq!(plan.notes, "{}");
            let problem = planned(&request(&body, STRICT)).unwrap_err();
            assert_eq!(problem.kind, ProblemKind::Unsupported);
            assert_eq!(problem.param.as_deref(), Some(name));
            // With several attempts it has an effect.
            let several = format!(r#","parallel_calls":20,"airlock":{{{field}}}"#);
            let strict = planned(&request(&several, STRICT)).unwrap();
            assert_eq!(strict.ignored, [""; 0]);
        }
    }
}

#[test]
fn the_strategy_first_ignores_the_quorum() {
    let fields = with_airlock(r#""synthesis":"first","quorum":1,"grace_ms":5,"deadline_ms":9"#);
    let plan = plan(&fields);
    assert_eq!(plan.ignored, ["airlock.quorum", "airlock.grace_ms"]);
    assert_eq!((terms(&plan).quorum, terms(&plan).grace_ms), (3, 2_000));
    assert_eq!(terms(&plan).deadline_ms, Some(9));
    let problem = planned(&request(&fields, STRICT)).unwrap_err();
    assert_eq!(problem.param.as_deref(), Some("airlock.quorum"));
    assert_invalid(
        &with_airlock(r#""synthesis":"first","quorum":4"#),
        "airlock.quorum",
        "from 1 to 3",
    );
}

#[test]
fn unknown_members_are_ignored_with_their_path_and_refused_under_strict() {
    let fields = with_airlock(r#""wins":1,"nothing":null,"candidates":[{},{"seed":7}]"#);
    let expected = ["airlock.wins", "airlock.candidates[].seed"];
    assert_eq!(plan(&fields).ignored, expected);
    let fields = with_airlock(r#""candidates":[{},{"seed":7}]"#);
    let problem = planned(&request(&fields, STRICT)).unwrap_err();
    assert_eq!(problem.kind, ProblemKind::Unsupported);
    assert_eq!(problem.param.as_deref(), Some("airlock.candidates[1].seed"));
}

#[test]
fn nested_fan_outs_are_refused() {
    let nested = |fields: &str| {
        planned(&Request {
            nested: true,
            ..request(fields, "")
        })
    };
    let problem = nested(r#","parallel_calls":2"#).unwrap_err();
    assert_eq!(problem.kind, ProblemKind::InvalidRequest);
    assert_eq!(problem.code.as_deref(), Some("nested_fan_out"));
    assert_eq!(problem.param.as_deref(), Some("parallel_calls"));
    for fields in [
        "",
        r#","parallel_calls":1"#,
        r#","airlock":{"candidates":[{"hint":"a"}]}"#,
    ] {
        assert_eq!(nested(fields), Ok(plan(fields)), "{fields}");
    }
}
