//! The rule for every row of each dialect's table, and the tables in the documentation.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::bindings::airlock::policy::types::{Problem, ProblemKind, Request, Transport};
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

/// A dialect: its table, where the documentation has it, and the members that every request needs.
struct Documented {
    dialect: &'static str,
    route: &'static str,
    document: &'static str,
    parameters: &'static [Parameter],
    required: &'static [(&'static str, &'static str)],
}

const DIALECTS: [Documented; 3] = [CHAT, MESSAGES, RESPONSES];

const CHAT: Documented = Documented {
    dialect: crate::DIALECT,
    route: "POST /v1/chat/completions",
    document: "chat-completions.md",
    parameters: crate::prompt::chat::PARAMETERS,
    required: &[
        ("model", "\"m\""),
        ("messages", r#"[{"role":"user","content":"x"}]"#),
    ],
};

const MESSAGES: Documented = Documented {
    dialect: crate::MESSAGES_DIALECT,
    route: "POST /v1/messages",
    document: "messages.md",
    parameters: crate::prompt::messages::MESSAGES_PARAMETERS,
    required: &[
        ("model", "\"m\""),
        ("messages", r#"[{"role":"user","content":"x"}]"#),
        ("max_tokens", "1"),
    ],
};

const RESPONSES: Documented = Documented {
    dialect: crate::RESPONSES_DIALECT,
    route: "POST /v1/responses",
    document: "responses.md",
    parameters: crate::prompt::responses::RESPONSES_PARAMETERS,
    required: &[("model", "\"m\""), ("input", "\"x\"")],
};

impl Documented {
    fn render(&self, name: &str, value: &str, settings: &str) -> Result<Plan, Problem> {
        let others = self.required.iter().filter(|(other, _)| *other != name);
        let mut fields: Vec<String> = others
            .map(|(name, value)| format!("{name:?}:{value}"))
            .collect();
        fields.push(format!("{name:?}:{value}"));
        crate::prompt::planned(&Request {
            id: "req_1".to_owned(),
            arrived: 0,
            dialect: self.dialect.to_owned(),
            body: format!("{{{}}}", fields.join(",")),
            attachments: Vec::new(),
            settings: settings.to_owned(),
            nested: false,
            route: self.route.to_owned(),
            path_parameters: Vec::new(),
            query: Vec::new(),
            seed: String::new(),
            transport: Transport::Http,
            has_store: true,
            loaded: None,
        })
    }

    /// The plan's ignored parameters, without the required ones that every request has.
    fn ignored(&self, plan: Plan, name: &str) -> Vec<String> {
        let is_of_all = |ignored: &str| {
            ignored != name
                && self
                    .required
                    .iter()
                    .any(|(required, _)| *required == ignored)
        };
        let ignored = plan.ignored.into_iter();
        ignored.filter(|ignored| !is_of_all(ignored)).collect()
    }

    /// Every parameter with every sample.
    fn samples(&self) -> impl Iterator<Item = (&'static Parameter, &'static str)> {
        let parameters = self.parameters.iter();
        let samples =
            parameters.flat_map(|parameter| SAMPLES.iter().map(move |sample| (parameter, *sample)));
        // This one is answered without a plan.
        samples.filter(|(parameter, sample)| (parameter.name, *sample) != ("generate", "false"))
    }
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
    for dialect in &DIALECTS {
        for (parameter, sample) in dialect.samples() {
            let name = parameter.name;
            let value: serde_json::Value = serde_json::from_str(sample).unwrap();
            let result = dialect.render(name, sample, "");
            let context = format!("{name}: {sample} -> {result:?}");
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
                Treatment::RequiredUnused if value.is_null() => {
                    assert_eq!(
                        result.unwrap_err().param.as_deref(),
                        Some(name),
                        "{context}"
                    );
                }
                _ if value.is_null() => {
                    assert_eq!(dialect.ignored(result.unwrap(), name), [""; 0], "{context}");
                }
                _ if !admits(parameter.values, &value) => {
                    let problem = result.unwrap_err();
                    assert_eq!(problem.kind, ProblemKind::InvalidRequest, "{context}");
                    assert_eq!(problem.param.as_deref(), Some(name), "{context}");
                    assert!(
                        problem.message.contains(&parameter.values.to_string()),
                        "{context}"
                    );
                }
                Treatment::Accepted => {
                    assert_eq!(dialect.ignored(result.unwrap(), name), [""; 0], "{context}");
                }
                Treatment::Ignored | Treatment::RequiredUnused => {
                    assert_eq!(dialect.ignored(result.unwrap(), name), [name], "{context}");
                }
                Treatment::Refused(harmless) if is_harmless(harmless, &value) => {
                    assert_eq!(dialect.ignored(result.unwrap(), name), [""; 0], "{context}");
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
}

#[test]
fn strict_refuses_every_hint_and_nothing_else() {
    for dialect in &DIALECTS {
        for (parameter, sample) in dialect.samples() {
            let lenient = dialect.render(parameter.name, sample, r#"{"strict":false}"#);
            let strict = dialect.render(parameter.name, sample, r#"{"strict":true}"#);
            let context = format!("{}: {sample}", parameter.name);
            match lenient {
                Ok(plan) if dialect.ignored(plan.clone(), "").is_empty() => {
                    assert_eq!(strict, Ok(plan), "{context}");
                }
                Ok(plan) => {
                    let problem = strict.unwrap_err();
                    assert_eq!(problem.kind, ProblemKind::Unsupported, "{context}");
                    let ignored = dialect.ignored(plan, "");
                    // An element of `include` is ignored by its text, and refused by its index.
                    let expected = match ignored.first().map(String::as_str) {
                        Some("include.text") => Some("include[0]"),
                        other => other,
                    };
                    assert_eq!(problem.param.as_deref(), expected, "{context}");
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
fn names_are_unique_in_each_table() {
    for dialect in &DIALECTS {
        let mut names: Vec<&str> = dialect.parameters.iter().map(|it| it.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count, "{}", dialect.dialect);
    }
}

#[test]
fn the_documentation_contains_each_table() {
    for dialect in &DIALECTS {
        let documents = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/");
        let path = [documents, dialect.document].concat();
        let document = std::fs::read_to_string(path).unwrap();
        let documented: Vec<&str> = document
            .lines()
            .skip_while(|line| *line != "## Parameters")
            .skip(1)
            .take_while(|line| !line.starts_with("## "))
            .filter(|line| line.starts_with("| `"))
            .collect();
        let rows: Vec<String> = dialect.parameters.iter().map(table_row).collect();
        assert_eq!(
            documented,
            rows,
            "the rows of docs/{} should be:\n{}",
            dialect.document,
            rows.join("\n")
        );
    }
}

fn table_row(parameter: &Parameter) -> String {
    let treatment = match parameter.treatment {
        Treatment::Honoured => "honoured".to_owned(),
        Treatment::Accepted => "accepted".to_owned(),
        Treatment::Ignored => "ignored".to_owned(),
        Treatment::RequiredUnused => "required, and ignored".to_owned(),
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
