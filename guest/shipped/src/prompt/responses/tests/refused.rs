//! Refusals of parameters and items, with the path of the field at fault and the way out.

use super::*;

pub(super) fn assert_refused(kind: ProblemKind, cases: &[(&str, &str, &str)]) {
    for (fields, param, fragment) in cases {
        let body = if fields.contains("\"input\":") {
            format!(r#"{{"model":"m",{fields}}}"#)
        } else {
            format!(r#"{{"model":"m","input":"x",{fields}}}"#)
        };
        let problem = problem(&body);
        assert_eq!(problem.param.as_deref(), Some(*param), "{body}");
        assert_eq!(problem.kind, kind, "{body}");
        let message = &problem.message;
        assert!(message.contains(fragment), "{message}: {body}");
        assert!(message.starts_with(&format!("{param}: ")), "{message}");
    }
}

#[test]
fn what_is_not_supported() {
    let cases = [
        (
            r#""prompt":{"id":"pmpt_1"}"#,
            "prompt",
            "`instructions` and `input`",
        ),
        (r#""top_logprobs":1"#, "top_logprobs", "or give `0`"),
        (
            r#""moderation":{"model":"m"}"#,
            "moderation",
            "Leave it out",
        ),
        (
            r#""tools":[{"type":"function","name":"f"},{"type":"file_search"}]"#,
            "tools[1].type",
            "offer a function",
        ),
        (
            r#""tools":[{"type":"mcp","server_label":"s"}]"#,
            "tools[0].type",
            "`mcp`",
        ),
        (
            r#""tools":[{"type":"namespace","name":"n","tools":[{"type":"namespace","name":"n","tools":[]}]}]"#,
            "tools[0].tools[0].type",
            "`namespace`",
        ),
        (
            r#""tools":[{"type":"function","name":"f"}],"tool_choice":{"type":"web_search"}"#,
            "tool_choice.type",
            "choose a function",
        ),
        (
            r#""tools":[{"type":"function","name":"f"}],"tool_choice":{"type":"mcp","server_label":"s"}"#,
            "tool_choice.type",
            "`mcp`",
        ),
        (
            r#""tools":[{"type":"function","name":"f"}],"tool_choice":{"type":"allowed_tools","mode":"auto","tools":[{"type":"mcp","server_label":"s"}]}"#,
            "tool_choice.tools[0].type",
            "`mcp`",
        ),
        (
            r#""input":[{"type":"computer_call_output","call_id":"c","output":{}}]"#,
            "input[0].type",
            "leave the item out",
        ),
        (
            r#""input":[{"role":"user","content":[{"type":"input_file","file_id":"file_1"}]}]"#,
            "input[0].content[0].type",
            "send text or images",
        ),
        (
            r#""input":[{"role":"user","content":[{"type":"input_audio","input_audio":{}}]}]"#,
            "input[0].content[0].type",
            "send text or images",
        ),
        (
            r#""input":[{"role":"user","content":[{"type":"input_image","file_id":"file_1"}]}]"#,
            "input[0].content[0].file_id",
            "data: URL in `image_url`",
        ),
        (
            r#""input":[{"type":"function_call","call_id":"c","name":"f","arguments":""},{"type":"function_call_output","call_id":"c","output":[{"type":"input_file","file_data":"x"}]}]"#,
            "input[1].output[0].type",
            "send text or images",
        ),
    ];
    assert_refused(ProblemKind::Unsupported, &cases);
}

#[test]
fn invalid_items() {
    let cases = [
        (r#""input":null"#, "input", "required"),
        (r#""input":[]"#, "input", "nothing to answer"),
        (r#""input":{}"#, "input", "a string or an array of items"),
        (r#""input":["x"]"#, "input[0]", "an item object"),
        (
            r#""input":[{}]"#,
            "input[0].type",
            "a message with a `role`",
        ),
        (r#""input":[{"type":1}]"#, "input[0].type", "a string"),
        (
            r#""input":[{"type":"message","content":"x"}]"#,
            "input[0].role",
            "required",
        ),
        (
            r#""input":[{"role":"tool","content":"x"}]"#,
            "input[0].role",
            "`function_call_output`",
        ),
        (
            r#""input":[{"role":"critic","content":"x"}]"#,
            "input[0].role",
            "`developer`",
        ),
        (
            r#""input":[{"role":"user"}]"#,
            "input[0].content",
            "required",
        ),
        (
            r#""input":[{"role":"user","content":[]}]"#,
            "input[0].content",
            "required",
        ),
        (
            r#""input":[{"role":"user","content":[{"type":"text","text":"x"}]}]"#,
            "input[0].content[0].type",
            "`input_text`",
        ),
        (
            r#""input":[{"role":"user","content":[{"type":"input_text"}]}]"#,
            "input[0].content[0].text",
            "required",
        ),
        (
            r#""input":[{"role":"user","content":[{"text":"x"}]}]"#,
            "input[0].content[0].type",
            "required",
        ),
        (
            r#""input":[{"role":"user","content":[{"type":"input_image"}]}]"#,
            "input[0].content[0].image_url",
            "required",
        ),
        (
            r#""input":[{"role":"user","content":[{"type":"input_image","image_url":{"url":"x"}}]}]"#,
            "input[0].content[0].image_url",
            "a string",
        ),
        (
            r#""input":[{"role":"user","content":[{"type":"input_image","image_url":"https://a"}]}]"#,
            "input[0].content[0].image_url",
            "use a data: URL",
        ),
        (
            r#""input":[{"role":"user","content":[{"type":"input_image","image_url":"attachment:0"}]}]"#,
            "input[0].content[0].image_url",
            "reserved",
        ),
        (
            r#""input":[{"role":"user","content":"x"},{"role":"developer","content":[{"type":"input_text","text":""},{"type":"input_image","image_url":"attachment:0"}]}]"#,
            "input[1].content[1]",
            "role `user`",
        ),
        (
            r#""input":[{"role":"user","content":[{"type":"refusal","refusal":"x"}]}]"#,
            "input[0].content[0]",
            "role `assistant`",
        ),
        (
            r#""input":[{"type":"function_call","call_id":"c","name":"f","arguments":""},{"type":"function_call_output","call_id":"c","output":[{"type":"input_text","text":"x"},{"type":"refusal","refusal":"x"}]}]"#,
            "input[1].output[1]",
            "role `assistant`",
        ),
        (
            r#""input":[{"type":"reasoning","summary":[{"type":"text","text":"x"}]}]"#,
            "input[0].summary[0].type",
            "`summary_text`",
        ),
        (
            r#""input":[{"type":"reasoning","summary":[{"type":"summary_text"}]}]"#,
            "input[0].summary[0].text",
            "required",
        ),
        (
            r#""input":[{"type":"compaction"}]"#,
            "input[0].encrypted_content",
            "required",
        ),
        (
            r#""input":[{"type":"compaction","encrypted_content":"airlock.1.!"}]"#,
            "input[0].encrypted_content",
            "as the response returned it",
        ),
        (
            r#""input":[{"type":"compaction","encrypted_content":"airlock.1._w"}]"#,
            "input[0].encrypted_content",
            "as the response returned it",
        ),
        (
            r#""input":[{"type":"web_search_call","action":{}}]"#,
            "input[0].action.type",
            "required",
        ),
        (
            r#""input":[{"type":"web_search_call","action":{"type":"search","queries":[1]}}]"#,
            "input[0].action.queries[0]",
            "a string",
        ),
        (
            r#""input":[{"type":"additional_tools"}]"#,
            "input[0].tools",
            "required",
        ),
    ];
    assert_refused(ProblemKind::InvalidRequest, &cases);
}
