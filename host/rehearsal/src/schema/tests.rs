//! Tests of instances, as pairs of a schema and what it gives.

use serde_json::json;

use super::*;

#[test]
fn plain_types_give_their_plainest_value() {
    for (schema, expected) in [
        (json!({"type": "string"}), json!("rehearsal")),
        (
            json!({"type": "string", "minLength": 12}),
            json!("rehearsal..."),
        ),
        (json!({"type": "string", "maxLength": 3}), json!("reh")),
        (
            json!({"type": "string", "format": "date"}),
            json!("2000-01-01"),
        ),
        (
            json!({"type": "string", "enum": ["red", "blue"]}),
            json!("red"),
        ),
        (json!({"const": {"a": 1}}), json!({"a": 1})),
        (json!({"type": "boolean"}), json!(false)),
        (json!({"type": "null"}), json!(null)),
        (json!({"type": ["integer", "null"]}), json!(0)),
        (
            json!({"type": "array", "items": {"type": "string"}}),
            json!([]),
        ),
        (json!({"type": "object"}), json!({})),
        (json!({}), json!(null)),
        (json!(true), json!(null)),
    ] {
        assert_eq!(instance(&schema), expected, "{schema}");
    }
}

#[test]
fn numbers_keep_their_bounds() {
    for (schema, expected) in [
        (json!({"type": "integer"}), json!(0)),
        (json!({"type": "integer", "minimum": 3}), json!(3)),
        (json!({"type": "integer", "exclusiveMinimum": 3}), json!(4)),
        (
            json!({"type": "integer", "exclusiveMinimum": 3.5}),
            json!(4),
        ),
        (json!({"type": "integer", "maximum": -2}), json!(-2)),
        (
            json!({"type": "integer", "exclusiveMaximum": -2}),
            json!(-3),
        ),
        (
            json!({"type": "integer", "minimum": 5, "multipleOf": 4}),
            json!(8),
        ),
        (
            json!({"type": "integer", "maximum": -5, "multipleOf": 4}),
            json!(-8),
        ),
        (
            json!({"type": "integer", "minimum": 1e300}),
            json!(i64::MAX),
        ),
        (json!({"type": "number"}), json!(0.0)),
        (json!({"type": "number", "minimum": 0.5}), json!(0.5)),
        (
            json!({"type": "number", "exclusiveMinimum": 0, "maximum": 1}),
            json!(0.5),
        ),
        (json!({"type": "number", "exclusiveMinimum": 2}), json!(3.0)),
        (
            json!({"type": "number", "exclusiveMaximum": -2}),
            json!(-3.0),
        ),
    ] {
        assert_eq!(instance(&schema), expected, "{schema}");
    }
}

#[test]
fn objects_have_what_is_required_and_arrays_as_few_items_as_they_may() {
    let schema = json!({
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "tags": {"type": "array", "items": {"type": "string"}, "minItems": 2},
            "pair": {"type": "array", "prefixItems": [{"type": "integer"}], "items": {"type": "boolean"}, "minItems": 2},
            "note": {"type": "string"},
        },
        "required": ["name", "tags", "pair"],
        "additionalProperties": false,
    });
    let expected =
        json!({"name": "rehearsal", "tags": ["rehearsal", "rehearsal"], "pair": [0, false]});
    assert_eq!(instance(&schema), expected);
    let nothing_required = json!({"properties": {"a": {"type": "integer"}}});
    assert_eq!(instance(&nothing_required), json!({"a": 0}));
}

#[test]
fn choices_take_the_first_that_can_be_built_and_parts_come_together() {
    let schema = json!({"anyOf": [{"type": "unheard-of"}, {"type": "integer"}, {"type": "null"}]});
    assert_eq!(instance(&schema), json!(0));
    let whole = json!({"allOf": [
        {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
        {"type": "object", "properties": {"b": {"type": "boolean"}}, "required": ["b"]},
    ]});
    assert_eq!(instance(&whole), json!({"a": 0, "b": false}));
    let beside = json!({
        "properties": {"kind": {"const": "x"}},
        "oneOf": [{"type": "object", "properties": {"a": {"type": "integer"}}}],
    });
    assert_eq!(instance(&beside), json!({"kind": "x", "a": 0}));
}

#[test]
fn references_are_followed_but_never_within_themselves() {
    let list = json!({
        "$ref": "#/$defs/node",
        "$defs": {"node": {
            "type": "object",
            "properties": {
                "value": {"type": "integer"},
                "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
            },
            "required": ["value", "next"],
        }},
    });
    assert_eq!(instance(&list), json!({"value": 0, "next": null}));
    let root = json!({"type": "object", "properties": {"child": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}, "required": ["child"]});
    assert_eq!(instance(&root), json!({"child": null}));
    let endless =
        json!({"type": "object", "properties": {"child": {"$ref": "#"}}, "required": ["child"]});
    assert_eq!(instance(&endless), json!(null));
    assert_eq!(instance(&json!({"$ref": "#/nowhere"})), json!(null));
    assert_eq!(
        instance(&json!({"$ref": "https://example.com/schema"})),
        json!(null)
    );
}

#[test]
fn a_short_schema_cannot_ask_for_a_huge_instance() {
    let mut definitions = Map::new();
    for level in 0..40 {
        let next = json!({"$ref": format!("#/$defs/{}", level + 1)});
        let pair = json!({"type": "array", "items": next, "minItems": 2});
        definitions.insert(level.to_string(), pair);
    }
    definitions.insert("40".to_owned(), json!({"type": "null"}));
    let schema = json!({"$ref": "#/$defs/0", "$defs": definitions});
    assert_eq!(instance(&schema), json!(null));
    let long = instance(&json!({"type": "string", "minLength": 1_000_000_000}));
    assert_eq!(long.as_str().map(str::len), Some(10_000));
}
