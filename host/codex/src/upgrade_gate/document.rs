//! The JSON Schema that Codex generates, walked by paths. Pure.
//!
//! A path is `turn.error.message`; `input[]` are the elements of an array, and `input[]<text>` those whose `type` is `text`. A
//! schema is expanded to its alternatives, so that it does not matter how a generator writes references, `allOf` and `anyOf`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::shape::{Kinds, ValueShape};

/// The maximum depth of references and combinations. 0.169.0 has references to references, 2 deep.
const DEPTH: usize = 32;

/// The whole generated schema (`codex_app_server_protocol.schemas.json`).
#[derive(Debug)]
pub(super) struct Document {
    root: Value,
}

/// A method or a notification.
#[derive(Clone, Copy, Debug)]
pub(super) struct Method<'a> {
    pub(super) params: Option<&'a Value>,
    pub(super) needs_params: bool,
}

/// One of the alternatives for a value.
#[derive(Clone, Debug)]
struct Alternative<'a> {
    kinds: Kinds,
    texts: Option<BTreeSet<&'a str>>,
    members: BTreeMap<&'a str, Vec<&'a Value>>,
    required: BTreeSet<&'a str>,
    /// The schemas of members that are not named.
    others: Vec<&'a Value>,
    elements: Vec<&'a Value>,
}

/// The values at a path, as their alternatives.
#[derive(Clone, Debug)]
pub(super) struct SchemaNode<'a> {
    document: &'a Document,
    alternatives: Vec<Alternative<'a>>,
    optional: bool,
}

impl Document {
    /// A document with this root. None: it is not a schema of Codex's protocol.
    pub(super) fn new(root: Value) -> Option<Self> {
        let document = Self { root };
        let unions = [
            "ClientNotification",
            "ClientRequest",
            "ServerNotification",
            "ServerRequest",
        ];
        unions
            .iter()
            .all(|union| document.definition(union).is_some())
            .then_some(document)
    }

    /// The type of this name. Types of the protocol's second version are below `v2` (0.163.0 to 0.169.0).
    pub(super) fn definition(&self, name: &str) -> Option<&Value> {
        let definitions = self.root.get("definitions")?;
        definitions
            .get(name)
            .or_else(|| definitions.get("v2")?.get(name))
    }

    /// The method of this name in one of the unions: `ClientRequest`, `ServerNotification`, ….
    pub(super) fn method(&self, union: &str, name: &str) -> Option<Method<'_>> {
        let members = self.choices(self.definition(union)?, 0);
        let is_named = |member: &&Value| {
            let names = member.pointer("/properties/method/enum");
            let names = names.and_then(Value::as_array);
            names.is_some_and(|names| names.iter().any(|known| known == name))
                || member
                    .pointer("/properties/method/const")
                    .is_some_and(|known| known == name)
        };
        let found = members.into_iter().find(is_named)?;
        let required = found.get("required").and_then(Value::as_array);
        Some(Method {
            params: found.pointer("/properties/params"),
            needs_params: required.is_some_and(|names| names.iter().any(|name| name == "params")),
        })
    }

    /// The choices of a union, behind references.
    fn choices<'a>(&'a self, schema: &'a Value, depth: usize) -> Vec<&'a Value> {
        if depth >= DEPTH {
            return Vec::new();
        }
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            let target = reference.strip_prefix('#');
            let target = target.and_then(|pointer| self.root.pointer(pointer));
            return target.map_or_else(Vec::new, |target| self.choices(target, depth + 1));
        }
        match schema.get("oneOf").or(schema.get("anyOf")) {
            Some(Value::Array(parts)) => {
                let choices = parts.iter().map(|part| self.choices(part, depth + 1));
                choices.flatten().collect()
            }
            _ => vec![schema],
        }
    }

    /// The node at a path below a schema. The error is the part of the path that does not exist.
    pub(super) fn walk<'a>(
        &'a self,
        schema: &'a Value,
        path: &str,
    ) -> Result<SchemaNode<'a>, String> {
        let mut node = SchemaNode {
            document: self,
            alternatives: self.expand(&[schema], 0),
            optional: false,
        };
        let mut walked = String::new();
        for step in steps(path) {
            node = node.step(step);
            walked.push_str(&match step {
                PathStep::Member(name) if walked.is_empty() => name.to_owned(),
                PathStep::Member(name) => format!(".{name}"),
                PathStep::Elements => "[]".to_owned(),
                PathStep::Tagged(tag) => format!("<{tag}>"),
            });
            if node.alternatives.is_empty() {
                return Err(walked);
            }
        }
        Ok(node)
    }

    fn expand<'a>(&'a self, schemas: &[&'a Value], depth: usize) -> Vec<Alternative<'a>> {
        schemas
            .iter()
            .fold(vec![Alternative::anything()], |found, schema| {
                cross(&found, &self.alternatives(schema, depth))
            })
    }

    fn alternatives<'a>(&'a self, schema: &'a Value, depth: usize) -> Vec<Alternative<'a>> {
        let members = match schema {
            Value::Object(members) if depth < DEPTH => members,
            Value::Bool(true) => return vec![Alternative::anything()],
            _ => return Vec::new(),
        };
        let mut found = vec![Alternative::of(members)];
        if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
            let target = reference.strip_prefix('#');
            let target = target.and_then(|pointer| self.root.pointer(pointer));
            let target = target.map(|target| self.alternatives(target, depth + 1));
            found = cross(&found, &target.unwrap_or_default());
        }
        for part in parts(members, "allOf") {
            found = cross(&found, &self.alternatives(part, depth + 1));
        }
        for union in ["anyOf", "oneOf"] {
            if members.contains_key(union) {
                let choices: Vec<_> = parts(members, union)
                    .flat_map(|part| self.alternatives(part, depth + 1))
                    .collect();
                found = cross(&found, &choices);
            }
        }
        found
    }
}

fn parts<'a>(members: &'a Map<String, Value>, name: &str) -> impl Iterator<Item = &'a Value> {
    members
        .get(name)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

/// The alternatives that match one of these and one of those.
fn cross<'a>(these: &[Alternative<'a>], those: &[Alternative<'a>]) -> Vec<Alternative<'a>> {
    these
        .iter()
        .flat_map(|one| those.iter().map(move |other| one.and(other)))
        .filter(|both| !both.kinds.is_empty())
        .collect()
}

impl<'a> Alternative<'a> {
    fn anything() -> Self {
        Self {
            kinds: Kinds::ANY,
            texts: None,
            members: BTreeMap::new(),
            required: BTreeSet::new(),
            others: Vec::new(),
            elements: Vec::new(),
        }
    }

    /// The schema's own constraints, without references and combinations.
    fn of(schema: &'a Map<String, Value>) -> Self {
        let mut this = Self::anything();
        let named = |name: &Value| name.as_str().and_then(Kinds::named);
        let kinds = match schema.get("type") {
            Some(Value::Array(names)) => {
                Some(names.iter().filter_map(named).fold(Kinds::NONE, Kinds::or))
            }
            Some(name) => named(name),
            None if schema.contains_key("properties") => Some(Kinds::OBJECT),
            None => None,
        };
        this.kinds = kinds.unwrap_or(Kinds::ANY);
        let values = match (schema.get("enum"), schema.get("const")) {
            (Some(Value::Array(values)), _) => Some(values.iter().collect::<Vec<_>>()),
            (_, Some(value)) => Some(vec![value]),
            _ => None,
        };
        if let Some(values) = values {
            let kinds = values.iter().map(|value| kind_of(value));
            this.kinds = this.kinds.and(kinds.fold(Kinds::NONE, Kinds::or));
            this.texts = Some(values.into_iter().filter_map(Value::as_str).collect());
        }
        if let Some(Value::Object(members)) = schema.get("properties") {
            this.members = members
                .iter()
                .map(|(name, schema)| (name.as_str(), vec![schema]))
                .collect();
        }
        this.required = parts(schema, "required")
            .filter_map(Value::as_str)
            .collect();
        this.others = match schema.get("additionalProperties") {
            None | Some(Value::Bool(false)) => Vec::new(),
            Some(others) => vec![others],
        };
        this.elements = schema.get("items").into_iter().collect();
        this
    }

    fn and(&self, other: &Self) -> Self {
        let mut both = self.clone();
        both.kinds = self.kinds.and(other.kinds);
        both.texts = match (&self.texts, &other.texts) {
            (Some(these), Some(those)) => Some(these & those),
            (these, those) => these.clone().or_else(|| those.clone()),
        };
        for (name, schemas) in &other.members {
            both.members.entry(name).or_default().extend(schemas);
        }
        both.required.extend(&other.required);
        both.others.extend(&other.others);
        both.elements.extend(&other.elements);
        both
    }

    fn is_unconstrained(&self) -> bool {
        self.kinds == Kinds::ANY && self.members.is_empty()
    }
}

fn kind_of(value: &Value) -> Kinds {
    let name = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "fraction",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    Kinds::named(name).unwrap_or(Kinds::ANY)
}

impl<'a> SchemaNode<'a> {
    fn step(&self, step: PathStep<'_>) -> Self {
        let mut next = SchemaNode {
            document: self.document,
            alternatives: Vec::new(),
            optional: false,
        };
        for alternative in &self.alternatives {
            let found = match step {
                PathStep::Tagged(tag) => self
                    .is_tagged(alternative, tag)
                    .then(|| vec![alternative.clone()]),
                PathStep::Elements if !alternative.kinds.has(Kinds::ARRAY) => None,
                PathStep::Elements => Some(self.document.expand(&alternative.elements, 0)),
                PathStep::Member(_) if !alternative.kinds.has(Kinds::OBJECT) => None,
                PathStep::Member(name) => {
                    next.optional |= !alternative.required.contains(name);
                    match alternative.members.get(name) {
                        Some(schemas) => Some(self.document.expand(schemas, 0)),
                        None if alternative.is_unconstrained()
                            || !alternative.others.is_empty() =>
                        {
                            Some(self.document.expand(&alternative.others, 0))
                        }
                        None => None,
                    }
                }
            };
            next.alternatives.extend(found.into_iter().flatten());
        }
        next
    }

    fn is_tagged(&self, alternative: &Alternative<'_>, tag: &str) -> bool {
        let Some(schemas) = alternative.members.get("type") else {
            return false;
        };
        let kinds = self.document.expand(schemas, 0);
        kinds
            .iter()
            .any(|kind| kind.texts.as_ref().is_some_and(|texts| texts.contains(tag)))
    }

    /// The shape of the values at this node.
    pub(super) fn shape(&self) -> ValueShape {
        let mut shape = ValueShape {
            kinds: Kinds::NONE,
            optional: self.optional,
            texts: BTreeSet::new(),
            optional_texts: BTreeSet::new(),
            open: false,
        };
        for alternative in &self.alternatives {
            shape.kinds = shape.kinds.or(alternative.kinds);
            if alternative.kinds.has(Kinds::STRING) {
                match &alternative.texts {
                    Some(texts) => shape
                        .texts
                        .extend(texts.iter().map(|text| (*text).to_owned())),
                    None => shape.open = true,
                }
            }
        }
        shape
    }

    /// The members that an object at this node requires besides these, by the alternative that requires the fewest.
    pub(super) fn requires_besides(&self, sent: &BTreeSet<&str>) -> BTreeSet<&'a str> {
        let objects = self
            .alternatives
            .iter()
            .filter(|alternative| alternative.kinds.has(Kinds::OBJECT));
        let required = objects.map(|alternative| {
            let besides = alternative.required.iter();
            let besides = besides.filter(|name| !sent.contains(**name));
            besides.copied().collect::<BTreeSet<_>>()
        });
        required.min_by_key(BTreeSet::len).unwrap_or_default()
    }

    /// Whether the values are of several kinds of objects.
    pub(super) fn is_union(&self) -> bool {
        let has_members = |alternative: &&Alternative<'_>| !alternative.members.is_empty();
        self.alternatives.iter().filter(has_members).count() > 1
    }

    /// The members that an object at this node may have.
    pub(super) fn members(&self) -> BTreeSet<&'a str> {
        let members = self.alternatives.iter().map(|found| found.members.keys());
        members.flatten().copied().collect()
    }
}

/// A part of a path.
#[derive(Clone, Copy, Debug)]
enum PathStep<'p> {
    Member(&'p str),
    Elements,
    Tagged(&'p str),
}

fn steps(path: &str) -> Vec<PathStep<'_>> {
    let mut steps = Vec::new();
    for segment in path.split('.').filter(|segment| !segment.is_empty()) {
        let end = segment.find(['[', '<']).unwrap_or(segment.len());
        let (name, mut rest) = segment.split_at(end);
        if !name.is_empty() {
            steps.push(PathStep::Member(name));
        }
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix("[]") {
                steps.push(PathStep::Elements);
                rest = after;
            } else if let Some((tag, after)) =
                rest.strip_prefix('<').and_then(|rest| rest.split_once('>'))
            {
                steps.push(PathStep::Tagged(tag));
                rest = after;
            } else {
                break;
            }
        }
    }
    steps
}
