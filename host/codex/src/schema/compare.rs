//! What an installed Codex's schema says of what we use, against what we need. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::document::Document;
use super::shape::Shape;
use super::used::{Described, Direction, Side, Tested, Use, Used};

/// How something differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// The tested Codex does not have it. It passes.
    Added,
    /// It is not there.
    Missing,
    /// It is something else.
    Retyped,
    /// Codex demands it, and we do not send it.
    Required,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// How it differs.
    pub change: Change,
    /// `params sandbox`, `result thread.id`; empty: the method itself.
    pub field: String,
    /// In words, where the kind and the field do not say it all.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// What was found out about a method or notification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// `thread/start`
    pub name: String,
    /// Whether the schema lists it. Of one that it never lists only the fields are known.
    pub listed: bool,
    /// What differs. Empty: it is as it was tested.
    pub differences: Vec<Difference>,
}

/// What was found out about a Codex.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// The version that it is compared with: `0.169.0`.
    pub tested: String,
    /// Each method and notification that we use.
    pub methods: Vec<Checked>,
}

impl Change {
    /// Whether we cannot do with it.
    pub fn is_fault(self) -> bool {
        self != Self::Added
    }

    /// `added`, `missing`, …
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
    /// What keeps us from using this Codex, each in words. Empty: nothing.
    pub fn faults(&self) -> Vec<String> {
        let faults = self.methods.iter().flat_map(|method| {
            let differences = method.differences.iter();
            let faults = differences.filter(|difference| difference.change.is_fault());
            faults.map(|fault| format!("{} {fault}", method.name))
        });
        faults.collect()
    }

    /// Differences that do no harm.
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

/// Compares all that we use.
pub(super) fn compare(document: &Document, used: &Used, tested: &Tested) -> Comparison {
    let uses = used.uses();
    let methods = uses.iter().map(|used| {
        let nothing = BTreeMap::new();
        let tested = tested.methods.get(used.name).unwrap_or(&nothing);
        let (listed, differences) = check(document, used, tested);
        Checked {
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

fn schema<'d>(document: &'d Document, used: &Use<'_>, side: &Side<'_>) -> Option<&'d Value> {
    match side.kind {
        Some(kind) => document.definition(kind),
        None => used.method(document)??.params,
    }
}

/// Members of the objects that we know which we do not use.
fn besides(document: &Document, schema: &Value, side: &Side<'_>) -> Vec<String> {
    let mut besides = BTreeSet::new();
    for object in objects(side) {
        let Ok(place) = document.walk(schema, object) else {
            continue;
        };
        // Of a union all members of all its kinds would come.
        if place.is_union() && !object.ends_with('>') {
            continue;
        }
        for member in place.members() {
            let path = join(object, member);
            let is_used = side
                .fields
                .keys()
                .any(|used| below(used, &path) || used == &path);
            if !is_used && (member != "type" || !object.ends_with('>')) {
                besides.insert(path);
            }
        }
    }
    besides.into_iter().collect()
}

/// Whether one path leads through another.
fn below(path: &str, above: &str) -> bool {
    path.strip_prefix(above)
        .is_some_and(|rest| rest.starts_with(['.', '[', '<']))
}

/// The objects that hold the fields.
fn objects<'u>(side: &Side<'u>) -> BTreeSet<&'u str> {
    let parents = side.fields.keys().map(|path| parent(path).0);
    let mut objects: BTreeSet<&str> = parents.collect();
    // Of a union we use only what is tagged.
    if !objects.iter().any(|object| object.starts_with('<')) {
        objects.insert("");
    }
    objects
}

/// A path's object and the member's name. That of elements is the empty name.
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
    used: &Use<'_>,
    tested: &BTreeMap<String, Described>,
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
    if method.is_some_and(|method| method.wants_params) && !sends_params {
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
            // Of what is never listed nothing more can be said.
            (None, Some(_)) if !listed => {}
            (None, kind) => {
                let detail = kind.map(|kind| format!("(no type {kind})"));
                differences.push(missing(side.name, detail.unwrap_or_default()));
            }
        }
    }
    (listed, differences)
}

fn check_side(
    document: &Document,
    schema: &Value,
    side: &Side<'_>,
    tested: Option<&Described>,
) -> Vec<Difference> {
    let mut differences = Vec::new();
    let mut differs = |change, path: &str, detail: String| {
        differences.push(Difference {
            change,
            field: format!("{} {path}", side.name).trim_end().to_owned(),
            detail,
        });
    };
    for (path, ours) in side.fields {
        let Some(ours) = Shape::parse(ours) else {
            continue;
        };
        let theirs = match document.walk(schema, path) {
            Ok(place) => place.shape(),
            Err(walked) => {
                let detail = (walked != *path).then(|| format!("(there is no {walked})"));
                differs(Change::Missing, path, detail.unwrap_or_default());
                continue;
            }
        };
        let misfit = match side.direction {
            Direction::Read => theirs.unreadable_as(&ours),
            Direction::Sent => theirs.refused_as(&ours),
        };
        if let Some(misfit) = misfit {
            differs(Change::Retyped, path, format!("({misfit})"));
            continue;
        }
        for text in theirs.lacks(&ours) {
            differs(
                Change::Missing,
                &format!("{path} \"{text}\""),
                String::new(),
            );
        }
        let before = tested.and_then(|tested| tested.fields.get(path));
        let before = before.and_then(|before| Shape::parse(before));
        for text in before
            .iter()
            .flat_map(|before| theirs.texts.difference(&before.texts))
        {
            differs(Change::Added, &format!("{path} \"{text}\""), String::new());
        }
    }
    if side.direction == Direction::Sent {
        for object in objects(side) {
            let sent = side.fields.iter().filter_map(|(path, shape)| {
                let always = Shape::parse(shape).is_some_and(|shape| !shape.optional);
                let (above, member) = parent(path);
                (above == object && always).then_some(member)
            });
            let mut sent: BTreeSet<&str> = sent.collect();
            if object.ends_with('>') {
                sent.insert("type");
            }
            let Ok(place) = document.walk(schema, object) else {
                continue;
            };
            for member in place.requires_besides(&sent) {
                differs(Change::Required, &join(object, member), String::new());
            }
        }
    }
    if let Some(tested) = tested {
        for path in besides(document, schema, side) {
            if !tested.besides.contains(&path) {
                differs(Change::Added, &path, String::new());
            }
        }
    }
    differences
}

#[cfg(test)]
/// What this Codex says of all that we use: the table of what is tested, where it is the tested one.
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
fn described(document: &Document, schema: &Value, side: &Side<'_>) -> Described {
    let shape = |path: &String| {
        let place = document.walk(schema, path).ok()?;
        Some((path.clone(), place.shape().to_string()))
    };
    Described {
        fields: side.fields.keys().filter_map(shape).collect(),
        besides: besides(document, schema, side),
    }
}
