//! The description of a function for the model. Codex (0.169) passes on only a part of JSON Schema, so a schema that
//! it would reduce or change is appended to the description.

use serde_json::{Map, Value};

use crate::prompt::conversation::push_paragraph;

/// The most bytes of a schema that Codex does not shorten: it allows 5,000 bytes of its own serialization, which is
/// longer.
const UNREDUCED_AT_MOST: usize = 4_000;

/// The most levels of a schema that are inspected. A deeper one is appended to the description.
const DEPTH_AT_MOST: usize = 64;

/// The keywords that Codex drops, as far as they are significant.
const DROPPED: &[&str] = &[
    "contains",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "else",
    "examples",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "if",
    "maxContains",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minContains",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "not",
    "nullable",
    "pattern",
    "patternProperties",
    "prefixItems",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
    "uniqueItems",
];

/// The types that Codex accepts.
const TYPES: &[&str] = &[
    "array", "boolean", "integer", "null", "number", "object", "string",
];

/// Codex treats a schema without one of these keywords as empty.
const DESCRIPTIVE: &[&str] = &[
    "$ref",
    "allOf",
    "anyOf",
    "const",
    "enum",
    "items",
    "oneOf",
    "properties",
    "type",
];

/// The text before a schema in a description.
const SCHEMA: &str = "The arguments satisfy this JSON Schema: ";

/// The description, with the schema appended if Codex would not pass all of it on.
pub(super) fn with_schema(description: &str, schema: &str) -> String {
    let mut text = description.to_owned();
    if schema.len() > UNREDUCED_AT_MOST
        || serde_json::from_str(schema).is_ok_and(|read| is_reduced(&read, 0))
    {
        push_paragraph(&mut text, SCHEMA);
        text.push_str(schema);
    }
    text
}

/// Whether Codex would drop or change a part of the schema.
fn is_reduced(schema: &Value, depth: usize) -> bool {
    let Value::Object(keywords) = schema else {
        // Codex turns `true` into a string.
        return true;
    };
    depth > DEPTH_AT_MOST
        || keywords
            .iter()
            .any(|(keyword, value)| is_keyword_reduced(keyword, value, depth))
        || is_changed(keywords)
}

fn is_keyword_reduced(keyword: &str, value: &Value, depth: usize) -> bool {
    let within = |schema: &Value| is_reduced(schema, depth + 1);
    match (keyword, value) {
        // An absent argument is null anyway.
        ("default", value) => !value.is_null(),
        // Their members are names, and not keywords.
        ("properties" | "$defs" | "definitions", Value::Object(schemas)) => {
            schemas.values().any(within)
        }
        ("anyOf" | "oneOf" | "allOf", Value::Array(schemas)) => schemas.iter().any(within),
        ("items", schema) => within(schema),
        ("additionalProperties", schema @ Value::Object(_)) => within(schema),
        (keyword, _) => DROPPED.contains(&keyword),
    }
}

/// Whether Codex would change the meaning of these keywords.
fn is_changed(keywords: &Map<String, Value>) -> bool {
    let is = |name: &str| match keywords.get("type") {
        Some(Value::String(kind)) => kind == name,
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == name),
        _ => false,
    };
    // Codex takes an `enum` without a type for one of strings, and an array without `items` for one of strings.
    let choice = keywords.get("enum").and_then(Value::as_array);
    let constant = keywords.get("const");
    let mut choices = choice.into_iter().flatten().chain(constant);
    let untyped = !keywords.contains_key("type") && !choices.all(Value::is_string);
    let unknown_type = match keywords.get("type") {
        Some(Value::String(kind)) => !TYPES.contains(&kind.as_str()),
        _ => false,
    };
    let untyped_items = is("array") && !keywords.contains_key("items");
    let only_description = keywords.contains_key("description")
        && !DESCRIPTIVE
            .iter()
            .any(|keyword| keywords.contains_key(*keyword));
    untyped || unknown_type || untyped_items || only_description
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_that_codex_reduces_or_changes_are_described() {
        let long = format!(
            r#"{{"type":"object","description":"{}"}}"#,
            "x".repeat(5_000)
        );
        for schema in [
            r#"{"properties":{"a":{"type":"string","pattern":"^x$"}}}"#,
            r#"{"properties":{"a":{"type":"integer","minimum":1}}}"#,
            r#"{"properties":{"a":{"default":"x","type":"string"}}}"#,
            r#"{"properties":{"a":{"enum":[1,2]}}}"#,
            r#"{"properties":{"a":{"type":["null","array"]}}}"#,
            r#"{"properties":{"a":{"const":1}}}"#,
            r#"{"properties":{"a":{"type":"any"}}}"#,
            r#"{"properties":{"a":true}}"#,
            r#"{"properties":{"a":{"description":"anything"}}}"#,
            r##"{"$defs":{"d":{"not":{"type":"null"}}},"properties":{"a":{"$ref":"#/$defs/d"}}}"##,
            r#"{"properties":{"a":{"type":"array","items":{"anyOf":[{"type":"string","format":"date"}]}}}}"#,
            r#"{"additionalProperties":{"type":"string","maxLength":3}}"#,
            long.as_str(),
        ] {
            let description = with_schema("Looks up.", schema);
            let expected = format!("Looks up.\n\nThe arguments satisfy this JSON Schema: {schema}");
            assert_eq!(description, expected);
            assert!(with_schema("", schema).starts_with("The arguments"));
        }
    }

    #[test]
    fn schemas_that_codex_passes_on_are_not_described() {
        for schema in [
            "{}",
            r#"{"type":"object","properties":{}}"#,
            r#"{"type":"object","title":"T","properties":{"a":{"enum":["format"]}},"required":["pattern"]}"#,
            r#"{"properties":{"format":{"type":"string"},"default":{"type":"null"},"not":{"const":"x","description":"y"}}}"#,
            r##"{"properties":{"a":{"$ref":"#/$defs/d","description":"kept"}},"$defs":{"d":{"type":"string"}}}"##,
            r#"{"properties":{"a":{"anyOf":[{"type":"string"},{"type":"null"}],"default":null,"title":"A"}}}"#,
            r#"{"description":"say \"format\": yes","type":"object","additionalProperties":false}"#,
            r#"{"properties":{"a":{"type":"array","items":{"type":"number","enum":[1,2]}}}}"#,
        ] {
            assert_eq!(with_schema("Looks up.", schema), "Looks up.", "{schema}");
        }
    }
}
