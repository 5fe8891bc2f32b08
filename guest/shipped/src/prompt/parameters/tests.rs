//! The rule for every row of the table, and the table in the documentation.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::bindings::airlock::policy::types::{Problem, ProblemKind, Request};
use crate::bindings::exports::airlock::policy::prompt::Plan;

/// One value of each type, and of each size that a range may distinguish.
const SAMPLES: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "1",
    "-1",
    "7",
    "200",
    "1.5",
    "-9e9",
    "1e300",
    "123456789012345678901234567890",
    r#""""#,
    r#""low""#,
    r#""auto""#,
    r#""Häßlich \"word\"""#,
    "[]",
    "[1]",
    r#"["text"]"#,
    r#"["text", "audio"]"#,
    "{}",
    r#"{"a": {"b": [null]}}"#,
];

fn render(name: &str, value: &str, settings: &str) -> Result<Plan, Problem> {
    let others = [
        ("model", "\"m\""),
        ("messages", r#"[{"role":"user","content":"x"}]"#),
    ];
    let others = others.iter().filter(|(other, _)| *other != name);
    let mut fields: Vec<String> = others
        .map(|(name, value)| format!("{name:?}:{value}"))
        .collect();
    fields.push(format!("{name:?}:{value}"));
    crate::prompt::render(&Request {
        id: "req_1".to_owned(),
        arrived: 0,
        dialect: crate::DIALECT.to_owned(),
        body: format!("{{{}}}", fields.join(",")),
        attachments: Vec::new(),
        settings: settings.to_owned(),
        nested: false,
        route: "POST /v1/chat/completions".to_owned(),
        path_parameters: Vec::new(),
        query: Vec::new(),
        seed: String::new(),
    })
}

/// What the table says about a value, derived independently from its JSON.
fn admits(values: Values, value: &serde_json::Value) -> bool {
    match values {
        Values::Text => value.is_string(),
        Values::Boolean => value.is_boolean(),
        Values::Array => value.is_array(),
        Values::Object => value.is_object(),
        Values::TextOrArray => value.is_string() || value.is_array(),
        Values::TextOrObject => value.is_string() || value.is_object(),
        Values::OneOf(names) => value.as_str().is_some_and(|text| names.contains(&text)),
        Values::Integer(least, most) => value
            .as_i64()
            .is_some_and(|number| least <= number && number <= most),
        Values::Number(least, most) => value
            .as_f64()
            .is_some_and(|number| f64::from(least) <= number && number <= f64::from(most)),
    }
}

fn is_harmless(harmless: Harmless, value: &serde_json::Value) -> bool {
    match harmless {
        Harmless::Never => false,
        Harmless::Integer(number) => *value == number,
        Harmless::False => *value == false,
        Harmless::Empty => *value == "" || *value == serde_json::json!([]),
        Harmless::OneOf(names) => value.as_str().is_some_and(|text| names.contains(&text)),
        Harmless::OnlyText => value
            .as_array()
            .is_some_and(|members| members.iter().all(|member| member == "text")),
    }
}

#[test]
fn the_rule_applies_to_every_parameter_and_type() {
    let mut tried = 0;
    for parameter in PARAMETERS {
        for sample in SAMPLES {
            let name = parameter.name;
            let value: serde_json::Value = serde_json::from_str(sample).unwrap();
            let result = render(name, sample, "");
            let context = format!("{name}: {sample} -> {result:?}");
            tried += 1;
            match parameter.treatment {
                // The golden cases check the effect; a value without effect must be named.
                Treatment::Honoured => {
                    if let Err(problem) = result {
                        let param = problem.param.unwrap_or_default();
                        assert!(param.starts_with(name), "{context}");
                    } else {
                        assert!(
                            value.is_null() || admits(parameter.values, &value),
                            "{context}"
                        );
                    }
                }
                _ if value.is_null() => assert_eq!(result.unwrap().ignored, [""; 0], "{context}"),
                _ if !admits(parameter.values, &value) => {
                    let problem = result.unwrap_err();
                    assert_eq!(problem.kind, ProblemKind::InvalidRequest, "{context}");
                    assert_eq!(problem.param.as_deref(), Some(name), "{context}");
                    assert!(
                        problem.message.contains(&parameter.values.to_string()),
                        "{context}"
                    );
                }
                Treatment::Accepted => assert_eq!(result.unwrap().ignored, [""; 0], "{context}"),
                Treatment::Ignored => assert_eq!(result.unwrap().ignored, [name], "{context}"),
                Treatment::Refused(harmless) if is_harmless(harmless, &value) => {
                    assert_eq!(result.unwrap().ignored, [""; 0], "{context}");
                }
                Treatment::Refused(_) => {
                    let problem = result.unwrap_err();
                    assert_eq!(problem.kind, ProblemKind::Unsupported, "{context}");
                    assert_eq!(problem.param.as_deref(), Some(name), "{context}");
                    assert!(problem.message.contains(parameter.reason), "{context}");
                }
            }
        }
    }
    assert_eq!(tried, PARAMETERS.len() * SAMPLES.len());
}

#[test]
fn strict_refuses_every_hint_and_nothing_else() {
    for parameter in PARAMETERS {
        for sample in SAMPLES {
            let lenient = render(parameter.name, sample, r#"{"strict":false}"#);
            let strict = render(parameter.name, sample, r#"{"strict":true}"#);
            let context = format!("{}: {sample}", parameter.name);
            match lenient {
                Ok(plan) if plan.ignored.is_empty() => assert_eq!(strict, Ok(plan), "{context}"),
                Ok(plan) => {
                    let problem = strict.unwrap_err();
                    assert_eq!(problem.kind, ProblemKind::Unsupported, "{context}");
                    assert_eq!(problem.param.as_ref(), plan.ignored.first(), "{context}");
                }
                Err(problem) if problem.kind == ProblemKind::Unsupported => {
                    assert_eq!(strict, Err(problem), "{context}");
                }
                Err(_) => assert!(strict.is_err(), "{context}"),
            }
        }
    }
}

#[test]
fn names_are_unique_in_the_table() {
    let mut names: Vec<&str> = PARAMETERS.iter().map(|parameter| parameter.name).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn the_documentation_contains_the_table() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/chat-completions.md"
    );
    let document = std::fs::read_to_string(path).unwrap();
    let documented: Vec<&str> = document
        .lines()
        .skip_while(|line| *line != "## Parameters")
        .skip(1)
        .take_while(|line| !line.starts_with("## "))
        .filter(|line| line.starts_with("| `"))
        .collect();
    let rows: Vec<String> = PARAMETERS.iter().map(table_row).collect();
    assert_eq!(
        documented,
        rows,
        "the rows of docs/chat-completions.md should be:\n{}",
        rows.join("\n")
    );
}

fn table_row(parameter: &Parameter) -> String {
    let treatment = match parameter.treatment {
        Treatment::Honoured => "honoured".to_owned(),
        Treatment::Accepted => "accepted".to_owned(),
        Treatment::Ignored => "ignored".to_owned(),
        Treatment::Refused(Harmless::Never) => "refused".to_owned(),
        Treatment::Refused(harmless) => format!("refused, but for {harmless}"),
    };
    let Parameter {
        name,
        values,
        reason,
        ..
    } = parameter;
    format!("| `{name}` | {values} | {treatment} | {reason} |")
}
