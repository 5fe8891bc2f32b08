//! The description of a function for the model. Codex (0.169) passes only a part of JSON Schema on, so what it leaves out of a
//! schema, or changes, is said in the description.

use serde_json::{Map, Value};

use crate::prompt::conversation::push_paragraph;

/// Bytes of a schema that Codex does not cut down: it takes 5,000 of its own way of writing it, which is longer.
const WHOLE_AT_MOST: usize = 4_000;

/// How deep a schema is looked into. One of `WHOLE_AT_MOST` bytes may nest deeper, and is then described.
const DEEPEST: usize = 64;

/// What Codex leaves out wherever it stands, as far as it means something.
const LOST: &[&str] = &[
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

/// The types that Codex knows.
const TYPES: &[&str] = &[
    "array", "boolean", "integer", "null", "number", "object", "string",
];

/// Without one of these a schema says nothing to Codex.
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

/// In front of a schema in a description.
const SCHEMA: &str = "The arguments satisfy this JSON Schema: ";

/// A description that says what Codex leaves out of the schema.
pub(super) fn described(description: &str, schema: &str) -> String {
    let mut text = description.to_owned();
    if schema.len() > WHOLE_AT_MOST
        || serde_json::from_str(schema).is_ok_and(|read| loses(&read, 0))
    {
        push_paragraph(&mut text, SCHEMA);
        text.push_str(schema);
    }
    text
}

/// Whether Codex would not pass all of a schema on, as it is meant.
fn loses(schema: &Value, depth: usize) -> bool {
    let Value::Object(words) = schema else {
        // `true` becomes a text.
        return true;
    };
    depth > DEEPEST
        || words
            .iter()
            .any(|(word, value)| loses_word(word, value, depth))
        || changes(words)
}

fn loses_word(word: &str, value: &Value, depth: usize) -> bool {
    let within = |schema: &Value| loses(schema, depth + 1);
    match (word, value) {
        // What is left out when nothing is given is null anyway.
        ("default", value) => !value.is_null(),
        // Their members are names.
        ("properties" | "$defs" | "definitions", Value::Object(schemas)) => {
            schemas.values().any(within)
        }
        ("anyOf" | "oneOf" | "allOf", Value::Array(schemas)) => schemas.iter().any(within),
        ("items", schema) => within(schema),
        ("additionalProperties", schema @ Value::Object(_)) => within(schema),
        (word, _) => LOST.contains(&word),
    }
}

/// Whether Codex would make another schema of it.
fn changes(words: &Map<String, Value>) -> bool {
    let is = |name: &str| match words.get("type") {
        Some(Value::String(kind)) => kind == name,
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == name),
        _ => false,
    };
    // A choice without a type is taken for one of texts, and an array of anything for one of texts.
    let choice = words.get("enum").and_then(Value::as_array);
    let only = words.get("const");
    let mut choices = choice.into_iter().flatten().chain(only);
    let untyped = !words.contains_key("type") && !choices.all(Value::is_string);
    let foreign = match words.get("type") {
        Some(Value::String(kind)) => !TYPES.contains(&kind.as_str()),
        _ => false,
    };
    let open = is("array") && !words.contains_key("items");
    let lonely = words.contains_key("description")
        && !DESCRIPTIVE.iter().any(|word| words.contains_key(*word));
    untyped || foreign || open || lonely
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_codex_leaves_out_or_changes_is_described() {
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
            let description = described("Looks up.", schema);
            let expected = format!("Looks up.\n\nThe arguments satisfy this JSON Schema: {schema}");
            assert_eq!(description, expected);
            assert!(described("", schema).starts_with("The arguments"));
        }
    }

    #[test]
    fn what_codex_passes_on_is_not_said_twice() {
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
            assert_eq!(described("Looks up.", schema), "Looks up.", "{schema}");
        }
    }
}
