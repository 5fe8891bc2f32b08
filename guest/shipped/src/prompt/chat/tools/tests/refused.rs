//! Tools, calls and results that are refused, with the path of the field.

use super::*;

#[test]
fn wrong_tools_are_refused_with_their_path() {
    let cases = [
        (r#"[1]"#.to_owned(), "tools[0]", "expected"),
        (r#"{}"#.to_owned(), "tools", "expected an array"),
        ("[{}]".to_owned(), "tools[0].type", "required"),
        (
            r#"[{"type":"function"}]"#.to_owned(),
            "tools[0].function",
            "required",
        ),
        (
            r#"[{"type":"function","function":null}]"#.to_owned(),
            "tools[0].function",
            "expected",
        ),
        (
            format!("[{}]", function("")),
            "tools[0].function.name",
            "required",
        ),
        (
            format!("[{}]", function(r#""name":"""#)),
            "tools[0].function.name",
            "128",
        ),
        (
            format!("[{}]", function(r#""name":1"#)),
            "tools[0].function.name",
            "a string",
        ),
        (
            format!(
                "[{}]",
                function(&format!("\"name\":\"{}\"", "é".repeat(129)))
            ),
            "tools[0].function.name",
            "1 to 128 characters",
        ),
        (
            format!(
                "[{},{}]",
                function(r#""name":"f""#),
                function(r#""name":"\u0066""#)
            ),
            "tools[1].function.name",
            "`tools[0]`",
        ),
        (
            format!("[{}]", function(r#""name":"f","description":[]"#)),
            "tools[0].function.description",
            "a string",
        ),
        (
            format!("[{}]", function(r#""name":"f","strict":"yes""#)),
            "tools[0].function.strict",
            "a boolean",
        ),
    ];
    for (tools, param, fragment) in cases {
        assert_invalid(&format!(r#","tools":{tools}"#), param, fragment);
    }
    let taken = tools(&["a.b", &upstream_name("a.b")]);
    assert_invalid(&taken, "tools[1].function.name", "already");
    assert_eq!(plan(&tools(&[&"é".repeat(128)])).tools.len(), 1);
}

#[test]
fn wrong_schemas_are_refused_with_their_path() {
    let fine = function(r#""name":"f""#);
    let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(512 * 1024));
    let deep = format!("{}{}", r#"{"a":"#.repeat(65), "}".repeat(65)).replace(":}", ":{}}");
    for (schema, fragment) in [
        ("[]", "expected a JSON Schema object"),
        ("true", "expected a JSON Schema object"),
        (r#""{}""#, "expected a JSON Schema object"),
        (r#"{"type":"string"}"#, "`\"type\": \"object\"`"),
        (r#"{"type":null}"#, "`\"type\": \"object\"`"),
        (r#"{"type":["object"]}"#, "`\"type\": \"object\"`"),
        (
            r#"{"type":"object","type":"array"}"#,
            "`\"type\": \"object\"`",
        ),
        (r#"{"default":1e999}"#, "do not accept"),
        (&long, "longer"),
        (&deep, "deeper"),
    ] {
        let tool = function(&format!(r#""name":"g","parameters":{schema}"#));
        let fields = format!(r#","tools":[{fine},{tool}]"#);
        assert_invalid(&fields, "tools[1].function.parameters", fragment);
    }
}

#[test]
fn deprecated_and_other_tool_forms_are_unsupported() {
    let unsupported = |messages: &str, fields: &str, param: &str, fragment: &str| {
        let result = planned(&request(messages, fields, ""));
        assert_refused(result, ProblemKind::Unsupported, param, fragment);
    };
    let custom = r#"{"type":"custom","custom":{"name":"f"}}"#;
    unsupported(
        USER,
        &format!(r#","tools":[{custom}]"#),
        "tools[0].type",
        "custom",
    );
    let fields = format!(r#"{},"tool_choice":{custom}"#, tools(&["f"]));
    unsupported(USER, &fields, "tool_choice.type", "custom");
    unsupported(
        USER,
        r#","functions":[{"name":"f"}]"#,
        "functions",
        "`tools`",
    );
    unsupported(
        USER,
        r#","function_call":{"name":"f"}"#,
        "function_call",
        "`tools`",
    );
    let message = r#"{"role":"assistant","tool_calls":[{"id":"1","type":"custom","custom":{"name":"f","input":"x"}}]}"#;
    unsupported(message, "", "messages[0].tool_calls[0].type", "custom");
    let message = r#"{"role":"assistant","function_call":{"name":"f","arguments":"{}"}}"#;
    unsupported(message, "", "messages[0].function_call", "`tools`");
    let message = r#"{"role":"function","name":"f","content":"x"}"#;
    unsupported(message, "", "messages[0].role", "`tools`");
}

#[test]
fn more_than_128_tools_are_refused() {
    let names: Vec<String> = (0..129).map(|number| format!("f{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(plan(&tools(&names[..128])).tools.len(), 128);
    assert_invalid(&tools(&names), "tools", "at most 128");
}

#[test]
fn wrong_choices_are_refused_with_their_path() {
    let f = function(r#""name":"f""#);
    let g = function(r#""name":"g""#);
    let allowed =
        |fields: &str| format!(r#"{{"type":"allowed_tools","allowed_tools":{{{fields}}}}}"#);
    for (choice, param, fragment) in [
        (r#""any""#.to_owned(), "tool_choice", "`any`"),
        ("true".to_owned(), "tool_choice", "a boolean"),
        ("[]".to_owned(), "tool_choice", "an array"),
        ("{}".to_owned(), "tool_choice.type", "required"),
        (
            r#"{"type":"function"}"#.to_owned(),
            "tool_choice.function",
            "required",
        ),
        (function(""), "tool_choice.function.name", "required"),
        (g.clone(), "tool_choice.function.name", "`g`"),
        (
            r#"{"type":"allowed_tools"}"#.to_owned(),
            "tool_choice.allowed_tools",
            "required",
        ),
        (
            allowed(&format!(r#""tools":[{f}]"#)),
            "tool_choice.allowed_tools.mode",
            "required",
        ),
        (
            allowed(r#""mode":"none""#),
            "tool_choice.allowed_tools.mode",
            "`none`",
        ),
        (
            allowed(r#""mode":"auto""#),
            "tool_choice.allowed_tools.tools",
            "required",
        ),
        (
            allowed(r#""mode":"auto","tools":[]"#),
            "tool_choice.allowed_tools.tools",
            "at least one",
        ),
        (
            allowed(&format!(r#""mode":"auto","tools":[{f},{g}]"#)),
            "tool_choice.allowed_tools.tools[1].function.name",
            "`g`",
        ),
    ] {
        let fields = format!(r#"{},"tool_choice":{choice}"#, tools(&["f"]));
        assert_invalid(&fields, param, fragment);
    }
    let without = [
        r#""required""#.to_owned(),
        f.clone(),
        allowed(&format!(r#""mode":"auto","tools":[{f}]"#)),
    ];
    for choice in without {
        for tools in ["", r#","tools":[]"#] {
            assert_invalid(
                &format!(r#"{tools},"tool_choice":{choice}"#),
                "tool_choice",
                "`tools`",
            );
        }
    }
    assert_invalid(
        r#","parallel_tool_calls":"no""#,
        "parallel_tool_calls",
        "a boolean",
    );
}

#[test]
fn wrong_calls_and_results_are_refused_with_their_path() {
    let call = |id: &str| {
        format!(r#"{{"id":"{id}","type":"function","function":{{"name":"f","arguments":"{{"}}}}"#)
    };
    let calls = |calls: &str| format!(r#"{{"role":"assistant","tool_calls":[{calls}]}}"#);
    let result = |fields: &str| format!(r#"{{"role":"tool",{fields}}}"#);
    let answer = |id: &str| result(&format!(r#""tool_call_id":"{id}","content":"r""#));
    let (one, two) = (calls(&call("1")), calls(&[call("1"), call("2")].join(",")));
    let called = |function: &str| {
        calls(&format!(
            r#"{{"id":"1","type":"function","function":{{{function}}}}}"#
        ))
    };
    for (messages, param, fragment) in [
        (vec![calls("1")], "messages[0].tool_calls[0]", "expected"),
        (
            vec![calls(r#"{"id":"1"}"#)],
            "messages[0].tool_calls[0].type",
            "required",
        ),
        (
            vec![calls(
                r#"{"type":"function","function":{"name":"f","arguments":""}}"#,
            )],
            "messages[0].tool_calls[0].id",
            "required",
        ),
        (
            vec![calls(r#"{"id":"","type":"function"}"#)],
            "messages[0].tool_calls[0].id",
            "empty",
        ),
        (
            vec![calls(r#"{"id":"1","type":"function"}"#)],
            "messages[0].tool_calls[0].function",
            "required",
        ),
        (
            vec![called(r#""arguments":"""#)],
            "messages[0].tool_calls[0].function.name",
            "required",
        ),
        (
            vec![called(&format!(r#""name":"{}""#, "f".repeat(129)))],
            "messages[0].tool_calls[0].function.name",
            "128",
        ),
        (
            vec![called(r#""name":"f""#)],
            "messages[0].tool_calls[0].function.arguments",
            "required",
        ),
        (
            vec![called(r#""name":"f","arguments":{}"#)],
            "messages[0].tool_calls[0].function.arguments",
            "a string",
        ),
        (
            vec![calls(&[call("1"), call("1")].join(","))],
            "messages[0].tool_calls[1].id",
            "of its own",
        ),
        (
            vec![one.clone(), answer("1"), one.clone()],
            "messages[2].tool_calls[0].id",
            "without a result",
        ),
        (
            vec![one.clone()],
            "messages[0].tool_calls[0].id",
            "without a result",
        ),
        (
            vec![two.clone(), answer("1")],
            "messages[0].tool_calls[1].id",
            "without a result",
        ),
        (
            vec![USER.to_owned(), two.clone(), answer("2"), USER.to_owned()],
            "messages[1].tool_calls[0].id",
            "without a result",
        ),
        (
            vec![USER.to_owned(), answer("1")],
            "messages[1].tool_call_id",
            "no call",
        ),
        (
            vec![one.clone(), answer("2")],
            "messages[1].tool_call_id",
            "no call",
        ),
        (
            vec![one.clone(), answer("1"), answer("1")],
            "messages[2].tool_call_id",
            "already",
        ),
        (
            vec![one.clone(), answer("1"), USER.to_owned(), answer("1")],
            "messages[3].tool_call_id",
            "directly follow",
        ),
        (
            vec![one.clone(), result(r#""content":"r""#)],
            "messages[1].tool_call_id",
            "required",
        ),
        (
            vec![one.clone(), result(r#""tool_call_id":"1""#)],
            "messages[1].content",
            "required",
        ),
        (
            vec![one.clone(), result(r#""tool_call_id":"1","content":[]"#)],
            "messages[1].content",
            "required",
        ),
        (
            vec![
                one.clone(),
                result(r#""tool_call_id":"1","content":[{"type":"refusal","refusal":"x"}]"#),
            ],
            "messages[1].content[0]",
            "assistant",
        ),
        (
            vec![r#"{"role":"user","content":"x","tool_call_id":"1"}"#.to_owned()],
            "messages[0].tool_call_id",
            "role `tool`",
        ),
        (
            vec![format!(
                r#"{{"role":"user","content":"x","tool_calls":[{}]}}"#,
                call("1")
            )],
            "messages[0].tool_calls",
            "role `assistant`",
        ),
    ] {
        let result = planned(&request(&messages.join(","), "", ""));
        assert_refused(result, ProblemKind::InvalidRequest, param, fragment);
    }
}
