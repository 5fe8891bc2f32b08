//! Compares the schema of an installed Codex with what the gateway uses. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::document::Document;
use super::shape::ValueShape;
use super::used::{DescribedSide, Direction, MessageSide, MethodUse, Tested, Used};

/// The kind of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// The tested Codex does not have the member, which does not make a Codex incompatible.
    Added,
    /// Codex does not have the member.
    Missing,
    /// The member has another type.
    Retyped,
    /// Codex requires it, and the gateway does not send it.
    Required,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The kind of difference.
    pub change: Change,
    /// The field: `params sandbox`, `result thread.id`. Empty: the method itself.
    pub field: String,
    /// Details for people, if there are any.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// The comparison of one method or notification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MethodComparison {
    /// The name: `thread/start`.
    pub name: String,
    /// Whether the schema lists it. Of a message that it never lists, only the fields are known.
    pub listed: bool,
    /// The differences. Empty: it is as in the tested Codex.
    pub differences: Vec<Difference>,
}

/// The comparison of a whole protocol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// The version of the tested Codex: `0.169.0`.
    pub tested: String,
    /// Each method and notification that the gateway uses.
    pub methods: Vec<MethodComparison>,
}

impl Change {
    /// Whether the change makes a Codex incompatible.
    pub fn is_fault(self) -> bool {
        self != Self::Added
    }

    /// The name of the kind: `added`, `missing`, ….
    pub fn word(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Missing => "missing",
            Self::Retyped => "retyped",
            Self::Required => "required",
        }
    }
}

impl Comparison {
    /// The differences that make this Codex incompatible, for people. Empty: it is compatible.
    pub fn faults(&self) -> Vec<String> {
        let faults = self.methods.iter().flat_map(|method| {
            let differences = method.differences.iter();
            let faults = differences.filter(|difference| difference.change.is_fault());
            faults.map(|fault| format!("{} {fault}", method.name))
        });
        faults.collect()
    }

    /// The number of differences that do not make this Codex incompatible.
    pub fn additions(&self) -> usize {
        let differences = self.methods.iter().flat_map(|method| &method.differences);
        differences
            .filter(|difference| !difference.change.is_fault())
            .count()
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            change,
            field,
            detail,
        } = self;
        let parts = [field.as_str(), change.word(), detail.as_str()];
        let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        f.write_str(&parts.join(" "))
    }
}

/// Compares everything that the gateway uses.
pub(super) fn compare(document: &Document, used: &Used, tested: &Tested) -> Comparison {
    let uses = used.uses();
    let methods = uses.iter().map(|used| {
        let nothing = BTreeMap::new();
        let tested = tested.methods.get(used.name).unwrap_or(&nothing);
        let (listed, differences) = check(document, used, tested);
        MethodComparison {
            name: used.name.to_owned(),
            listed,
            differences,
        }
    });
    Comparison {
        tested: tested.codex.clone(),
        methods: methods.collect(),
    }
}

fn schema<'d>(
    document: &'d Document,
    used: &MethodUse<'_>,
    side: &MessageSide<'_>,
) -> Option<&'d Value> {
    match side.kind {
        Some(kind) => document.definition(kind),
        None => used.method(document)??.params,
    }
}

/// The members that the gateway does not use, of the objects that it uses.
fn unused_members(document: &Document, schema: &Value, side: &MessageSide<'_>) -> Vec<String> {
    let mut unused = BTreeSet::new();
    for object in objects(side) {
        let Ok(node) = document.walk(schema, object) else {
            continue;
        };
        // For a union, this would list the members of all its kinds.
        if node.is_union() && !object.ends_with('>') {
            continue;
        }
        for member in node.members() {
            let path = join(object, member);
            let is_used = side
                .fields
                .keys()
                .any(|used| below(used, &path) || used == &path);
            if !is_used && (member != "type" || !object.ends_with('>')) {
                unused.insert(path);
            }
        }
    }
    unused.into_iter().collect()
}

/// Whether a path is below another.
fn below(path: &str, above: &str) -> bool {
    path.strip_prefix(above)
        .is_some_and(|rest| rest.starts_with(['.', '[', '<']))
}

/// The objects that have the fields.
fn objects<'u>(side: &MessageSide<'u>) -> BTreeSet<&'u str> {
    let parents = side.fields.keys().map(|path| parent(path).0);
    let mut objects: BTreeSet<&str> = parents.collect();
    // Of a union, the gateway uses only the tagged kinds.
    if !objects.iter().any(|object| object.starts_with('<')) {
        objects.insert("");
    }
    objects
}

/// The object of a path, and the member's name, which is empty for elements.
fn parent(path: &str) -> (&str, &str) {
    match path.rfind(['.', ']', '>']) {
        Some(at) if path.as_bytes().get(at) == Some(&b'.') => {
            (&path[..at], path.get(at + 1..).unwrap_or_default())
        }
        Some(_) => (path, ""),
        None => ("", path),
    }
}

fn join(object: &str, member: &str) -> String {
    match object {
        "" => member.to_owned(),
        _ => format!("{object}.{member}"),
    }
}

fn check(
    document: &Document,
    used: &MethodUse<'_>,
    tested: &BTreeMap<String, DescribedSide>,
) -> (bool, Vec<Difference>) {
    let missing = |field: &str, detail: String| Difference {
        change: Change::Missing,
        field: field.to_owned(),
        detail,
    };
    let method = match used.method(document) {
        Some(None) => return (true, vec![missing("", String::new())]),
        Some(Some(method)) => Some(method),
        None => None,
    };
    let listed = method.is_some();
    let mut differences = Vec::new();
    let sends_params = used.sides.iter().any(|side| side.name == "params");
    if method.is_some_and(|method| method.needs_params) && !sends_params {
        differences.push(Difference {
            change: Change::Required,
            field: "params".to_owned(),
            detail: String::new(),
        });
    }
    for side in &used.sides {
        match (schema(document, used, side), side.kind) {
            (Some(schema), _) => {
                let tested = tested.get(side.name);
                differences.extend(check_side(document, schema, side, tested));
            }
            // Nothing more is known of messages that are never listed.
            (None, Some(_)) if !listed => {}
            (None, kind) => {
                let detail = kind.map(|kind| format!("(no type {kind})"));
                differences.push(missing(side.name, detail.unwrap_or_default()));
            }
        }
    }
    (listed, differences)
}

/// Compares one side of a method: its fields, the members that Codex requires, and new members.
fn check_side(
    document: &Document,
    schema: &Value,
    side: &MessageSide<'_>,
    tested: Option<&DescribedSide>,
) -> Vec<Difference> {
    let mut differences = Vec::new();
    for (path, ours) in side.fields {
        let Some(ours) = ValueShape::parse(ours) else {
            continue;
        };
        let before = tested.and_then(|tested| tested.fields.get(path));
        let before = before.and_then(|before| ValueShape::parse(before));
        differences.extend(check_field(
            document,
            schema,
            side,
            path,
            &ours,
            before.as_ref(),
        ));
    }
    if side.direction == Direction::Sent {
        differences.extend(demanded(document, schema, side));
    }
    if let Some(tested) = tested {
        let unused = unused_members(document, schema, side).into_iter();
        let new = unused.filter(|path| !tested.unused.contains(path));
        differences.extend(new.map(|path| side.differs(Change::Added, &path, String::new())));
    }
    differences
}

/// Compares one field with the gateway's use of it, and its texts with those of the tested Codex.
fn check_field(
    document: &Document,
    schema: &Value,
    side: &MessageSide<'_>,
    path: &str,
    ours: &ValueShape,
    before: Option<&ValueShape>,
) -> Vec<Difference> {
    let theirs = match document.walk(schema, path) {
        Ok(node) => node.shape(),
        Err(walked) => {
            let detail = (walked != path).then(|| format!("(there is no {walked})"));
            return vec![side.differs(Change::Missing, path, detail.unwrap_or_default())];
        }
    };
    let mismatch = match side.direction {
        Direction::Read => theirs.unreadable_as(ours),
        Direction::Sent => theirs.refused_as(ours),
    };
    if let Some(mismatch) = mismatch {
        return vec![side.differs(Change::Retyped, path, format!("({mismatch})"))];
    }
    let text =
        |change, text: &str| side.differs(change, &format!("{path} \"{text}\""), String::new());
    let missing = theirs.lacks(ours).map(|it| text(Change::Missing, it));
    let before = before.into_iter();
    let added = before.flat_map(|before| theirs.texts.difference(&before.texts));
    let added = added.map(|it| text(Change::Added, it));
    missing.chain(added).collect()
}

/// The members that Codex requires and the gateway does not send.
fn demanded(document: &Document, schema: &Value, side: &MessageSide<'_>) -> Vec<Difference> {
    let mut differences = Vec::new();
    for object in objects(side) {
        let sent = side.fields.iter().filter_map(|(path, shape)| {
            let always = ValueShape::parse(shape).is_some_and(|shape| !shape.optional);
            let (above, member) = parent(path);
            (above == object && always).then_some(member)
        });
        let mut sent: BTreeSet<&str> = sent.collect();
        if object.ends_with('>') {
            sent.insert("type");
        }
        let Ok(node) = document.walk(schema, object) else {
            continue;
        };
        let required = node.requires_besides(&sent).into_iter();
        differences
            .extend(required.map(|member| {
                side.differs(Change::Required, &join(object, member), String::new())
            }));
    }
    differences
}

impl MessageSide<'_> {
    fn differs(&self, change: Change, path: &str, detail: String) -> Difference {
        Difference {
            change,
            field: format!("{} {path}", self.name).trim_end().to_owned(),
            detail,
        }
    }
}

#[cfg(test)]
/// The description by this Codex of everything that the gateway uses. For the tested Codex, this is the table `tested.json`.
pub(super) fn describe(document: &Document, used: &Used, codex: &str) -> Tested {
    let uses = used.uses();
    let methods = uses.iter().map(|used| {
        let sides = used.sides.iter().filter_map(|side| {
            let schema = schema(document, used, side)?;
            Some((side.name.to_owned(), described(document, schema, side)))
        });
        (used.name.to_owned(), sides.collect())
    });
    Tested {
        codex: codex.to_owned(),
        methods: methods.collect(),
    }
}

#[cfg(test)]
fn described(document: &Document, schema: &Value, side: &MessageSide<'_>) -> DescribedSide {
    let shape = |path: &String| {
        let node = document.walk(schema, path).ok()?;
        Some((path.clone(), node.shape().to_string()))
    };
    DescribedSide {
        fields: side.fields.keys().filter_map(shape).collect(),
        unused: unused_members(document, schema, side),
    }
}
