//! Everything that the policy accepts can be parsed by Codex: random bodies against a model of Codex's parser.
//!
//! Codex 0.163.0 and 0.169.0 read messages with serde_json, its feature `arbitrary_precision` and serde's buffering
//! of values. That parser refuses whole numbers of 65 to 128 bits, objects whose first member has a name that
//! serde_json reserves, lone surrogates, and more than 127 levels; Codex does not respond to a message that it cannot
//! parse. `tests/e2e/real/inputs.rs` checks the same with the real Codex.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::borrow::Cow;

use airlock_shipped_policy::bindings::airlock::policy::types::{Request, Transport};
use airlock_shipped_policy::bindings::exports::airlock::policy::prompt::{Action, Plan};
use airlock_shipped_policy::{DIALECT, MESSAGES_DIALECT, RESPONSES_DIALECT, prompt};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::Value;
use serde_json::value::RawValue;

const CASES: u32 = 2_000;

/// The most levels of Codex's messages around a schema or an item.
const AROUND: usize = 8;

/// A JSON string as a client may write it: `\u0000` to U+10FFFF, and escapes of whole and lone surrogates.
fn string() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        6 => "[ a-z0-9$:.{}\\[\\]-]{0,6}",
        1 => Just(r"\ud83d".to_owned()),
        1 => Just(r"\uDE00".to_owned()),
        1 => Just(r"\ud83d\ude00".to_owned()),
        1 => Just(r"\\ud83d".to_owned()),
        1 => Just(r#"\"\\\/\b\f\n\r\t\u0000"#.to_owned()),
        1 => Just("\u{e9}\u{2028}\u{1f600}\u{7f}".to_owned()),
        1 => Just("attachment:0".to_owned()),
    ];
    prop::collection::vec(piece, 0..4).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

/// A JSON number as a client may write it.
fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        2 => any::<i64>().prop_map(|number| number.to_string()),
        2 => any::<u64>().prop_map(|number| number.to_string()),
        2 => any::<i128>().prop_map(|number| number.to_string()),
        2 => any::<u128>().prop_map(|number| number.to_string()),
        // A large exponent alone leads to a refusal.
        1 => "-?(0|[1-9][0-9]{0,60})(\\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?",
        2 => prop::sample::select(vec![
            "0",
            "-0",
            "-0.0",
            "1E400",
            "1e-400",
            "18446744073709551615",
            "18446744073709551616",
            "-9223372036854775808",
            "-9223372036854775809",
            "340282366920938463463374607431768211456",
        ])
        .prop_map(str::to_owned),
    ]
}

/// A member's name: a keyword of JSON Schema, any string, or a reserved name of serde_json.
fn name() -> impl Strategy<Value = String> {
    static WORDS: [&str; 9] = [
        "type",
        "properties",
        "items",
        "enum",
        "default",
        "maximum",
        "description",
        "$serde_json::private::Number",
        "$serde_json::private::RawValue",
    ];
    prop_oneof![
        24 => prop::sample::select(&WORDS[..7]).prop_map(|word| format!("\"{word}\"")),
        12 => string(),
        1 => prop::sample::select(&WORDS[..]).prop_map(|word| format!("\"{word}\"")),
        1 => Just(r#""\u0024serde_json::private::Number""#.to_owned()),
    ]
}

/// Any JSON, with whitespace between tokens and duplicate names.
fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        3 => number(),
        3 => string(),
        1 => Just("true".to_owned()),
        1 => Just("null".to_owned()),
        1 => (1_usize..90).prop_map(|depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth))),
    ];
    leaf.prop_recursive(6, 40, 5, |inner| {
        let space = || prop::sample::select(vec!["", "", " ", "\n", "\t\r\n"]);
        let list = prop::collection::vec(inner.clone(), 0..5);
        let members = prop::collection::vec((name(), inner), 0..5);
        prop_oneof![
            (list, space()).prop_map(|(values, space)| {
                format!(
                    "[{space}{}{space}]",
                    values.join(&format!("{space},{space}"))
                )
            }),
            (members, space()).prop_map(|(members, space)| object(&members, space)),
        ]
    })
}

fn object(members: &[(String, String)], space: &str) -> String {
    let members: Vec<String> = members
        .iter()
        .map(|(name, value)| format!("{name}{space}:{space}{value}"))
        .collect();
    format!(
        "{{{space}{}{space}}}",
        members.join(&format!("{space},{space}"))
    )
}

/// A schema, usually an object.
fn schema() -> impl Strategy<Value = String> {
    let members = prop::collection::vec((name(), value()), 0..5);
    prop_oneof![
        8 => members.prop_map(|members| object(&members, "")),
        1 => value(),
    ]
}

fn body(schemas: &[String; 2], strings: &[String; 5]) -> String {
    let [parameters, format] = schemas;
    let [content, id, arguments, output, name] = strings;
    format!(
        r#"{{"model":"m","messages":[{{"role":"user","content":{content}}},
{{"role":"assistant","content":{output},"tool_calls":[{{"id":{id},"type":"function","function":{{"name":{name},"arguments":{arguments}}}}}]}},
{{"role":"tool","tool_call_id":{id},"content":{output}}}],
"tools":[{{"type":"function","function":{{"name":{name},"parameters":{parameters}}}}}],
"response_format":{{"type":"json_schema","json_schema":{{"name":"a","schema":{format}}}}}}}"#
    )
}

/// As `body`, in Anthropic's Messages. The fourth string is the input of a call.
fn messages_body(schemas: &[String; 2], strings: &[String; 5]) -> String {
    let [parameters, format] = schemas;
    let [content, id, input, output, name] = strings;
    format!(
        r#"{{"model":"m","max_tokens":1,"system":{output},"messages":[{{"role":"user","content":{content}}},
{{"role":"assistant","content":[{{"type":"text","text":{output}}},{{"type":"tool_use","id":{id},"name":{name},"input":{{"a":{input},"b":{format}}}}}]}},
{{"role":"user","content":[{{"type":"tool_result","tool_use_id":{id},"content":{output}}}]}}],
"tools":[{{"name":{name},"input_schema":{parameters}}}],
"output_config":{{"format":{{"type":"json_schema","schema":{format}}}}}}}"#
    )
}

/// As `body`, in the Responses API.
fn responses_body(schemas: &[String; 2], strings: &[String; 5]) -> String {
    let [parameters, format] = schemas;
    let [content, id, arguments, output, name] = strings;
    format!(
        r#"{{"model":"m","instructions":{content},"metadata":{{{id}:{output}}},"input":[{{"role":"user","content":{content}}},
{{"type":"reasoning","id":{id},"summary":[{{"type":"summary_text","text":{content}}}],"encrypted_content":{arguments}}},
{{"type":"web_search_call","id":{id},"status":{output},"action":{{"type":{content},"query":{output},"queries":[{output}],"sources":{format}}}}},
{{"type":"compaction","id":{id},"encrypted_content":{content}}},
{{"type":"function_call","call_id":{id},"name":{name},"arguments":{arguments}}},
{{"type":"function_call_output","call_id":{id},"output":{output}}},
{{"type":"custom_tool_call","call_id":{id},"namespace":"n","name":{name},"input":{arguments}}},
{{"type":"custom_tool_call_output","call_id":{id},"output":{output}}}],
"tools":[{{"type":"function","name":{name},"parameters":{parameters},"output_schema":{format}}},
{{"type":"namespace","name":"n","description":{content},"tools":[{{"type":"custom","name":{name},"format":{{"type":"grammar","syntax":"lark","definition":{content}}}}}]}}],
"text":{{"format":{{"type":"json_schema","name":"a","description":{content},"schema":{format}}}}}}}"#
    )
}

fn render(dialect: &str, body: String) -> Option<Plan> {
    let path = if dialect == DIALECT {
        "chat/completions"
    } else {
        dialect
    };
    let request = Request {
        id: "req_1".to_owned(),
        arrived: 0,
        dialect: dialect.to_owned(),
        body,
        attachments: Vec::new(),
        settings: String::new(),
        nested: false,
        route: format!("POST /v1/{path}"),
        path_parameters: Vec::new(),
        query: Vec::new(),
        seed: String::new(),
        transport: Transport::Http,
        has_store: true,
        loaded: None,
    };
    match prompt::render(&request) {
        Ok(Action::Run(plan)) => Some(plan),
        Ok(_) | Err(_) => None,
    }
}

/// Why Codex cannot parse this JSON, if it cannot.
fn unread(json: &str) -> Option<String> {
    if json.contains(['\n', '\r']) {
        return Some("several lines".to_owned());
    }
    if let Err(error) = serde_json::from_str::<Value>(json) {
        return Some(error.to_string());
    }
    unread_within(serde_json::from_str(json).unwrap(), AROUND)
}

fn unread_within(value: &RawValue, depth: usize) -> Option<String> {
    if depth > 127 {
        return Some("too deep".to_owned());
    }
    let text = value.get();
    match text.as_bytes()[0] {
        b'{' => {
            let members: Members<'_> = serde_json::from_str(text).unwrap();
            let mut members = members.0.into_iter();
            members.find_map(|(name, value)| {
                let reserved = name.starts_with("$serde_json::private::");
                let reserved = reserved.then(|| format!("the name {name}"));
                reserved.or_else(|| unread_within(value, depth + 1))
            })
        }
        b'[' => {
            let values: Vec<&RawValue> = serde_json::from_str(text).unwrap();
            values
                .into_iter()
                .find_map(|value| unread_within(value, depth + 1))
        }
        b'-' | b'0'..=b'9' => {
            let is_whole = !text.contains(['.', 'e', 'E']);
            let fits = text.parse::<u64>().is_ok() || text.parse::<i64>().is_ok();
            (is_whole && !fits).then(|| format!("the number {text}"))
        }
        _ => None,
    }
}

/// An object's members, with duplicates.
struct Members<'de>(Vec<(Cow<'de, str>, &'de RawValue)>);

impl<'de> serde::Deserialize<'de> for Members<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Members<'de>;
            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut fields: A,
            ) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(name) = fields.next_key::<String>()? {
                    members.push((Cow::Owned(name), fields.next_value()?));
                }
                Ok(Members(members))
            }
        }
        source.deserialize_map(Visitor)
    }
}

/// What a response repeats of its request is an object, and one line to every reader.
fn check_echo(plan: &Plan) {
    let notes: Value = serde_json::from_str(&plan.notes).unwrap();
    let echo = notes["dialect"]["responses"]["echo"].as_str().unwrap();
    assert!(serde_json::from_str::<Value>(echo).unwrap().is_object());
    let breaks = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];
    assert!(!echo.contains(breaks), "{echo}");
}

#[test]
fn codex_parses_everything_that_the_policy_accepts() {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let config = Config {
        failure_persistence: None,
        ..Config::with_cases(CASES)
    };
    let schemas = [schema(), schema()];
    let texts = [string(), string(), string(), string()];
    // Nearly always a valid function name: any other alone leads to a refusal.
    let function = prop_oneof![9 => "\"[a-z_-]{1,12}\"", 1 => string()];
    let seen = [0; 3].map(std::cell::Cell::new);
    TestRunner::new_with_rng(config, rng)
        .run(&(schemas, texts, function), |(schemas, texts, function)| {
            let [content, id, arguments, output] = texts;
            let strings = [content, id, arguments, output, function];
            let chat = render(DIALECT, body(&schemas, &strings));
            let messages = render(MESSAGES_DIALECT, messages_body(&schemas, &strings));
            let responses = render(RESPONSES_DIALECT, responses_body(&schemas, &strings));
            if let Some(plan) = &responses {
                check_echo(plan);
            }
            for (count, plan) in seen.iter().zip([chat, messages, responses]) {
                let Some(plan) = plan else { continue };
                count.set(count.get() + 1);
                let schemas = plan
                    .briefs
                    .iter()
                    .filter_map(|brief| brief.output_schema.as_ref());
                let schemas = schemas.chain(plan.tools.iter().map(|tool| &tool.parameters));
                for json in schemas.chain(&plan.history) {
                    prop_assert_eq!(unread(json), None, "{}", json);
                }
            }
            Ok(())
        })
        .unwrap();
    let dialects = [DIALECT, MESSAGES_DIALECT, RESPONSES_DIALECT];
    for (dialect, count) in dialects.into_iter().zip(seen) {
        let count = count.get();
        assert!(
            count > CASES / 4,
            "only {count} of {dialect} are let through"
        );
    }
}

#[test]
fn accepted_schemas_keep_their_meaning() {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[8; 32]);
    let config = Config {
        failure_persistence: None,
        ..Config::with_cases(CASES)
    };
    let empty = || "\"x\"".to_owned();
    TestRunner::new_with_rng(config, rng)
        .run(&schema(), |schema| {
            let strings = [empty(), empty(), empty(), empty(), empty()];
            let Some(plan) = render(DIALECT, body(&["{}".to_owned(), schema.clone()], &strings))
            else {
                return Ok(());
            };
            // Other parsers do not accept lone surrogates.
            let Ok(given) = serde_json::from_str::<Value>(&schema) else {
                return Ok(());
            };
            let rewritten = plan.briefs[0].output_schema.as_ref().unwrap();
            prop_assert_eq!(serde_json::from_str::<Value>(rewritten).unwrap(), given);
            Ok(())
        })
        .unwrap();
}
