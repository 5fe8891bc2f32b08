//! Tools and choices of them: what is counted, what is copied, and which tool a name means.

use super::refused::assert_refused;
use super::*;

fn names(plan: &Plan) -> Vec<&str> {
    plan.tools.iter().map(|tool| tool.name.as_str()).collect()
}

/// So many functions, and then one that is invalid.
fn functions(count: usize) -> String {
    let functions: Vec<String> = (0..count)
        .map(|index| format!(r#"{{"type":"function","name":"f{index}"}}"#))
        .collect();
    functions.join(",") + ",{}"
}

#[test]
fn a_namespaces_description_is_bounded() {
    let tools = |length: usize| {
        let description = "d".repeat(length);
        format!(
            r#""tools":[{{"type":"namespace","tools":[{{"type":"function","name":"f"}}],"name":"n","description":"{description}"}}]"#
        )
    };
    let (most, more) = (tools(16_384), tools(16_385));
    let param = "tools[0].description";
    assert_refused(
        ProblemKind::InvalidRequest,
        &[(&more, param, "at most 16384 bytes")],
    );
    let plan = plan(&format!(r#"{{"model":"m","input":"x",{most}}}"#));
    assert_eq!(plan.tools[0].description.len(), 16_384);
}

#[test]
fn tools_beyond_the_most_are_not_read() {
    let flat = format!(r#""tools":[{}]"#, functions(129));
    let namespace = format!(
        r#""tools":[{{"type":"namespace","name":"n","description":"d","tools":[{}]}}]"#,
        functions(129)
    );
    let one_item = format!(
        r#""input":[{{"type":"additional_tools","tools":[{}]}}]"#,
        functions(129)
    );
    let items: Vec<String> = (0..129)
        .map(|index| {
            format!(
                r#"{{"type":"additional_tools","tools":[{{"type":"function","name":"f{index}"}}]}}"#
            )
        })
        .collect();
    let items = format!(r#""input":[{},{{}}]"#, items.join(","));
    let names: Vec<String> = (0..129)
        .map(|_| r#"{"type":"function","name":"f"}"#.to_owned())
        .collect();
    let allowed = format!(
        r#""tools":[{{"type":"function","name":"f"}}],"tool_choice":{{"type":"allowed_tools","mode":"auto","tools":[{},{{}}]}}"#,
        names.join(",")
    );
    let cases = [
        (&*flat, "tools", "at most 128 functions"),
        (&namespace, "tools", "at most 128 functions"),
        (&one_item, "input", "at most 128 functions"),
        (&items, "input", "at most 128 functions"),
        (&allowed, "tool_choice.tools", "at most 128 tools"),
    ];
    assert_refused(ProblemKind::InvalidRequest, &cases);
}

#[test]
fn tools_that_replace_each_other_count_once() {
    let items: Vec<String> = (0..1_000)
        .map(|index| {
            format!(
                r#"{{"type":"additional_tools","tools":[{{"type":"function","name":"f","description":"{index}"}}]}}"#
            )
        })
        .collect();
    let body = format!(
        r#"{{"model":"m","input":[{{"role":"user","content":"x"}},{}]}}"#,
        items.join(",")
    );
    let plan = plan(&body);
    assert_eq!(names(&plan), ["f"]);
    assert_eq!(plan.tools[0].description, "999");
}

#[test]
fn of_a_duplicate_tools_member_of_an_item_the_last_counts() {
    let plan = plan(
        r#"{"model":"m","input":[{"role":"user","content":"x"},{"type":"additional_tools",
        "tools":[{"type":"function","name":"f"}],"tools":[{"type":"function","name":"g"}]}]}"#,
    );
    assert_eq!(names(&plan), ["g"]);
}

/// Namespaces with tools of one name, and tools of either type.
const AMBIGUOUS: &str = r#""tools":[{"type":"namespace","name":"a","tools":[{"type":"function","name":"search"},{"type":"function","name":"top"}]},
{"type":"namespace","name":"b","tools":[{"type":"function","name":"search"},{"type":"custom","name":"edit"},{"type":"function","name":"only"}]},
{"type":"namespace","name":"c","tools":[{"type":"function","name":"edit"}]},{"type":"function","name":"plain"},{"type":"function","name":"top"}]"#;

#[test]
fn a_choice_means_the_tool_of_its_namespace_and_type() {
    for (choice, chosen) in [
        (
            r#"{"type":"function","name":"search","namespace":"b"}"#,
            "b__search",
        ),
        (
            r#"{"type":"function","name":"search","namespace":"a"}"#,
            "a__search",
        ),
        (r#"{"type":"function","name":"b__search"}"#, "b__search"),
        (r#"{"type":"function","name":"only"}"#, "b__only"),
        (r#"{"type":"custom","name":"edit"}"#, "b__edit"),
        (r#"{"type":"function","name":"edit"}"#, "c__edit"),
        (r#"{"type":"function","name":"top"}"#, "top"),
        (
            r#"{"type":"function","name":"top","namespace":"a"}"#,
            "a__top",
        ),
    ] {
        let allowed = format!(r#"{{"type":"allowed_tools","mode":"required","tools":[{choice}]}}"#);
        for choice in [choice, &allowed] {
            let body = format!(r#"{{"model":"m","input":"x",{AMBIGUOUS},"tool_choice":{choice}}}"#);
            let plan = plan(&body);
            assert_eq!(names(&plan), [chosen], "{choice}");
            assert!(plan.ignored.is_empty(), "{:?}", plan.ignored);
            let expected: Value = serde_json::from_str(choice).unwrap();
            assert_eq!(echo(&plan)["tool_choice"], expected);
        }
    }
}

#[test]
fn a_choice_that_means_no_tool_or_several_is_refused() {
    let choice = |choice: &str| format!(r#"{AMBIGUOUS},"tool_choice":{choice}"#);
    let allowed = |tool: &str| {
        choice(&format!(
            r#"{{"type":"allowed_tools","mode":"auto","tools":[{{"type":"function","name":"plain"}},{tool}]}}"#
        ))
    };
    let ambiguous = r#"{"type":"function","name":"search"}"#;
    let elsewhere = r#"{"type":"function","name":"only","namespace":"a"}"#;
    let other_type = r#"{"type":"custom","name":"plain"}"#;
    let several = "several tools have this name: give its `namespace`";
    let cases = [
        (choice(ambiguous), "tool_choice.name", several),
        (allowed(ambiguous), "tool_choice.tools[1].name", several),
        (
            choice(elsewhere),
            "tool_choice.name",
            "no tool of the namespace `a` is called `only`",
        ),
        (
            choice(other_type),
            "tool_choice.type",
            "`plain` is of type `function`",
        ),
        (
            allowed(other_type),
            "tool_choice.tools[1].type",
            "`plain` is of type `function`",
        ),
    ];
    for (fields, param, fragment) in &cases {
        assert_refused(ProblemKind::InvalidRequest, &[(fields, param, fragment)]);
    }
}

#[test]
fn strict_names_the_member_that_it_refuses() {
    for (fields, param) in [
        (
            r#""include":["reasoning.encrypted_content","file_search_call.results"]"#,
            "include[1]",
        ),
        (r#""tools":[{"type":"web_search"}]"#, "tools[0].type"),
        (
            r#""tools":[{"type":"function","name":"f"}],"tool_choice":{"type":"allowed_tools","mode":"auto","tools":[{"type":"tool_search"}]}"#,
            "tool_choice.tools[0].type",
        ),
    ] {
        let strict = Request {
            settings: r#"{"strict":true}"#.to_owned(),
            ..request(&format!(r#"{{"model":"m","input":"x",{fields}}}"#))
        };
        let problem = planned(&strict).unwrap_err();
        assert_eq!(problem.kind, ProblemKind::Unsupported, "{fields}");
        assert_eq!(problem.param.as_deref(), Some(param));
        assert!(problem.message.starts_with(param), "{}", problem.message);
    }
}
