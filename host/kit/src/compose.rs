//! Composes parts, which export some of the world's interfaces, into a policy. The other interfaces come from a base.

mod error; // why parts make no policy

use std::collections::{BTreeMap, HashSet};

use wac_graph::types::{ItemKind, Package, SubtypeChecker, Types};
use wac_graph::{CompositionGraph, EncodeOptions, NodeId, PackageId};

pub(crate) use self::error::ComposeError;
use super::component::{component, line};

/// The package whose interfaces policies export.
const PACKAGE: &str = "airlock:policy/";

/// The versions of the world.
static VERSIONS: [Version; 2] = [
    Version {
        number: "0.1.0-draft",
        interfaces: &["admit", "prompt", "translate", "synthesize"],
        optional: &[],
    },
    Version {
        number: "0.3.0-draft",
        interfaces: &["manifest", "admit", "prompt", "translate", "synthesize"],
        optional: &[("relay", "translate")],
    },
];

/// A version of the world. Interfaces are in the order of messages.
struct Version {
    /// `0.3.0-draft`
    number: &'static str,
    /// The interfaces that a policy must export.
    interfaces: &'static [&'static str],
    /// The optional interfaces, each with the interface whose resource it uses.
    optional: &'static [(&'static str, &'static str)],
}

impl Version {
    /// All interfaces.
    fn all(&self) -> impl Iterator<Item = &'static str> {
        let optional = self.optional.iter().map(|(interface, _)| *interface);
        self.interfaces.iter().copied().chain(optional)
    }

    /// The full name of an interface: `airlock:policy/admit@0.3.0-draft`.
    fn item(&self, interface: &str) -> String {
        format!("{PACKAGE}{interface}@{}", self.number)
    }
}

/// A part of a composition.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// The name in messages: the file's name.
    pub name: &'a str,
    /// A component, or a core module with the component-type section.
    pub bytes: &'a [u8],
}

/// A composed policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Composed {
    /// The component.
    pub bytes: Vec<u8>,
    /// The component's interfaces, each with the name of the part that exports it.
    pub origins: Vec<(&'static str, String)>,
}

/// A part in the graph.
struct Piece<'a> {
    name: &'a str,
    package: PackageId,
    /// The version of the world that it speaks, as an index of `VERSIONS`.
    version: usize,
    /// The interfaces of the world that it exports.
    exports: BTreeMap<&'static str, ItemKind>,
    /// The interfaces of the world that it imports from the base.
    imports: BTreeMap<&'static str, ItemKind>,
}

/// Composes parts into a policy: each interface comes from the part that exports it, else from the base. An optional
/// interface comes from the part with the interface whose resource it uses, or is left out. An interface of the world that a
/// part imports is the base's, so that a part can wrap it; the policy has all other imports of the parts. A single part that
/// exports everything is returned alone, without the base.
///
/// # Errors
/// A part is invalid, two parts export the same interface, parts speak different versions of the world, or an interface is
/// missing.
pub fn compose(parts: &[Part<'_>], base: &Part<'_>) -> Result<Composed, ComposeError> {
    let mut graph = CompositionGraph::new();
    let mut pieces = Vec::new();
    for part in parts {
        pieces.push(register(&mut graph, pieces.len(), part)?);
    }
    let world = &VERSIONS[one_version(&pieces)?];
    let mut makers: BTreeMap<&'static str, usize> = BTreeMap::new();
    for (index, piece) in pieces.iter().enumerate() {
        for interface in piece.exports.keys() {
            if let Some(first) = makers.insert(interface, index) {
                return Err(ComposeError::Twice {
                    interface,
                    first: pieces[first].name.to_owned(),
                    second: piece.name.to_owned(),
                });
            }
        }
    }
    // The base has a memory of its own, so it is left out if it is not needed.
    let whole = world.interfaces.iter().all(|it| makers.contains_key(it))
        && pieces.iter().all(|piece| piece.imports.is_empty());
    if whole && let ([part], [piece]) = (parts, pieces.as_slice()) {
        let exports = world.all().filter(|it| makers.contains_key(it));
        return Ok(Composed {
            bytes: bytes_of(part)?.into_owned(),
            origins: exports.map(|it| (it, piece.name.to_owned())).collect(),
        });
    }
    if !whole {
        let base = register(&mut graph, pieces.len(), base)?;
        complete(&graph, &pieces, &base)?;
        for interface in base.exports.keys() {
            makers.entry(interface).or_insert(pieces.len());
        }
        pieces.push(base);
    }
    for (interface, of) in world.optional {
        // An optional interface of the base cannot use the resource of another part.
        if makers.get(interface) != makers.get(of) {
            makers.remove(interface);
        }
    }
    let origins = export(&mut graph, world, &pieces, &makers)?;
    let bytes = graph
        .encode(EncodeOptions::default())
        .map_err(|error| ComposeError::Graph(chain(&error)))?;
    Ok(Composed { bytes, origins })
}

fn bytes_of<'a>(part: &Part<'a>) -> Result<std::borrow::Cow<'a, [u8]>, ComposeError> {
    component(part.bytes).map_err(|error| ComposeError::Part {
        part: part.name.to_owned(),
        error,
    })
}

/// Adds a part to the graph, and finds its interfaces.
fn register<'a>(
    graph: &mut CompositionGraph,
    index: usize,
    part: &Part<'a>,
) -> Result<Piece<'a>, ComposeError> {
    let invalid = |detail: String| ComposeError::Invalid {
        part: part.name.to_owned(),
        detail,
    };
    let bytes = bytes_of(part)?;
    let key = format!("policy:part{index}");
    let package = Package::from_bytes(&key, None, bytes, graph.types_mut())
        .map_err(|error| invalid(line(format_args!("{error:#}"))))?;
    let (version, exports) = exports(part.name, graph.types(), &package)?;
    let imports = imports(graph.types(), &package, version);
    let package = graph
        .register_package(package)
        .map_err(|error| invalid(chain(&error)))?;
    Ok(Piece {
        name: part.name,
        package,
        version,
        exports,
        imports,
    })
}

/// The interfaces of this version that a component imports, without `types`.
fn imports(types: &Types, package: &Package, version: usize) -> BTreeMap<&'static str, ItemKind> {
    let imports = types[package.ty()].imports.iter();
    let of_the_world = imports.filter_map(|(import, kind)| {
        let (of, interface) = known(import.strip_prefix(PACKAGE)?)?;
        (of == version).then_some((interface, *kind))
    });
    of_the_world.collect()
}

/// The version that a component speaks, and the interfaces of it that it exports.
fn exports(
    name: &str,
    types: &Types,
    package: &Package,
) -> Result<(usize, BTreeMap<&'static str, ItemKind>), ComposeError> {
    let mut spoken = None;
    let mut found = BTreeMap::new();
    for (export, kind) in &types[package.ty()].exports {
        let Some(item) = export.strip_prefix(PACKAGE) else {
            continue;
        };
        let Some((version, interface)) = known(item) else {
            return Err(ComposeError::Unknown {
                part: name.to_owned(),
                export: export.clone(),
            });
        };
        let before = *spoken.get_or_insert(version);
        if before != version {
            return Err(ComposeError::Mixed {
                part: name.to_owned(),
                version: VERSIONS[version].number,
                other: "it".to_owned(),
                other_version: VERSIONS[before].number,
            });
        }
        found.insert(interface, *kind);
    }
    let version = spoken.ok_or_else(|| ComposeError::Nothing {
        part: name.to_owned(),
    })?;
    let mut optional = VERSIONS[version].optional.iter();
    let alone = optional.find(|(it, of)| found.contains_key(it) && !found.contains_key(of));
    match alone {
        None => Ok((version, found)),
        Some(&(interface, of)) => Err(ComposeError::Alone {
            part: name.to_owned(),
            interface,
            of,
        }),
    }
}

/// Finds `admit@0.3.0-draft` among the versions.
fn known(item: &str) -> Option<(usize, &'static str)> {
    let (interface, version) = item.split_once('@')?;
    let index = VERSIONS.iter().position(|it| it.number == version)?;
    let interface = VERSIONS[index].all().find(|it| *it == interface)?;
    Some((index, interface))
}

fn one_version(pieces: &[Piece<'_>]) -> Result<usize, ComposeError> {
    let Some((first, rest)) = pieces.split_first() else {
        return Err(ComposeError::Graph("there are no parts".to_owned()));
    };
    match rest.iter().find(|it| it.version != first.version) {
        None => Ok(first.version),
        Some(other) => Err(ComposeError::Mixed {
            part: other.name.to_owned(),
            version: VERSIONS[other.version].number,
            other: first.name.to_owned(),
            other_version: VERSIONS[first.version].number,
        }),
    }
}

/// Checks that the base can complete the parts: it speaks their version, exports what they lack and import, and their
/// interfaces have the types of its own.
fn complete(
    graph: &CompositionGraph,
    parts: &[Piece<'_>],
    base: &Piece<'_>,
) -> Result<(), ComposeError> {
    for part in parts {
        if part.version != base.version {
            return Err(ComposeError::OtherBase {
                part: part.name.to_owned(),
                version: VERSIONS[part.version].number,
                base: base.name.to_owned(),
                base_version: VERSIONS[base.version].number,
            });
        }
        for (interface, found) in &part.exports {
            let Some(expected) = base.exports.get(interface) else {
                continue;
            };
            fits(graph.types(), *found, *expected).map_err(|detail| ComposeError::Differs {
                part: part.name.to_owned(),
                interface,
                detail,
            })?;
        }
        for (interface, expected) in &part.imports {
            let found = base.exports.get(interface).ok_or(ComposeError::Missing {
                interface,
                base: base.name.to_owned(),
            })?;
            fits(graph.types(), *found, *expected).map_err(|detail| ComposeError::Wraps {
                part: part.name.to_owned(),
                interface,
                base: base.name.to_owned(),
                detail,
            })?;
        }
    }
    let lacking = VERSIONS[base.version].interfaces.iter().find(|interface| {
        let mut all = parts.iter().chain([base]);
        !all.any(|it| it.exports.contains_key(*interface))
    });
    match lacking {
        None => Ok(()),
        Some(interface) => Err(ComposeError::Missing {
            interface,
            base: base.name.to_owned(),
        }),
    }
}

/// Checks that the functions of an interface can be called as those of another.
fn fits(types: &Types, found: ItemKind, expected: ItemKind) -> Result<(), String> {
    let (ItemKind::Instance(found), ItemKind::Instance(expected)) = (found, expected) else {
        return Err("it is not an interface".to_owned());
    };
    let mut seen = HashSet::default();
    let mut checker = SubtypeChecker::new(&mut seen);
    for (name, expected) in &types[expected].exports {
        // Types that no function uses may be missing.
        if !matches!(expected, ItemKind::Func(_)) {
            continue;
        }
        let Some(found) = types[found].exports.get(name) else {
            return Err(format!("`{name}` is missing"));
        };
        checker
            .is_subtype(*found, types, *expected, types)
            .map_err(|error| line(format_args!("`{name}` differs: {error:#}")))?;
    }
    Ok(())
}

/// Instantiates the part of each interface, and exports the interface. Returns the origins.
fn export(
    graph: &mut CompositionGraph,
    world: &Version,
    pieces: &[Piece<'_>],
    makers: &BTreeMap<&'static str, usize>,
) -> Result<Vec<(&'static str, String)>, ComposeError> {
    let mut instances: BTreeMap<usize, NodeId> = BTreeMap::new();
    let mut origins = Vec::new();
    for interface in world.all() {
        let Some(index) = makers.get(interface) else {
            continue;
        };
        let piece = &pieces[*index];
        let instance = instantiate(graph, world, pieces, &mut instances, *index)?;
        let name = world.item(interface);
        let alias = graph
            .alias_instance_export(instance, &name)
            .map_err(|error| ComposeError::Graph(chain(&error)))?;
        graph
            .export(alias, name)
            .map_err(|error| ComposeError::Graph(chain(&error)))?;
        origins.push((interface, piece.name.to_owned()));
    }
    Ok(origins)
}

/// Instantiates a piece once, with the base's interfaces as its imports. The base is the last piece.
fn instantiate(
    graph: &mut CompositionGraph,
    world: &Version,
    pieces: &[Piece<'_>],
    instances: &mut BTreeMap<usize, NodeId>,
    index: usize,
) -> Result<NodeId, ComposeError> {
    if let Some(instance) = instances.get(&index) {
        return Ok(*instance);
    }
    let piece = &pieces[index];
    let instance = graph.instantiate(piece.package);
    instances.insert(index, instance);
    let base = pieces.len() - 1;
    if index == base {
        return Ok(instance);
    }
    let failed = |error: &dyn std::error::Error| ComposeError::Graph(chain(error));
    for interface in piece.imports.keys() {
        let base = instantiate(graph, world, pieces, instances, base)?;
        let name = world.item(interface);
        let alias = graph
            .alias_instance_export(base, &name)
            .map_err(|error| failed(&error))?;
        graph
            .set_instantiation_argument(instance, &name, alias)
            .map_err(|error| failed(&error))?;
    }
    Ok(instance)
}

/// An error with its causes, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    line(format_args!("{text}"))
}

#[cfg(test)]
mod tests;
