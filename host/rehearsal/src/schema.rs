//! Small instances of JSON Schemas: with required members only, and the simplest allowed values.

mod scalar; // strings, numbers, booleans and null
#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

/// The most schemas that are visited for one instance: a few short definitions can describe an instance larger than memory.
const VISITS: usize = 20_000;

/// The most items of an array.
const ITEMS: u64 = 64;

/// An instance of the schema. Null if no finite one exists, or none is found.
pub(super) fn instance(schema: &Value) -> Value {
    Builder {
        root: schema,
        visits: VISITS,
    }
    .build(schema, &ReferenceChain::Start("#"))
    .unwrap_or_default()
}

struct Builder<'a> {
    root: &'a Value,
    visits: usize,
}

/// The references that are being followed. A reference within itself is not followed: that would never end.
enum ReferenceChain<'a> {
    Start(&'a str),
    Link(&'a ReferenceChain<'a>, &'a str),
}

impl ReferenceChain<'_> {
    fn contains(&self, reference: &str) -> bool {
        match self {
            ReferenceChain::Start(start) => *start == reference,
            ReferenceChain::Link(before, last) => *last == reference || before.contains(reference),
        }
    }
}

impl<'a> Builder<'a> {
    /// An instance of the schema. None: it has none without a reference within itself, or the visits are used up.
    fn build(&mut self, schema: &'a Value, chain: &ReferenceChain<'_>) -> Option<Value> {
        self.visits = self.visits.checked_sub(1)?;
        let Value::Object(members) = schema else {
            // `true` allows any value. `false` allows none, nor does a value that is not a schema.
            return (schema == &Value::Bool(true)).then_some(Value::Null);
        };
        if let Some(only) = members.get("const") {
            return Some(only.clone());
        }
        if let Some(Value::Array(choices)) = members.get("enum") {
            return choices.first().cloned();
        }
        if let Some(Value::String(reference)) = members.get("$ref") {
            if chain.contains(reference) {
                return None;
            }
            let target = self.root.pointer(reference.strip_prefix('#')?)?;
            return self.build(target, &ReferenceChain::Link(chain, reference));
        }
        for key in ["anyOf", "oneOf"] {
            if let Some(Value::Array(choices)) = members.get(key) {
                let chosen = choices
                    .iter()
                    .find_map(|choice| self.build(choice, chain))?;
                return self.with_own(members, chosen, chain);
            }
        }
        if let Some(Value::Array(parts)) = members.get("allOf") {
            let mut whole = Value::Null;
            for part in parts {
                whole = merge(whole, self.build(part, chain)?);
            }
            return self.with_own(members, whole, chain);
        }
        self.of_type(members, chain)
    }

    /// The instance of a choice, merged with one of the properties beside the choice.
    fn with_own(
        &mut self,
        members: &'a Map<String, Value>,
        chosen: Value,
        chain: &ReferenceChain<'_>,
    ) -> Option<Value> {
        if chosen.is_object() && members.contains_key("properties") {
            return Some(merge(self.object(members, chain)?, chosen));
        }
        Some(chosen)
    }

    fn of_type(
        &mut self,
        members: &'a Map<String, Value>,
        chain: &ReferenceChain<'_>,
    ) -> Option<Value> {
        match members.get("type") {
            Some(Value::String(name)) => self.named(name, members, chain),
            Some(Value::Array(names)) => names
                .iter()
                .filter_map(Value::as_str)
                .find_map(|name| self.named(name, members, chain)),
            _ if members.contains_key("properties") => self.object(members, chain),
            _ if members.contains_key("items") => self.array(members, chain),
            _ => Some(Value::Null),
        }
    }

    fn named(
        &mut self,
        name: &str,
        members: &'a Map<String, Value>,
        chain: &ReferenceChain<'_>,
    ) -> Option<Value> {
        match name {
            "object" => self.object(members, chain),
            "array" => self.array(members, chain),
            _ => scalar::instance(name, members),
        }
    }

    fn object(
        &mut self,
        members: &'a Map<String, Value>,
        chain: &ReferenceChain<'_>,
    ) -> Option<Value> {
        let Some(Value::Object(properties)) = members.get("properties") else {
            return Some(Value::Object(Map::new()));
        };
        let required = members.get("required").and_then(Value::as_array);
        let mut object = Map::new();
        for (name, schema) in properties {
            match required {
                // Without `required`, an empty object would do, but it would show nothing.
                None => object.extend(self.build(schema, chain).map(|value| (name.clone(), value))),
                Some(names) if names.iter().any(|required| required == name) => {
                    object.insert(name.clone(), self.build(schema, chain)?);
                }
                Some(_) => {}
            }
        }
        Some(Value::Object(object))
    }

    fn array(
        &mut self,
        members: &'a Map<String, Value>,
        chain: &ReferenceChain<'_>,
    ) -> Option<Value> {
        let least = members
            .get("minItems")
            .and_then(Value::as_u64)
            .unwrap_or_default()
            .min(ITEMS);
        let fixed = members
            .get("prefixItems")
            .and_then(Value::as_array)
            .map_or(&[][..], Vec::as_slice);
        let mut array = Vec::new();
        for number in 0..usize::try_from(least).ok()? {
            let item = match fixed.get(number).or_else(|| members.get("items")) {
                Some(schema) => self.build(schema, chain)?,
                None => Value::Null,
            };
            array.push(item);
        }
        Some(Value::Array(array))
    }
}

/// The members of both if both are objects, else the second.
fn merge(first: Value, second: Value) -> Value {
    match (first, second) {
        (Value::Object(mut members), Value::Object(more)) => {
            members.extend(more);
            Value::Object(members)
        }
        (first, Value::Null) => first,
        (_, second) => second,
    }
}
