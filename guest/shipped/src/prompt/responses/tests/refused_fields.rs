//! Refusals of tools, of calls and of small options, with the path of the field at fault and the way out.

use super::refused::assert_refused;
use super::*;

#[test]
fn invalid_calls() {
    let cases = [
        (
            r#""input":[{"type":"function_call","name":"f","arguments":""}]"#,
            "input[0].call_id",
            "required",
        ),
        (
            r#""input":[{"type":"function_call","call_id":"","name":"f","arguments":""}]"#,
            "input[0].call_id",
            "empty",
        ),
        (
            r#""input":[{"type":"function_call","call_id":"c","arguments":""}]"#,
            "input[0].name",
            "required",
        ),
        (
            r#""input":[{"type":"function_call","call_id":"c","name":"f"}]"#,
            "input[0].arguments",
            "required",
        ),
        (
            r#""input":[{"type":"custom_tool_call","call_id":"c","name":"f","arguments":"x"}]"#,
            "input[0].input",
            "required",
        ),
        (
            r#""input":[{"type":"function_call_output","output":"x"}]"#,
            "input[0].call_id",
            "required",
        ),
        (
            r#""input":[{"type":"function_call_output","call_id":"c"}]"#,
            "input[0].output",
            "required",
        ),
        (
            r#""input":[{"role":"user","content":"x"},{"type":"function_call_output","call_id":"c","output":"x"}]"#,
            "input[1].call_id",
            "no call before it",
        ),
        (
            r#""input":[{"role":"user","content":"x"},{"type":"function_call","call_id":"c","name":"f","arguments":""},{"role":"user","content":"x"}]"#,
            "input[1].call_id",
            "without an output",
        ),
        (
            r#""input":[{"type":"function_call","call_id":"c","name":"f","arguments":""},{"type":"function_call","call_id":"c","name":"f","arguments":""}]"#,
            "input[1].call_id",
            "an id of its own",
        ),
        (
            r#""input":[{"type":"function_call","call_id":"c","name":"f","arguments":""},{"type":"function_call_output","call_id":"c","output":"x"},{"type":"custom_tool_call_output","call_id":"c","output":"x"}]"#,
            "input[2].call_id",
            "already has an output",
        ),
    ];
    assert_refused(ProblemKind::InvalidRequest, &cases);
}

#[test]
fn invalid_tools() {
    let function = r#"{"type":"function","name":"f"}"#;
    let many: Vec<String> = (0..129)
        .map(|index| format!(r#"{{"type":"function","name":"f{index}"}}"#))
        .collect();
    let many = format!(r#""tools":[{}]"#, many.join(","));
    let choice = |choice: &str| format!(r#""tools":[{function}],"tool_choice":{choice}"#);
    let duplicate = format!(r#""tools":[{function},{function}]"#);
    let within = format!(
        r#""tools":[{{"type":"function","name":"n__f"}},{{"type":"namespace","name":"n","tools":[{{"type":"function","name":"g"}},{function}]}}]"#
    );
    let later = r#""input":[{"role":"user","content":"x"},{"type":"additional_tools","tools":[{"type":"function","name":"f"}]}],"tools":[{"type":"function","name":"f"}]"#;
    let [unknown, nameless, bad_mode, none, unknown_allowed] = [
        r#"{"type":"function","name":"g"}"#,
        r#"{"type":"custom"}"#,
        r#"{"type":"allowed_tools","tools":[{"type":"function","name":"f"}]}"#,
        r#"{"type":"allowed_tools","mode":"auto","tools":[{"type":"web_search"}]}"#,
        r#"{"type":"allowed_tools","mode":"auto","tools":[{"type":"function","name":"f"},{"type":"custom","name":"g"}]}"#,
    ]
    .map(choice);
    let cases = [
        (r#""tools":{}"#, "tools", "an array of tools"),
        (r#""tools":["f"]"#, "tools[0]", "a tool object"),
        (r#""tools":[{"name":"f"}]"#, "tools[0].type", "required"),
        (
            r#""tools":[{"type":"function","function":{"name":"f"}}]"#,
            "tools[0].name",
            "a member of the tool itself",
        ),
        (
            r#""tools":[{"type":"function","name":"f","parameters":{"type":"array"}}]"#,
            "tools[0].parameters",
            "`\"type\": \"object\"`",
        ),
        (
            r#""tools":[{"type":"custom","name":"f","format":{"type":"xml"}}]"#,
            "tools[0].format.type",
            "`grammar`",
        ),
        (
            r#""tools":[{"type":"custom","name":"f","format":{"type":"grammar","definition":"x"}}]"#,
            "tools[0].format.syntax",
            "`lark`",
        ),
        (
            r#""tools":[{"type":"custom","name":"f","format":{"type":"grammar","syntax":"lark"}}]"#,
            "tools[0].format.definition",
            "required",
        ),
        (
            r#""tools":[{"type":"namespace","tools":[]}]"#,
            "tools[0].name",
            "required",
        ),
        (
            r#""tools":[{"type":"namespace","name":"n"}]"#,
            "tools[0].tools",
            "required",
        ),
        (
            r#""tools":[{"type":"namespace","name":"n","tools":[{"type":"function"}]}]"#,
            "tools[0].tools[0].name",
            "required",
        ),
        (&duplicate, "tools[1].name", "`tools[0]` has this name"),
        (
            &within,
            "tools[1].tools[1].name",
            "`tools[0]` has this name",
        ),
        (later, "input[1].tools[0].name", "`tools[0]` has this name"),
        (&many, "tools", "at most 128"),
        (r#""tool_choice":"required""#, "tool_choice", "give `tools`"),
        (
            r#""tool_choice":{"type":"function","name":"f"}"#,
            "tool_choice",
            "give `tools`",
        ),
        (
            r#""tool_choice":{"name":"f"}"#,
            "tool_choice.type",
            "required",
        ),
        (
            &unknown,
            "tool_choice.name",
            "no tool of `tools` is called `g`",
        ),
        (&nameless, "tool_choice.name", "required"),
        (&bad_mode, "tool_choice.mode", "required"),
        (&none, "tool_choice.tools", "at least one"),
        (
            &unknown_allowed,
            "tool_choice.tools[1].name",
            "no tool of `tools` is called `g`",
        ),
    ];
    assert_refused(ProblemKind::InvalidRequest, &cases);
}

#[test]
fn invalid_options() {
    let many: Vec<String> = (0..17).map(|index| format!(r#""{index}":"""#)).collect();
    let many = format!(r#""metadata":{{{}}}"#, many.join(","));
    let long_name = format!(r#""metadata":{{"{}":""}}"#, "k".repeat(65));
    let long_value = format!(r#""metadata":{{"k":"{}"}}"#, "v".repeat(513));
    let cases = [
        (r#""model":null"#, "model", "/v1/models"),
        (r#""model":"""#, "model", "empty"),
        (r#""stream_options":{}"#, "stream_options", "`stream: true`"),
        (r#""text":{"format":{}}"#, "text.format.type", "required"),
        (
            r#""text":{"format":{"type":"json_schema","schema":{}}}"#,
            "text.format.name",
            "required",
        ),
        (
            r#""text":{"format":{"type":"json_schema","name":"a"}}"#,
            "text.format.schema",
            "required",
        ),
        (
            r#""text":{"verbosity":"max"}"#,
            "text.verbosity",
            "`medium`",
        ),
        (r#""reasoning":{"effort":""}"#, "reasoning.effort", "`low`"),
        (
            r#""reasoning":{"summary":"long"}"#,
            "reasoning.summary",
            "`concise`",
        ),
        (r#""include":"x""#, "include", "an array of strings"),
        (r#""include":[null]"#, "include[0]", "a string"),
        (&many, "metadata", "at most 16"),
        (&long_name, "metadata", "at most 64 characters"),
        (&long_value, "metadata", "at most 512 characters"),
        (
            r#""metadata":{"k":1}"#,
            "metadata",
            "the value of `k` must be a string",
        ),
        (r#""truncation":"middle""#, "truncation", "`disabled`"),
        (
            r#""max_output_tokens":0"#,
            "max_output_tokens",
            "at least 1",
        ),
    ];
    assert_refused(ProblemKind::InvalidRequest, &cases);
}
