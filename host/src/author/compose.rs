//! Parts that export some of the world's interfaces, completed with the rest from a whole policy.

use std::collections::{BTreeMap, HashSet};

use wac_graph::types::{ItemKind, Package, SubtypeChecker, Types};
use wac_graph::{CompositionGraph, EncodeOptions, NodeId, PackageId};

use super::component::{ComponentError, component, line};

/// The package whose interfaces policies export.
const PACKAGE: &str = "airlock:policy/";

/// Its versions, and the interfaces of a whole policy of each, in the order in which people are told of them.
const VERSIONS: [(&str, &[&str]); 2] = [
    ("0.1.0", &["admit", "prompt", "translate", "synthesize"]),
    (
        "0.2.0",
        &["manifest", "admit", "prompt", "translate", "synthesize"],
    ),
];

/// A file that takes part in a composition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part<'a> {
    /// What messages call it: the file's name.
    pub(crate) name: &'a str,
    /// A component, or a core module with the component-type section.
    pub(crate) bytes: &'a [u8],
}

/// A whole policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Composed {
    /// The component.
    pub(crate) bytes: Vec<u8>,
    /// Each of its interfaces, and the name of the part that it comes from.
    pub(crate) origins: Vec<(&'static str, String)>,
}

/// Why parts make no policy.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ComposeError {
    /// A file that holds neither a component nor a module for one.
    #[error("cannot use {part}: {error}")]
    Part {
        /// Whose bytes.
        part: String,
        /// What is wrong with them.
        error: ComponentError,
    },
    /// A component that does not hold together.
    #[error("cannot use {part}: it is not a valid component: {detail}")]
    Invalid {
        /// Whose component.
        part: String,
        /// What the validator says.
        detail: String,
    },
    /// A component for something else.
    #[error("{part} exports no interface of airlock:policy, so it is no part of a policy")]
    Nothing {
        /// Whose component.
        part: String,
    },
    /// An interface that no version of the world has.
    #[error("{part} exports {export}, which this airlock does not know")]
    Unknown {
        /// Whose component.
        part: String,
        /// The export.
        export: String,
    },
    /// Two versions of the world.
    #[error(
        "{part} speaks airlock:policy@{version}, but {other} speaks @{other_version}: a policy speaks one version"
    )]
    Mixed {
        /// One of them.
        part: String,
        /// What it speaks.
        version: &'static str,
        /// The other.
        other: String,
        /// What that speaks.
        other_version: &'static str,
    },
    /// A part older or newer than the base.
    #[error(
        "{part} speaks airlock:policy@{version}, but {base}, which it would be completed from, speaks @{base_version}: name a policy of its version with --onto"
    )]
    OtherBase {
        /// The part.
        part: String,
        /// What it speaks.
        version: &'static str,
        /// The base.
        base: String,
        /// What that speaks.
        base_version: &'static str,
    },
    /// One interface twice.
    #[error("both {first} and {second} export {interface}: leave one of them out")]
    Twice {
        /// The interface.
        interface: &'static str,
        /// One of them.
        first: String,
        /// The other.
        second: String,
    },
    /// An interface that nobody has.
    #[error("nobody exports {interface}: no part does, nor does {base}")]
    Missing {
        /// The interface.
        interface: &'static str,
        /// The base.
        base: String,
    },
    /// An interface that is not the one of its name.
    #[error("{part} exports {interface}, but not as the world has it: {detail}")]
    Differs {
        /// Whose component.
        part: String,
        /// The interface.
        interface: &'static str,
        /// What differs.
        detail: String,
    },
    /// The parts do not go together.
    #[error("the parts cannot be put together: {0}")]
    Graph(String),
}

/// A part in the graph.
struct Piece<'a> {
    name: &'a str,
    package: PackageId,
    /// What it speaks, as an index into `VERSIONS`.
    version: usize,
    /// The interfaces of the world that it exports, with their types.
    exports: BTreeMap<&'static str, ItemKind>,
}

/// Makes a whole policy of parts: each interface from the part that exports it, or else from the base. What parts
/// import, the whole imports. One part that is whole already is given back as it is, or as a component.
///
/// # Errors
/// A part is none, two export the same interface, they speak different versions of the world, or an interface is
/// missing.
pub(crate) fn compose(parts: &[Part<'_>], base: &Part<'_>) -> Result<Composed, ComposeError> {
    let mut graph = CompositionGraph::new();
    let mut pieces = Vec::new();
    for part in parts {
        pieces.push(register(&mut graph, pieces.len(), part)?);
    }
    let version = one_version(&pieces)?;
    let (number, interfaces) = VERSIONS[version];
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
    // A base is a sandbox within the sandbox: it has memory of its own, so it is only there where it is needed.
    let whole = interfaces.iter().all(|it| makers.contains_key(it));
    if whole && let ([part], [piece]) = (parts, pieces.as_slice()) {
        return Ok(Composed {
            bytes: bytes_of(part)?.into_owned(),
            origins: interfaces
                .iter()
                .map(|it| (*it, piece.name.to_owned()))
                .collect(),
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
    let origins = export(&mut graph, number, interfaces, &pieces, &makers)?;
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

/// Adds a part to the graph, and sees which interfaces it exports.
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
    let package = graph
        .register_package(package)
        .map_err(|error| invalid(chain(&error)))?;
    Ok(Piece {
        name: part.name,
        package,
        version,
        exports,
    })
}

/// The version that a component speaks, and what it exports of it.
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
                version: VERSIONS[version].0,
                other: "it".to_owned(),
                other_version: VERSIONS[before].0,
            });
        }
        found.insert(interface, *kind);
    }
    let version = spoken.ok_or_else(|| ComposeError::Nothing {
        part: name.to_owned(),
    })?;
    Ok((version, found))
}

/// Finds `admit@0.2.0` among the versions.
fn known(item: &str) -> Option<(usize, &'static str)> {
    let (interface, version) = item.split_once('@')?;
    let index = VERSIONS.iter().position(|(it, _)| *it == version)?;
    let interface = VERSIONS[index].1.iter().find(|it| **it == interface)?;
    Some((index, interface))
}

fn one_version(pieces: &[Piece<'_>]) -> Result<usize, ComposeError> {
    let Some((first, rest)) = pieces.split_first() else {
        return Err(ComposeError::Graph("there are none".to_owned()));
    };
    match rest.iter().find(|it| it.version != first.version) {
        None => Ok(first.version),
        Some(other) => Err(ComposeError::Mixed {
            part: other.name.to_owned(),
            version: VERSIONS[other.version].0,
            other: first.name.to_owned(),
            other_version: VERSIONS[first.version].0,
        }),
    }
}

/// Whether the base can complete the parts: it speaks their version, has what they lack, and what they replace is what
/// it has.
fn complete(
    graph: &CompositionGraph,
    parts: &[Piece<'_>],
    base: &Piece<'_>,
) -> Result<(), ComposeError> {
    for part in parts {
        if part.version != base.version {
            return Err(ComposeError::OtherBase {
                part: part.name.to_owned(),
                version: VERSIONS[part.version].0,
                base: base.name.to_owned(),
                base_version: VERSIONS[base.version].0,
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
    }
    let lacking = VERSIONS[base.version].1.iter().find(|interface| {
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

/// Whether the functions of an interface can be called as those of another.
fn fits(types: &Types, found: ItemKind, expected: ItemKind) -> Result<(), String> {
    let (ItemKind::Instance(found), ItemKind::Instance(expected)) = (found, expected) else {
        return Err("it is no interface".to_owned());
    };
    let mut seen = HashSet::default();
    let mut checker = SubtypeChecker::new(&mut seen);
    for (name, expected) in &types[expected].exports {
        // Types without a function of theirs may be left out.
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

/// Instantiates whoever makes an interface, and exports it.
fn export(
    graph: &mut CompositionGraph,
    version: &str,
    interfaces: &[&'static str],
    pieces: &[Piece<'_>],
    makers: &BTreeMap<&'static str, usize>,
) -> Result<Vec<(&'static str, String)>, ComposeError> {
    let mut instances: BTreeMap<usize, NodeId> = BTreeMap::new();
    let mut origins = Vec::new();
    for interface in interfaces {
        let Some(index) = makers.get(interface) else {
            continue;
        };
        let piece = &pieces[*index];
        let instance = *instances
            .entry(*index)
            .or_insert_with(|| graph.instantiate(piece.package));
        let name = format!("{PACKAGE}{interface}@{version}");
        let alias = graph
            .alias_instance_export(instance, &name)
            .map_err(|error| ComposeError::Graph(chain(&error)))?;
        graph
            .export(alias, name)
            .map_err(|error| ComposeError::Graph(chain(&error)))?;
        origins.push((*interface, piece.name.to_owned()));
    }
    Ok(origins)
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
