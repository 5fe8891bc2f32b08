//! The model's refusals.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::*;
use crate::bindings::airlock::policy::types::{ProblemKind, Request, Transport};
use crate::bindings::exports::airlock::policy::prompt::Action;
use crate::notes::{MessagesNotes, ResponsesNotes};
use crate::tools::ToolNotes;
use crate::{DIALECT, MESSAGES_DIALECT, RESPONSES_DIALECT};

fn refusal(code: &str, param: Option<&str>, detail: &str) -> Problem {
    Problem {
        kind: ProblemKind::InvalidRequest,
        code: Some(code.to_owned()),
        message: format!("the model refused the request: {detail}"),
        param: param.map(str::to_owned),
        retry_after_seconds: None,
    }
}

/// The fields of a request with two functions, the second of which is its fourth tool.
fn fields(effort: Option<&str>) -> FieldMap {
    let offered =
        [("weigh", None), ("look.up", Some("tools[3]"))].map(|(name, path)| OfferedTool {
            name: name.to_owned(),
            path: path.map(str::to_owned),
            strict: None,
        });
    FieldMap::of(&PlanNotes {
        effort: effort.map(str::to_owned),
        tools: Some(ToolNotes {
            offered: offered.to_vec(),
            ..ToolNotes::default()
        }),
        ..PlanNotes::default()
    })
}

#[test]
fn fields_of_codexs_request_map_to_the_clients() {
    let seen = upstream_name("look.up");
    let bad = |name: &str| format!("Invalid schema for function '{name}': no.");
    for (upstream, detail, field) in [
        ("input[1].call_id", "No.", Some("messages")),
        ("input", "No.", Some("messages")),
        ("input[12].content[0].image_url", "No.", Some("messages")),
        ("instructions", "No.", Some("messages")),
        ("model", "No.", Some("model")),
        ("reasoning.effort", "No.", Some("reasoning_effort")),
        ("reasoning.summary", "No.", Some("reasoning.summary")),
        ("reasoning.context", "No.", None),
        (
            "text.format.schema",
            "No.",
            Some("response_format.json_schema.schema"),
        ),
        ("text.format", "No.", Some("response_format")),
        ("text.verbosity", "No.", Some("verbosity")),
        ("tool_choice", "No.", Some("tool_choice")),
        ("tools[1].parameters", "No.", Some("tools")),
        (
            "tools[1].parameters",
            &bad("weigh"),
            Some("tools[0].function.parameters"),
        ),
        (
            "tools[2].parameters.a",
            &bad(&seen),
            Some("tools[3].function.parameters"),
        ),
        ("tools[2].name", &bad(&seen), Some("tools[3].function.name")),
        ("tools[2]", &bad(&seen), Some("tools[3].function")),
        ("store", "No.", None),
        ("inputs", "No.", None),
        ("model.x", "No.", None),
        ("client_metadata", "No.", None),
    ] {
        let refused = refusal(CODE, Some(upstream), detail);
        let problem = fields(Some("reasoning_effort")).translate(refused);
        assert_eq!(problem.param.as_deref(), field, "{upstream}");
        let detail = format!("the model refused the request: {detail}");
        let expected = match field {
            Some(field) if field == upstream => format!("{field}: {detail}"),
            Some(field) => format!(
                "{field}: {detail} (`{upstream}` is a field of the request that the gateway made of it)"
            ),
            None => format!(
                "{detail} (`{upstream}` is a field of the gateway's own request, and none of yours)"
            ),
        };
        assert_eq!(problem.message, expected);
    }
}

#[test]
fn a_default_effort_is_not_attributed_to_the_client() {
    let refused = || refusal(CODE, Some("reasoning.effort"), "No.");
    assert_eq!(fields(None).translate(refused()).param, None);
    let own = fields(Some("reasoning.effort")).translate(refused());
    assert_eq!(own.param.as_deref(), Some("reasoning.effort"));
    assert!(own.message.ends_with("No."), "{}", own.message);
}

#[test]
fn other_problems_are_unchanged() {
    for problem in [
        refusal("unsupported_value", Some("input"), "No."),
        refusal(CODE, None, "No."),
    ] {
        assert_eq!(fields(None).translate(problem.clone()), problem);
    }
}

#[test]
fn fields_have_the_names_of_the_clients_dialect() {
    let offered = OfferedTool {
        name: "weigh".to_owned(),
        ..OfferedTool::default()
    };
    let dialects = [
        DialectNotes::Chat,
        DialectNotes::Messages(MessagesNotes::default()),
        DialectNotes::Responses(ResponsesNotes::default()),
    ];
    let expected = [
        ("input[1].content", ["messages", "messages", "input"]),
        ("instructions", ["messages", "system", "instructions"]),
        (
            "text.format.schema",
            [
                "response_format.json_schema.schema",
                "output_config.format.schema",
                "text.format.schema",
            ],
        ),
        (
            "text.format",
            ["response_format", "output_config.format", "text.format"],
        ),
        (
            "reasoning.summary",
            ["reasoning.summary", "thinking", "reasoning.summary"],
        ),
        ("text.verbosity", ["verbosity", "", "text.verbosity"]),
        (
            "tools[7].parameters",
            [
                "tools[0].function.parameters",
                "tools.0.input_schema",
                "tools[0].parameters",
            ],
        ),
        (
            "tools[7].name",
            ["tools[0].function.name", "tools.0.name", "tools[0].name"],
        ),
    ];
    for (upstream, fields) in expected {
        for (dialect, field) in dialects.iter().zip(fields) {
            let fields = FieldMap::of(&PlanNotes {
                tools: Some(ToolNotes {
                    offered: vec![offered.clone()],
                    ..ToolNotes::default()
                }),
                dialect: dialect.clone(),
                ..PlanNotes::default()
            });
            let problem = fields.translate(refusal(CODE, Some(upstream), "bad 'weigh'"));
            // Messages have no verbosity.
            let field = Some(field).filter(|field| !field.is_empty());
            assert_eq!(problem.param.as_deref(), field, "{dialect:?}");
        }
    }
}

/// The field that a refusal of the request names, if the model refuses `upstream` with `message`.
fn named(dialect: &str, body: &str, upstream: &str, message: &str) -> Option<String> {
    let request = Request {
        id: "req_1".to_owned(),
        arrived: 0,
        dialect: dialect.to_owned(),
        body: body.to_owned(),
        attachments: Vec::new(),
        settings: String::new(),
        nested: false,
        route: match dialect {
            MESSAGES_DIALECT => "POST /v1/messages",
            RESPONSES_DIALECT => "POST /v1/responses",
            _ => "POST /v1/chat/completions",
        }
        .to_owned(),
        path_parameters: Vec::new(),
        query: Vec::new(),
        seed: String::new(),
        transport: Transport::Http,
        has_store: false,
        loaded: None,
    };
    let Ok(Action::Run(plan)) = crate::prompt::render(&request) else {
        panic!("no plan for {body}");
    };
    let fields = FieldMap::of(&PlanNotes::from_text(&plan.notes));
    fields
        .translate(refusal(CODE, Some(upstream), message))
        .param
}

#[test]
fn a_nested_tool_is_named_by_its_place_in_the_request() {
    let body = r#"{"model":"m","input":[{"role":"user","content":"x"},
        {"type":"additional_tools","tools":[{"type":"web_search"},{"type":"function","name":"d"}]}],
        "tools":[{"type":"web_search"},{"type":"function","name":"a"},
        {"type":"namespace","name":"n","tools":[{"type":"function","name":"b"},{"type":"function","name":"c"}]}]}"#;
    for (name, path) in [
        ("a", "tools[1]"),
        ("n__b", "tools[2].tools[0]"),
        ("n__c", "tools[2].tools[1]"),
        ("d", "input[1].tools[1]"),
    ] {
        let message = format!("Invalid schema for function '{name}'");
        let field = named(RESPONSES_DIALECT, body, "tools[0].parameters", &message);
        assert_eq!(field, Some(format!("{path}.parameters")));
    }
    let body = r#"{"model":"m","messages":[{"role":"user","content":"x"}],
        "tools":[{"type":"function","function":{"name":"a"}},{"type":"function","function":{"name":"b"}}]}"#;
    let field = named(DIALECT, body, "tools[5].name", "bad 'b'");
    assert_eq!(field.as_deref(), Some("tools[1].function.name"));
}

#[test]
fn a_field_of_the_messages_api_is_dotted() {
    let body = r#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"x"}],"airlock":{"candidates":[{"effort":"x"}]},
        "tools":[{"type":"web_search_20250305","name":"web_search"},{"name":"a","input_schema":{"type":"object"}}]}"#;
    for (upstream, field) in [
        ("reasoning.effort", "airlock.candidates.0.effort"),
        ("tools[0].parameters", "tools.1.input_schema"),
        ("tools[0]", "tools.1"),
    ] {
        let named = named(MESSAGES_DIALECT, body, upstream, "bad 'a'");
        assert_eq!(named.as_deref(), Some(field));
    }
}

#[test]
fn the_reasoning_of_another_account_is_named() {
    for detail in [
        "The encrypted content gAAA...c90= could not be verified.",
        "The encrypted content for item rs_1 could not be verified. Reason: Encrypted content could not be decrypted or parsed.",
    ] {
        for (dialect, field, advice) in [
            (
                DialectNotes::Responses(ResponsesNotes::default()),
                "input",
                "leave items of type `reasoning` and `compaction` out",
            ),
            (
                DialectNotes::Messages(MessagesNotes::default()),
                "messages",
                "leave the `thinking` blocks out",
            ),
        ] {
            let fields = FieldMap::of(&PlanNotes {
                dialect,
                ..PlanNotes::default()
            });
            let problem = fields.translate(refusal(CODE, None, detail));
            assert_eq!(problem.code.as_deref(), Some("invalid_encrypted_content"));
            assert_eq!(problem.param.as_deref(), Some(field));
            let begin = format!(
                "the model refused the request: {detail}; it is valid only for the account"
            );
            assert!(problem.message.starts_with(&begin), "{}", problem.message);
            assert!(problem.message.contains(advice), "{}", problem.message);
        }
    }
    let other = refusal(CODE, None, "The content could not be verified.");
    assert_eq!(fields(None).translate(other.clone()), other);
}
