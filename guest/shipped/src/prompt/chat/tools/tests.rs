//! Tools that are offered to the model. `refused` has the others.

#![allow(clippy::unwrap_used, reason = "tests")]

mod refused;

use crate::DIALECT;
use crate::bindings::airlock::policy::types::{Problem, ProblemKind, Request, Transport};
use crate::bindings::exports::airlock::policy::prompt::Plan;
use crate::notes::PlanNotes;
use crate::prompt::planned;
use crate::tools::{ToolNotes, upstream_name};

const USER: &str = r#"{"role":"user","content":"x"}"#;

fn request(messages: &str, fields: &str, settings: &str) -> Request {
    Request {
        id: "req_1".to_owned(),
        arrived: 0,
        dialect: DIALECT.to_owned(),
        body: format!(r#"{{"model":"m","messages":[{messages}]{fields}}}"#),
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
    planned(&request(USER, fields, "")).unwrap()
}

fn tools_of(plan: &Plan) -> Option<ToolNotes> {
    PlanNotes::from_text(&plan.notes).tools
}

fn assert_refused(result: Result<Plan, Problem>, kind: ProblemKind, param: &str, fragment: &str) {
    let problem = result.unwrap_err();
    assert_eq!(problem.param.as_deref(), Some(param), "{}", problem.message);
    assert_eq!(problem.kind, kind, "{}", problem.message);
    assert!(
        problem.message.starts_with(param) && problem.message.contains(fragment),
        "{}",
        problem.message
    );
}

fn assert_invalid(fields: &str, param: &str, fragment: &str) {
    let result = planned(&request(USER, fields, ""));
    assert_refused(result, ProblemKind::InvalidRequest, param, fragment);
}

fn function(fields: &str) -> String {
    format!(r#"{{"type":"function","function":{{{fields}}}}}"#)
}

/// `tools` with functions of these names.
fn tools(names: &[&str]) -> String {
    let functions: Vec<String> = names
        .iter()
        .map(|name| function(&format!("\"name\":{name:?}")))
        .collect();
    format!(r#","tools":[{}]"#, functions.join(","))
}

#[test]
fn null_is_no_tools() {
    let plain = plan("");
    for fields in [
        r#","tools":[]"#,
        r#","tools":null"#,
        r#","tools":[],"tool_choice":"auto","parallel_tool_calls":false"#,
        r#","tool_choice":"none","parallel_tool_calls":null"#,
        r#","functions":[],"function_call":"none""#,
    ] {
        assert_eq!(plan(fields), plain, "{fields}");
    }
    let unused = plan(&format!(r#"{},"tool_choice":"none""#, tools(&["f"])));
    assert_eq!(unused, plain);
}

#[test]
fn functions_become_tools() {
    let fields = format!(
        r#","tools":[{},{},{}],"parallel_tool_calls":false"#,
        function(
            r#""name":"get.weather","description":"Tells.","parameters":{ "properties" : {"b":{},"a":{}} },"strict":true"#
        ),
        function(r#""strict":null,"description":null,"parameters":null,"name":"f""#),
        function(r#""name":"g","parameters":{"\u0074ype":"ob\u006aect"},"strict":false"#),
    );
    let plan = plan(&fields);
    let tools: Vec<_> = plan
        .tools
        .iter()
        .map(|tool| {
            (
                tool.name.as_str(),
                tool.description.as_str(),
                tool.parameters.as_str(),
            )
        })
        .collect();
    let schema = r#"{"type":"object","properties":{"b":{},"a":{}}}"#;
    let seen = upstream_name("get.weather");
    assert_eq!(
        tools,
        [
            (seen.as_ref(), "Tells.", schema),
            ("f", "", r#"{"type":"object","properties":{}}"#),
            ("g", "", r#"{"\u0074ype":"ob\u006aect"}"#),
        ]
    );
    assert!(plan.briefs.iter().all(|brief| brief.tools));
    assert_eq!(plan.instructions, "");
    assert_eq!(plan.ignored, [""; 0]);
    let noted = tools_of(&plan).unwrap();
    assert!(noted.single && !noted.required);
    let names: Vec<&str> = noted
        .offered
        .iter()
        .map(|tool| tool.name.as_str())
        .collect();
    assert_eq!(names, ["get.weather", "f", "g"]);
    assert_eq!(noted.offered[0].strict.as_deref(), Some(schema));
    assert_eq!(noted.offered[1].strict, None);
}

#[test]
fn tool_choice_selects_and_requires_functions() {
    let all = tools(&["f", "exec_command", "g"]);
    let seen = upstream_name("exec_command");
    let named = |name: &str| function(&format!("\"name\":{name:?}"));
    let allowed = |mode: &str| {
        format!(
            r#"{{"type":"allowed_tools","allowed_tools":{{"mode":"{mode}","tools":[{},{}]}}}}"#,
            named("g"),
            named("f")
        )
    };
    for (choice, offered, call_instructions) in [
        (r#""auto""#.to_owned(), vec!["f", seen.as_ref(), "g"], None),
        ("null".to_owned(), vec!["f", seen.as_ref(), "g"], None),
        (
            r#""required""#.to_owned(),
            vec!["f", seen.as_ref(), "g"],
            Some("at least one of the functions"),
        ),
        (
            named("exec_command"),
            vec![seen.as_ref()],
            Some(seen.as_ref()),
        ),
        (allowed("auto"), vec!["f", "g"], None),
        (allowed("required"), vec!["f", "g"], Some("at least one")),
    ] {
        let plan = plan(&format!(r#"{all},"tool_choice":{choice}"#));
        let names: Vec<&str> = plan.tools.iter().map(|tool| tool.name.as_str()).collect();
        assert_eq!(names, offered, "{choice}");
        let noted = tools_of(&plan).unwrap();
        assert_eq!(noted.offered.len(), offered.len(), "{choice}");
        assert_eq!(noted.required, call_instructions.is_some(), "{choice}");
        match call_instructions {
            Some(fragment) => assert!(plan.instructions.contains(fragment), "{choice}"),
            None => assert_eq!(plan.instructions, "", "{choice}"),
        }
    }
}

#[test]
fn a_fan_out_ignores_tools_and_names_them() {
    let fan_out = format!(r#"{},"parallel_calls":2"#, tools(&["f"]));
    let ignored = plan(&fan_out);
    assert_eq!(ignored.ignored, ["tools"]);
    assert_eq!(ignored.tools, []);
    assert_eq!(tools_of(&ignored), None);
    assert!(ignored.briefs.iter().all(|brief| !brief.tools));
    let unused = plan(&format!(r#"{fan_out},"tool_choice":"none""#));
    assert_eq!(unused.ignored, [""; 0]);

    let strict = planned(&request(USER, &fan_out, r#"{"strict":true}"#));
    assert_refused(
        strict,
        ProblemKind::Unsupported,
        "tools",
        "cannot be honoured",
    );
    let choices = [r#""required""#.to_owned(), function(r#""name":"f""#)];
    for choice in choices {
        let fields = format!(r#"{fan_out},"tool_choice":{choice}"#);
        assert_invalid(&fields, "tool_choice", "fan-out");
    }

    let results = r#"{"role":"assistant","tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"1","content":"r"}"#;
    let brought = planned(&request(results, r#","parallel_calls":2"#, "")).unwrap();
    assert_eq!(brought.history.len(), 2);
    assert_eq!(brought.resume, None);
}

#[test]
fn fields_that_client_libraries_add_to_calls_are_ignored() {
    let messages = r#"{"role":"assistant","tool_calls":[{"index":0,"id":"1","type":"function","function":{"name":"f","arguments":"{}","parsed_arguments":{"a":[]}}}]},{"role":"tool","tool_call_id":"1","content":"r"}"#;
    let plan = planned(&request(messages, &tools(&["f"]), r#"{"strict":true}"#)).unwrap();
    assert_eq!(plan.ignored, [""; 0]);
    assert_eq!(plan.history.len(), 2);
    assert!(plan.resume.is_some());
}

#[test]
fn the_total_size_of_schemas_is_bounded() {
    let tools = |count: usize| {
        let text = "x".repeat(500 * 1024);
        let schema = format!(r#"{{"type":"object","description":"{text}"}}"#);
        let tools = (0..count).map(|index| {
            format!(
                r#"{{"type":"function","function":{{"name":"f{index}","parameters":{schema}}}}}"#
            )
        });
        let fields = format!(r#","tools":[{}]"#, tools.collect::<Vec<_>>().join(","));
        planned(&request(USER, &fields, ""))
    };
    assert_eq!(tools(4).unwrap().tools.len(), 4);
    assert_eq!(tools(5).unwrap_err().param.as_deref(), Some("tools"));
}

#[test]
fn a_schema_without_a_type_describes_an_object() {
    for (given, expected) in [
        ("{}", r#"{"type":"object","properties":{}}"#),
        (r#"{"anyOf":[]}"#, r#"{"type":"object","anyOf":[]}"#),
        (r#"{"x":1,"type":"object"}"#, r#"{"x":1,"type":"object"}"#),
    ] {
        let tool =
            format!(r#"{{"type":"function","function":{{"name":"f","parameters":{given}}}}}"#);
        let plan = plan(&format!(r#","tools":[{tool}]"#));
        assert_eq!(plan.tools[0].parameters, expected);
        assert_eq!(plan.tools[0].param, "tools[0].function.parameters");
    }
}
