//! Validates the arguments of a call against the schema that a client gave with `strict`.
//!
//! The check covers what OpenAI's strict mode allows: `type`, `enum`, `const`, `properties`, `required`,
//! `additionalProperties`, `items`, `anyOf`, `$ref` within the schema, and the bounds of numbers, strings and arrays.
//! Other keywords, `pattern` and `format` among them, are ignored, and so is a schema that cannot be parsed: it is
//! the client's. A check that takes too many steps ends with an error.

mod bounds;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

use crate::json;

/// The most levels at which schemas apply within one another. A value nests up to 127 levels, and an alternative for
/// each takes two.
const DEPTH_AT_MOST: usize = 256;

/// The most steps for all calls of a response: some hundredths of a second. A schema may require exponentially many.
const STEPS: u32 = 200_000;

/// Bytes of a string, or elements, that are processed in one step.
const SIZE_OF_STEP: usize = 32;

/// The bytes whose processing costs as much as parsing one.
const READING: usize = 4;

/// The most characters of a path or a name in a message.
const PATH_AT_MOST: usize = 200;

/// Why arguments are not known to satisfy a schema.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ValidationError {
    /// The arguments violate the schema.
    Violation(Violation),
    /// Unknown: the check took too many steps, or the schemas nest too deeply.
    Unchecked,
}

/// The path at which arguments violate a schema, and how. It contains none of their values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Violation {
    /// From the innermost segment: `.name` or `[1]`.
    path: Vec<String>,
    message: String,
}

impl Violation {
    fn of(message: impl Into<String>) -> Self {
        Self {
            path: Vec::new(),
            message: message.into(),
        }
    }

    fn at(mut self, step: String) -> Self {
        self.path.push(step);
        self
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path: String = self.path.iter().rev().map(String::as_str).collect();
        let path = path.strip_prefix('.').unwrap_or(&path);
        if path.is_empty() {
            return write!(formatter, "they {}", self.message);
        }
        write!(formatter, "at `{}` they {}", short(path), self.message)
    }
}

/// The steps that remain.
#[derive(Debug)]
pub(super) struct StepBudget {
    left: Cell<u32>,
    /// More steps were needed.
    exceeded: Cell<bool>,
}

impl Default for StepBudget {
    fn default() -> Self {
        Self {
            left: Cell::new(STEPS),
            exceeded: Cell::default(),
        }
    }
}

impl StepBudget {
    /// Takes a step, and one more per `SIZE_OF_STEP` of `size`. False if none was left.
    fn spend(&self, size: usize) -> bool {
        let left = self.left.get();
        let more = u32::try_from(size / SIZE_OF_STEP).unwrap_or(u32::MAX);
        self.left.set(left.saturating_sub(more.saturating_add(1)));
        if left == 0 {
            self.exceeded.set(true);
        }
        left > 0
    }
}

/// Fails if `arguments` are not JSON or do not satisfy `schema`, and if the check takes more than `steps`.
pub(super) fn check(
    schema: &str,
    arguments: &str,
    steps: &StepBudget,
) -> Result<(), ValidationError> {
    // Parsing takes time too, and memory.
    let read = schema.len().saturating_add(arguments.len());
    if !steps.spend(read.saturating_mul(READING)) {
        return Err(ValidationError::Unchecked);
    }
    let Ok(arguments) = json::value(arguments) else {
        return Err(ValidationError::Violation(Violation::of("are not JSON")));
    };
    let Ok(root) = serde_json::from_str(schema) else {
        return Ok(());
    };
    let check = SchemaValidator {
        root: &root,
        steps,
        checked: RefCell::default(),
    };
    let result = check.value(&root, &arguments, 0);
    // A result that was reached without steps is not valid.
    if steps.exceeded.get() {
        return Err(ValidationError::Unchecked);
    }
    result.map_err(ValidationError::Violation)
}

/// A schema and a value, by their addresses.
type Pair = [*const Value; 2];

/// The validation of one value.
struct SchemaValidator<'a> {
    root: &'a Value,
    steps: &'a StepBudget,
    /// The result for each schema and value: alternatives may lead to the same pair repeatedly. A pair in progress
    /// counts as satisfied, so that a schema that refers to itself alone requires nothing.
    checked: RefCell<BTreeMap<Pair, Result<(), Violation>>>,
}

impl SchemaValidator<'_> {
    fn value(&self, schema: &Value, value: &Value, depth: usize) -> Result<(), Violation> {
        if depth >= DEPTH_AT_MOST {
            self.steps.exceeded.set(true);
            return Ok(());
        }
        let mut pairs = Vec::new();
        let result = self.follow(schema, value, depth, &mut pairs);
        if let Err(violation) = &result {
            let mut checked = self.checked.borrow_mut();
            checked.extend(pairs.into_iter().map(|pair| (pair, Err(violation.clone()))));
        }
        result
    }

    /// Checks the value against the schema and the targets of its references. `pairs` are those that were begun.
    fn follow(
        &self,
        schema: &Value,
        value: &Value,
        depth: usize,
        pairs: &mut Vec<Pair>,
    ) -> Result<(), Violation> {
        let mut schema = schema;
        while self.steps.spend(size(value)) {
            let keywords = match schema {
                Value::Bool(false) => {
                    return Err(Violation::of("contain a value that is not allowed"));
                }
                Value::Object(keywords) => keywords,
                _ => return Ok(()),
            };
            let pair = [std::ptr::from_ref(schema), std::ptr::from_ref(value)];
            if let Some(known) = self.checked.borrow().get(&pair) {
                return known.clone();
            }
            self.checked.borrow_mut().insert(pair, Ok(()));
            pairs.push(pair);
            // As in OpenAPI.
            if value.is_null() && keywords.get("nullable") == Some(&Value::Bool(true)) {
                return Ok(());
            }
            self.check_keywords(keywords, value)?;
            self.alternatives(keywords, value, depth)?;
            match value {
                Value::Object(members) => self.members(keywords, members, depth)?,
                Value::Array(items) => self.items(keywords, items, depth)?,
                _ => {}
            }
            // A reference may occur beside other keywords, and its target may have one too.
            let Some(target) = keywords.get("$ref").and_then(|to| self.target(to)) else {
                return Ok(());
            };
            schema = target;
        }
        Ok(())
    }

    /// The target of a reference within the schema.
    fn target(&self, reference: &Value) -> Option<&Value> {
        let pointer = reference.as_str()?.strip_prefix('#')?;
        self.root
            .pointer(pointer)
            .filter(|_| self.steps.spend(pointer.len()))
    }

    /// Checks the keywords that concern the value itself, and not its members.
    fn check_keywords(
        &self,
        keywords: &Map<String, Value>,
        value: &Value,
    ) -> Result<(), Violation> {
        if let Some(kind) = keywords.get("type")
            && self.steps.spend(size(kind))
            && !is_of(kind, value)
        {
            return Err(Violation::of("have the wrong type"));
        }
        if let Some(Value::Array(allowed)) = keywords.get("enum")
            && !allowed.iter().any(|allowed| self.equal(allowed, value))
        {
            return Err(Violation::of("are none of the values of `enum`"));
        }
        if let Some(only) = keywords.get("const")
            && !self.equal(only, value)
        {
            return Err(Violation::of("are not the value of `const`"));
        }
        match bounds::violated(keywords, value) {
            Some(bound) => Err(Violation::of(format!("violate `{bound}`"))),
            None => Ok(()),
        }
    }

    fn alternatives(
        &self,
        keywords: &Map<String, Value>,
        value: &Value,
        depth: usize,
    ) -> Result<(), Violation> {
        let Some(Value::Array(schemas)) = keywords.get("anyOf") else {
            return Ok(());
        };
        let fits = |schema| self.value(schema, value, depth + 1).is_ok();
        if schemas.is_empty() || schemas.iter().any(fits) {
            return Ok(());
        }
        Err(Violation::of("satisfy no schema of `anyOf`"))
    }

    fn members(
        &self,
        keywords: &Map<String, Value>,
        members: &Map<String, Value>,
        depth: usize,
    ) -> Result<(), Violation> {
        if let Some(Value::Array(required)) = keywords.get("required") {
            for name in required.iter().filter_map(Value::as_str) {
                if self.steps.spend(name.len()) && !members.contains_key(name) {
                    return Err(Violation::of(format!("lack `{}`", short(name))));
                }
            }
        }
        let known = keywords.get("properties").and_then(Value::as_object);
        // `patternProperties` may allow any name.
        let others = keywords
            .get("additionalProperties")
            .filter(|_| !keywords.contains_key("patternProperties"));
        for (name, member) in members {
            let schema = match known.and_then(|known| known.get(name)) {
                Some(schema) => schema,
                None if others == Some(&Value::Bool(false)) => {
                    return Err(Violation::of("have a member that is not in `properties`"));
                }
                None => match others {
                    Some(schema) => schema,
                    None => continue,
                },
            };
            self.value(schema, member, depth + 1)
                .map_err(|violation| violation.at(format!(".{name}")))?;
        }
        Ok(())
    }

    fn items(
        &self,
        keywords: &Map<String, Value>,
        items: &[Value],
        depth: usize,
    ) -> Result<(), Violation> {
        let Some(schema) = keywords.get("items") else {
            return Ok(());
        };
        // `prefixItems` covers the first ones.
        let first = keywords.get("prefixItems").and_then(Value::as_array);
        let first = first.map_or(0, Vec::len);
        for (index, item) in items.iter().enumerate().skip(first) {
            self.value(schema, item, depth + 1)
                .map_err(|violation| violation.at(format!("[{index}]")))?;
        }
        Ok(())
    }

    /// Whether two values are equal, where 1 equals 1.0. True if no step is left.
    fn equal(&self, one: &Value, other: &Value) -> bool {
        if !self.steps.spend(size(other)) {
            return true;
        }
        match (one, other) {
            (Value::Number(one), Value::Number(other)) => {
                bounds::compare(one, other).is_some_and(std::cmp::Ordering::is_eq)
            }
            (Value::Array(one), Value::Array(other)) => {
                let mut pairs = one.iter().zip(other);
                one.len() == other.len() && pairs.all(|(one, other)| self.equal(one, other))
            }
            (Value::Object(one), Value::Object(other)) => {
                let mut members = one.iter();
                one.len() == other.len()
                    && members.all(|(name, one)| {
                        other.get(name).is_some_and(|other| self.equal(one, other))
                    })
            }
            _ => one == other,
        }
    }
}

/// A path or a name, shortened for a message.
fn short(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(PATH_AT_MOST) {
        Some((end, _)) => Cow::Owned(format!("{}…", text.get(..end).unwrap_or_default())),
        None => Cow::Borrowed(text),
    }
}

/// Bytes of a string, elements of an array or object, and 0 otherwise.
fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.len(),
        Value::Object(members) => members.len(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

/// Whether a value is of this type, or of one of these types.
fn is_of(kind: &Value, value: &Value) -> bool {
    let fits = |kind: &Value| kind.as_str().is_none_or(|name| is_of_type(name, value));
    match kind {
        Value::Array(kinds) => kinds.iter().any(fits),
        _ => fits(kind),
    }
}

fn is_of_type(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "integer" => value.as_number().is_some_and(bounds::is_whole),
        // Not a type of JSON Schema.
        _ => true,
    }
}
