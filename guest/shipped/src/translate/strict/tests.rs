//! Which arguments satisfy a schema, where others violate it, and that every schema is bounded.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

fn violation(schema: &str, arguments: &str) -> String {
    match check(schema, arguments, &StepBudget::default()) {
        Ok(()) => String::new(),
        Err(ValidationError::Violation(violation)) => violation.to_string(),
        Err(ValidationError::Unchecked) => "unchecked".to_owned(),
    }
}

fn yes(schema: &str, arguments: &[&str]) {
    for arguments in arguments {
        assert_eq!(violation(schema, arguments), "", "{schema} {arguments}");
    }
}

fn no(schema: &str, arguments: &[&str], expected: &str) {
    for arguments in arguments {
        assert_eq!(
            violation(schema, arguments),
            expected,
            "{schema} {arguments}"
        );
    }
}

#[test]
fn types() {
    let cases: [(&str, &[&str], &[&str]); 8] = [
        ("\"object\"", &["{}"], &["[]", "null", "1"]),
        ("\"array\"", &["[]", "[1]"], &["{}", "\"\""]),
        ("\"string\"", &["\"\""], &["1", "null"]),
        ("\"boolean\"", &["true", "false"], &["0", "\"true\""]),
        ("\"null\"", &["null"], &["0", "{}"]),
        ("\"number\"", &["1", "-1.5", "1e300"], &["\"1\"", "true"]),
        (
            "\"integer\"",
            &["1", "1.0", "-3", "1e3", "18446744073709551615"],
            &["1.5", "\"1\""],
        ),
        ("[\"string\",\"null\"]", &["null", "\"a\""], &["1", "[]"]),
    ];
    for (kind, good, bad) in cases {
        let schema = format!("{{\"type\":{kind}}}");
        yes(&schema, good);
        no(&schema, bad, "they have the wrong type");
    }
}

#[test]
fn members() {
    let schema = r#"{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"array","items":{"type":"object",
        "properties":{"c":{"type":"integer"}},"required":["c"]}}},"required":["a"],"additionalProperties":false}"#;
    yes(
        schema,
        &[
            r#"{"a":""}"#,
            r#"{"a":"","b":[]}"#,
            r#"{"a":"","b":[{"c":1,"d":2}]}"#,
        ],
    );
    no(schema, &["{}", r#"{"b":[]}"#], "they lack `a`");
    no(schema, &[r#"{"a":1}"#], "at `a` they have the wrong type");
    no(
        schema,
        &[r#"{"a":"","secret":1}"#],
        "they have a member that is not in `properties`",
    );
    no(
        schema,
        &[r#"{"a":"","b":[{"c":1},{"c":"secret"}]}"#],
        "at `b[1].c` they have the wrong type",
    );
    no(schema, &[r#"{"a":"","b":[{}]}"#], "at `b[0]` they lack `c`");
    let others = r#"{"additionalProperties":{"type":"null"}}"#;
    yes(others, &["{}", r#"{"a":null}"#]);
    no(others, &[r#"{"a":1}"#], "at `a` they have the wrong type");
    yes(
        r#"{"patternProperties":{"^a":{}},"additionalProperties":false}"#,
        &[r#"{"a":1}"#],
    );
    yes(
        r#"{"prefixItems":[{}],"items":{"type":"null"}}"#,
        &["[1]", "[1,null]"],
    );
    no(
        r#"{"prefixItems":[{}],"items":{"type":"null"}}"#,
        &["[1,2]"],
        "at `[1]` they have the wrong type",
    );
}

#[test]
fn values_and_alternatives() {
    let colours = r#"{"enum":["red",1,null,[1.0,{"a":2}]]}"#;
    yes(colours, &["\"red\"", "1", "1.0", "null", "[1,{\"a\":2.0}]"]);
    no(
        colours,
        &["\"blue\"", "2", "[1,{\"a\":3}]", "[1]", "{}"],
        "they are none of the values of `enum`",
    );
    yes(r#"{"const":{"a":[]}}"#, &["{\"a\":[]}"]);
    no(
        r#"{"const":{"a":[]}}"#,
        &["{\"a\":[1]}", "{\"b\":[]}", "{}"],
        "they are not the value of `const`",
    );
    let any = r#"{"properties":{"a":{"anyOf":[{"type":"null"},{"type":"string","maxLength":1}]}}}"#;
    yes(any, &[r#"{"a":null}"#, r#"{"a":"x"}"#]);
    no(
        any,
        &[r#"{"a":1}"#, r#"{"a":"xx"}"#],
        "at `a` they satisfy no schema of `anyOf`",
    );
    no("false", &["1"], "they contain a value that is not allowed");
    no(
        r#"{"properties":{"a":false}}"#,
        &[r#"{"a":1}"#],
        "at `a` they contain a value that is not allowed",
    );
}

#[test]
fn references() {
    let list = r##"{"$defs":{"node":{"type":"object","properties":{"value":{"type":"integer"},
        "next":{"anyOf":[{"$ref":"#/$defs/node"},{"type":"null"}]}},"required":["value","next"],"additionalProperties":false}},
        "type":"object","properties":{"head":{"$ref":"#/$defs/node","description":"first"}},"required":["head"]}"##;
    yes(
        list,
        &[r#"{"head":{"value":1,"next":{"value":2,"next":null}}}"#],
    );
    no(
        list,
        &[r#"{"head":{"value":"x","next":null}}"#],
        "at `head.value` they have the wrong type",
    );
    no(
        list,
        &[r#"{"head":{"value":1,"next":{"value":2}}}"#],
        "at `head.next` they satisfy no schema of `anyOf`",
    );
    let tree =
        r##"{"type":"object","properties":{"children":{"type":"array","items":{"$ref":"#"}}}}"##;
    yes(tree, &[r#"{"children":[{"children":[]}]}"#]);
    no(
        tree,
        &[r#"{"children":[{"children":[{"children":1}]}]}"#],
        "at `children[0].children[0].children` they have the wrong type",
    );
    let escaped = r##"{"definitions":{"a/b~c":{"type":"null"}},"$ref":"#/definitions/a~1b~0c"}"##;
    no(escaped, &["1"], "they have the wrong type");
}

#[test]
fn sizes_and_numbers() {
    let cases = [
        (
            r#"{"minLength":2,"maxLength":3}"#,
            &["\"éé\"", "\"漢漢🦀\"", "1"][..],
            &["\"é\""][..],
            "minLength",
        ),
        (r#"{"maxLength":3}"#, &["\"\""], &["\"aaaa\""], "maxLength"),
        (r#"{"minItems":1}"#, &["[0]", "{}"], &["[]"], "minItems"),
        (r#"{"maxItems":1}"#, &["[]"], &["[0,0]"], "maxItems"),
        (
            r#"{"minimum":1}"#,
            &["1", "1.0", "1e300", "\"\""],
            &["0", "0.999", "-1"],
            "minimum",
        ),
        (
            r#"{"maximum":9007199254740992}"#,
            &["9007199254740992"],
            &["9007199254740993"],
            "maximum",
        ),
        (
            r#"{"exclusiveMinimum":0}"#,
            &["0.001"],
            &["0", "-0.0"],
            "exclusiveMinimum",
        ),
        (
            r#"{"exclusiveMaximum":1.5}"#,
            &["1"],
            &["1.5", "2"],
            "exclusiveMaximum",
        ),
        (
            r#"{"multipleOf":3}"#,
            &["0", "-9", "6.0"],
            &["4", "1.5"],
            "multipleOf",
        ),
        (
            r#"{"multipleOf":0.01}"#,
            &["19.99", "4", "1e300"],
            &["0.001"],
            "multipleOf",
        ),
    ];
    for (schema, good, bad, bound) in cases {
        yes(schema, good);
        no(schema, bad, &format!("they violate `{bound}`"));
    }
}

#[test]
fn invalid_schemas_count_as_satisfied() {
    let any = ["{}", "1", "null", "[{\"a\":1}]"];
    for schema in [
        "not JSON",
        "1",
        "[]",
        "null",
        "true",
        "{}",
        "\"string\"",
        r#"{"type":7}"#,
        r#"{"type":[["string"]]}"#,
        r#"{"type":"text"}"#,
        r#"{"enum":"a","required":"a","properties":[],"items":1,"anyOf":{}}"#,
        r#"{"anyOf":[]}"#,
        r#"{"multipleOf":0}"#,
        r#"{"multipleOf":-1,"minimum":"a","maxItems":null}"#,
        r#"{"exclusiveMinimum":true,"pattern":"(","format":"date"}"#,
        r#"{"required":[1,null]}"#,
        r##"{"$ref":"#/nowhere"}"##,
        r#"{"$ref":"https://example.com/x"}"#,
        r##"{"$ref":"#anchor"}"##,
        r#"{"$ref":1}"#,
        r##"{"$ref":"#"}"##,
        r##"{"anyOf":[{"$ref":"#"}]}"##,
    ] {
        yes(schema, &any);
    }
    no(
        "{}",
        &["", "{", "{\"a\":1e999}", "{} {}"],
        "they are not JSON",
    );
}

/// Runs it with a small stack, as in the sandbox.
fn on_a_small_stack(run: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(512 * 1024);
    thread.spawn(run).unwrap().join().unwrap();
}

#[test]
fn deep_and_recursive_schemas_are_bounded() {
    on_a_small_stack(|| {
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        let tree = r##"{"anyOf":[{"type":"null"},{"type":"array","items":{"$ref":"#"}}]}"##;
        assert_eq!(
            violation(tree, &nested(60)),
            "they satisfy no schema of `anyOf`"
        );
        let list = r##"{"type":"array","items":{"$ref":"#"}}"##;
        let path = "[0]".repeat(120);
        let shown: String = path.chars().take(200).collect();
        assert_eq!(
            violation(list, &nested(120)),
            format!("at `{shown}…` they have the wrong type")
        );
        assert_eq!(violation(list, &nested(100_000)), "they are not JSON");
        let deep = format!("{}{}", "{\"items\":".repeat(100_000), "}".repeat(100_000));
        yes(&deep, &["[[[]]]"]);
        // Each level doubles the alternatives, and all fail: each pair is checked once.
        let schema =
            r##"{"type":"object","properties":{"a":{"anyOf":[{"$ref":"#"},{"$ref":"#"}]}}}"##;
        let chain = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        assert_eq!(
            violation(schema, &chain(10)),
            "at `a` they satisfy no schema of `anyOf`"
        );
        assert_eq!(
            violation(schema, &chain(100)),
            "at `a` they satisfy no schema of `anyOf`"
        );
    });
}

#[test]
fn duplicated_references_are_checked() {
    // 2^18 paths to the last of them.
    let doubling = |last: &str| {
        let level = |level: usize| {
            let next = format!("{{\"$ref\":\"#/$defs/d{}\"}}", level + 1);
            format!("\"d{level}\":{{\"anyOf\":[{next},{next}]}},")
        };
        let levels: String = (0..18).map(level).collect();
        format!("{{\"$ref\":\"#/$defs/d0\",\"$defs\":{{{levels}\"d18\":{last}}}}}")
    };
    let whole = doubling(r#"{"type":"integer"}"#);
    assert!(whole.len() < 1_700, "{}", whole.len());
    yes(&whole, &["1"]);
    no(&whole, &["\"1\""], "they satisfy no schema of `anyOf`");
}

#[test]
fn a_check_that_takes_too_many_steps_is_an_error() {
    let items = format!("[{}1]", "1,".repeat(5_000));
    let choices = format!("{}0", "2,".repeat(5_000));
    let schema = format!("{{\"items\":{{\"enum\":[{choices}]}}}}");
    // Not a violation, though the first of them is one: the check did not complete.
    no(
        &format!("{{\"anyOf\":[{schema},{schema}]}}"),
        &[&items],
        "they satisfy no schema of `anyOf`",
    );
    let all_fit = format!("{{\"items\":{{\"enum\":[{choices},1]}}}}");
    no(&all_fit, &[&items], "unchecked");
    let long = "x".repeat(100_000);
    let branch = format!("{{\"enum\":[\"{long}y\"],\"maxLength\":5}},").repeat(60);
    no(
        &format!("{{\"anyOf\":[{branch}{{\"type\":\"null\"}}]}}"),
        &[&format!("\"{long}z\"")],
        "unchecked",
    );
    // One budget for all calls of a response.
    let steps = StepBudget::default();
    let unmet = [0, 1].map(|_| check(&all_fit, &items, &steps).unwrap_err());
    assert_eq!(
        unmet,
        [ValidationError::Unchecked, ValidationError::Unchecked]
    );
}

#[test]
fn names_in_a_violation_are_shortened() {
    let name = "é".repeat(10_000);
    let schema =
        format!("{{\"required\":[\"{name}\"],\"additionalProperties\":{{\"type\":\"null\"}}}}");
    assert!(violation(&schema, "{}").chars().count() < 300);
    assert!(
        violation(&schema, &format!("{{\"{name}\":1}}"))
            .chars()
            .count()
            < 300
    );
}
