//! Fields that are refused, with their paths.

use super::*;
use crate::bindings::airlock::policy::types::{InputItem, ProblemKind};

fn assert_refused(members: Value, kind: ProblemKind, param: &str, fragment: &str) {
    let context = members.to_string();
    let problem = problem(members);
    assert_eq!(problem.param.as_deref(), Some(param), "{context}");
    assert_eq!(problem.kind, kind, "{context}");
    assert!(problem.message.contains(fragment), "{}", problem.message);
    assert!(problem.message.starts_with(param), "{}", problem.message);
}

fn assert_message_refused(messages: &Value, param: &str, fragment: &str) {
    let members = json!({"messages": messages});
    assert_refused(members, ProblemKind::InvalidRequest, param, fragment);
}

#[test]
fn calls_and_results_must_match() {
    let user = |blocks: Value| json!({"role": "user", "content": blocks});
    let assistant = |blocks: Value| json!({"role": "assistant", "content": blocks});
    let text = json!({"type": "text", "text": "a"});
    let call = || assistant(json!([text, tool_use("1")]));
    let result = || user(json!([tool_result("1")]));
    for (messages, param, fragment) in [
        (
            json!([user(json!([tool_result("1")]))]),
            "messages.0.content.0.tool_use_id",
            "no `tool_use`",
        ),
        (
            json!([call()]),
            "messages.0.content.1.id",
            "without a result",
        ),
        (
            json!([call(), user(json!("x"))]),
            "messages.0.content.1.id",
            "without a result",
        ),
        (
            json!([call(), user(json!([text, tool_result("1")]))]),
            "messages.0.content.1.id",
            "without a result",
        ),
        (
            json!([call(), {"role": "system", "content": "x"}, result()]),
            "messages.0.content.1.id",
            "without a result",
        ),
        (
            json!([call(), user(json!([tool_result("1"), tool_result("1")]))]),
            "messages.1.content.1.tool_use_id",
            "already",
        ),
        (
            json!([call(), result(), assistant(json!("a")), result()]),
            "messages.3.content.0.tool_use_id",
            "directly follow",
        ),
        (
            json!([assistant(json!([tool_use("1"), tool_use("1")]))]),
            "messages.0.content.1.id",
            "one of its own",
        ),
    ] {
        assert_message_refused(&messages, param, fragment);
    }
    // Results may be in several messages and in any order.
    let both = json!([
        assistant(json!([tool_use("1"), tool_use("2")])),
        user(json!([tool_result("2")])),
        result()
    ]);
    assert!(plan(json!({"messages": both})).resume.is_some());
}

#[test]
fn each_role_has_its_blocks() {
    let message = |role: &str, block: Value| json!([{"role": role, "content": [block]}]);
    let image = || json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "x"}});
    for (messages, param, fragment) in [
        (
            message("user", tool_use("1")),
            "messages.0.content.0.type",
            "calls",
        ),
        (
            message("user", thinking("rs_1")),
            "messages.0.content.0.type",
            "thinking",
        ),
        (
            message("assistant", tool_result("1")),
            "messages.0.content.0.type",
            "results",
        ),
        (
            message("system", tool_use("1")),
            "messages.0.content.0.type",
            "calls",
        ),
        (
            message("assistant", image()),
            "messages.0.content.0.source.data",
            "cannot be read",
        ),
        (
            message("tool", json!({"type": "text", "text": "a"})),
            "messages.0.role",
            "`system`",
        ),
        (
            json!([{"role": "user", "content": []}]),
            "messages.0.content",
            "required",
        ),
        (json!([{"role": "user"}]), "messages.0.content", "required"),
        (json!([]), "messages", "empty"),
        (
            message("user", json!({"type": "text"})),
            "messages.0.content.0.text",
            "required",
        ),
        (
            message(
                "assistant",
                json!({"type": "tool_use", "id": "1", "name": "f", "input": "{}"}),
            ),
            "messages.0.content.0.input",
            "an object",
        ),
        (
            message("assistant", json!({"type": "thinking", "thinking": "a"})),
            "messages.0.content.0.signature",
            "required",
        ),
    ] {
        assert_message_refused(&messages, param, fragment);
    }
}

#[test]
fn blocks_that_the_model_cannot_read_are_unsupported() {
    let message = |block: Value| json!({"messages": [{"role": "user", "content": [block]}]});
    for kind in [
        "document",
        "search_result",
        "server_tool_use",
        "web_search_tool_result",
        "container_upload",
    ] {
        // The type comes first, as clients write it: the rest is not read then.
        let body = format!(
            r#"{{"messages":[{{"role":"user","content":[{{"type":"{kind}","source":{{"type":"url"}},"content":[{{"type":"x"}}]}}]}}]}}"#
        );
        let problem = planned(&request(&body)).unwrap_err();
        assert_eq!(problem.param.as_deref(), Some("messages.0.content.0.type"));
        assert_eq!(problem.kind, ProblemKind::Unsupported);
        assert!(problem.message.contains(kind), "{}", problem.message);
        // Other clients sort the members.
        let body = format!(
            r#"{{"messages":[{{"content":[{{"content":[{{"type":"x"}}],"source":{{"data":"JVBERi0=","type":"base64"}},"title":1,"type":"{kind}"}}],"role":"user"}}]}}"#
        );
        assert_eq!(planned(&request(&body)).unwrap_err(), problem);
    }
    for body in [
        r#"{"messages":[{"role":"user","content":[{"content":[{"source":{"type":"text"},"type":"document"}],"tool_use_id":"1","type":"tool_result"}]}]}"#,
        r#"{"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"1","content":[{"text":1,"type":"document"}]}]}]}"#,
    ] {
        let problem = planned(&request(body)).unwrap_err();
        let param = "messages.0.content.0.content.0.type";
        assert_eq!(problem.param.as_deref(), Some(param));
        assert_eq!(problem.kind, ProblemKind::Unsupported);
    }
    let body = r#"{"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"1","content":[{"type":"document","source":{"type":"text"}}]}]}]}"#;
    let problem = planned(&request(body)).unwrap_err();
    assert_eq!(
        problem.param.as_deref(),
        Some("messages.0.content.0.content.0.type")
    );
    assert_eq!(problem.kind, ProblemKind::Unsupported);
    let source = |source: Value| message(json!({"type": "image", "source": source}));
    let at = "messages.0.content.0.source.type";
    for kind in ["url", "file"] {
        let source = source(json!({"type": kind, "url": "https://a", "file_id": "f"}));
        assert_refused(source, ProblemKind::Unsupported, at, "base64");
    }
}

#[test]
fn an_attachment_counts_only_where_the_host_put_it() {
    let block = |data: &str| json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}});
    let message = |blocks: Value| json!({"messages": [{"role": "user", "content": blocks}]});
    let text = json!({"type": "text", "text": "a"});
    let plan = plan(message(json!([text, block("attachment:0")])));
    assert!(plan.briefs[0].input.contains(&InputItem::Attachment(0)));
    for (blocks, at) in [
        (json!([block("attachment:0")]), 0),
        (json!([text, block("attachment:1")]), 1),
        (json!([text, block("iVBORw0KGgo=")]), 1),
    ] {
        let param = format!("messages.0.content.{at}.source.data");
        assert_refused(
            message(blocks),
            ProblemKind::InvalidRequest,
            &param,
            "padded base64",
        );
    }
    let block = json!({"type": "image", "source": {"type": "base64", "media_type": "image/bmp", "data": "attachment:0"}});
    let param = "messages.0.content.1.source.media_type";
    assert_refused(
        message(json!([text, block])),
        ProblemKind::InvalidRequest,
        param,
        "image/png",
    );
}

#[test]
fn wrong_tools_are_refused_with_their_path() {
    let fine = || json!({"name": "f", "input_schema": {"type": "object"}});
    for (tools, kind, param, fragment) in [
        (
            json!([{"name": "f"}]),
            ProblemKind::InvalidRequest,
            "tools.0.input_schema",
            "required",
        ),
        (
            json!([{"input_schema": {}}]),
            ProblemKind::InvalidRequest,
            "tools.0.name",
            "required",
        ),
        (
            json!([{"name": "f", "input_schema": {"type": "string"}}]),
            ProblemKind::InvalidRequest,
            "tools.0.input_schema",
            "object",
        ),
        (
            json!([fine(), fine()]),
            ProblemKind::InvalidRequest,
            "tools.1.name",
            "`tools.0`",
        ),
        (
            json!([{"type": "bash_20250124", "name": "bash"}]),
            ProblemKind::Unsupported,
            "tools.0.type",
            "input_schema",
        ),
        (
            json!([fine(), {"type": "web_fetch_20250910", "name": "web_fetch", "max_uses": 1}]),
            ProblemKind::Unsupported,
            "tools.1.type",
            "web_fetch",
        ),
        (
            json!([{"type": "mcp_toolset", "mcp_server_name": "a"}]),
            ProblemKind::Unsupported,
            "tools.0.type",
            "mcp_toolset",
        ),
    ] {
        assert_refused(json!({"tools": tools}), kind, param, fragment);
    }
    let searched =
        || json!([fine(), {"type": "web_search_20250305", "name": "web_search", "max_uses": 8}]);
    let ignored = plan(json!({"tools": searched()}));
    assert_eq!(ignored.ignored, ["max_tokens", "tools[].web_search"]);
    assert_eq!(ignored.tools.len(), 1);
    assert_eq!(ignored.tools[0].param, "tools.0.input_schema");
    let forced =
        json!({"tools": searched(), "tool_choice": {"type": "tool", "name": "web_search"}});
    assert_refused(
        forced,
        ProblemKind::Unsupported,
        "tool_choice.name",
        "does not run",
    );
    let body = with_required(json!({"tools": searched()}));
    let strict = Request {
        settings: r#"{"strict":true}"#.to_owned(),
        ..request(&body.to_string())
    };
    let problem = planned(&strict).unwrap_err();
    assert_eq!(problem.param.as_deref(), Some("tools.1.type"));
    let unknown = json!({"tools": [fine()], "tool_choice": {"type": "tool", "name": "g"}});
    assert_refused(
        unknown,
        ProblemKind::InvalidRequest,
        "tool_choice.name",
        "`g`",
    );
    let none = json!({"tool_choice": {"type": "any"}});
    assert_refused(
        none,
        ProblemKind::InvalidRequest,
        "tool_choice",
        "nothing to choose",
    );
}

#[test]
fn wrong_options_are_refused_with_their_path() {
    for (members, param, fragment) in [
        (
            json!({"thinking": {"type": "enabled"}}),
            "thinking.budget_tokens",
            "required",
        ),
        (
            json!({"thinking": {"type": "enabled", "budget_tokens": 10}}),
            "thinking.budget_tokens",
            "1024",
        ),
        (
            json!({"thinking": {"type": "adaptive", "budget_tokens": 2000}}),
            "thinking.budget_tokens",
            "only allowed",
        ),
        (
            json!({"thinking": {"type": "on"}}),
            "thinking.type",
            "`adaptive`",
        ),
        (
            json!({"thinking": {"type": "adaptive", "display": "full"}}),
            "thinking.display",
            "summarized",
        ),
        (
            json!({"output_config": {"format": {"type": "text"}}}),
            "output_config.format.type",
            "json_schema",
        ),
        (
            json!({"output_config": {"format": {"type": "json_schema"}}}),
            "output_config.format.schema",
            "required",
        ),
        (
            json!({"output_config": {"effort": "Max"}}),
            "output_config.effort",
            "xhigh",
        ),
        (
            json!({"stop_sequences": [""]}),
            "stop_sequences.0",
            "1 to 1024",
        ),
        (
            json!({"stop_sequences": vec!["a"; 65]}),
            "stop_sequences",
            "at most 64",
        ),
        (
            json!({"tool_choice": {"type": "tool"}}),
            "tool_choice.name",
            "required",
        ),
        (
            json!({"system": [{"type": "text"}]}),
            "system.0.text",
            "required",
        ),
        (
            json!({"parallel_calls": 2, "airlock": {"candidates": [{}, {"hint": ""}]}}),
            "airlock.candidates.1.hint",
            "empty",
        ),
    ] {
        assert_refused(members, ProblemKind::InvalidRequest, param, fragment);
    }
    let image = json!({"system": [{"type": "image", "source": {}}]});
    assert_refused(
        image,
        ProblemKind::Unsupported,
        "system.0.type",
        "send text",
    );
}
