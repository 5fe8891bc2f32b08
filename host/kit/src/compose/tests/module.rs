//! Core modules as wit-bindgen makes them, with functions that trap.

use std::path::Path;

use wit_component::{StringEncoding, decode, embed_component_metadata};

use airlock_policy::EMBEDDED;

/// Folders with WIT, and their versions.
pub(super) type Version = (&'static str, &'static str);
pub(super) const NEWEST: Version = ("../../wit", "0.3.0-draft");
pub(super) const OLDEST: Version = ("../policy/fixtures/wit-0.1", "0.1.0-draft");

/// A function of an interface: its name, and its parameters in the canonical ABI (`i` of 32 bits, `I` of 64). It returns 32
/// bits, or nothing if a `.` follows.
type Function = (&'static str, String);

/// A module that exports these interfaces, with the component-type section.
pub(super) fn module(version: Version, interfaces: &[&str]) -> Vec<u8> {
    wrapper(version, interfaces, &[])
}

/// The same for a module that also imports interfaces, and whose exported functions call nothing.
pub(super) fn wrapper(version: Version, interfaces: &[&str], imports: &[&str]) -> Vec<u8> {
    let (folder, number) = version;
    let imported = imports.iter().flat_map(|interface| {
        let module = format!("airlock:policy/{interface}@{number}");
        // An imported function gets the address of its result, and returns nothing.
        functions(interface, number)
            .into_iter()
            .map(move |(name, parameters)| (module.clone(), name, format!("{parameters}i.")))
    });
    let imported: Vec<_> = imported.collect();
    let functions = interfaces.iter().flat_map(|interface| {
        functions(interface, number)
            .into_iter()
            .map(move |(name, parameters)| {
                (
                    format!("airlock:policy/{interface}@{number}#{name}"),
                    parameters,
                )
            })
    });
    let mut bytes = core(&imported, &functions.collect::<Vec<_>>());
    // An empty set of packages, of a type that only the crate below names.
    let decoded = decode(EMBEDDED).unwrap();
    let mut packages = empty(decoded.resolve());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    packages.push_dir(folder).unwrap();
    let exports = interfaces
        .iter()
        .map(|it| format!("export airlock:policy/{it}@{number};\n"));
    let imports = imports
        .iter()
        .map(|it| format!("import airlock:policy/{it}@{number};\n"));
    let part = format!(
        "package airlock:part;\nworld part {{\n{}}}\n",
        imports.chain(exports).collect::<String>()
    );
    let part = packages.push_source("part.wit", &part).unwrap();
    let world = packages.select_world(&[part], Some("part")).unwrap();
    embed_component_metadata(&mut bytes, &packages, world, StringEncoding::UTF8).unwrap();
    bytes
}

fn empty<T: Default>(_: &T) -> T {
    T::default()
}

/// Replaces a name by one of the same length.
pub(super) fn renamed(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = bytes.to_vec();
    let (from, to) = (from.as_bytes(), to.as_bytes());
    for start in 0..=bytes.len() - from.len() {
        if bytes[start..].starts_with(from) {
            bytes[start..start + to.len()].copy_from_slice(to);
        }
    }
    bytes
}

fn functions(interface: &str, version: &str) -> Vec<Function> {
    let i = |count: usize| "i".repeat(count);
    // An id, a time, a dialect, a model, notes and a seed.
    let context = format!("iiI{}", i(8));
    let load = if version == "0.1.0-draft" {
        "iiiii"
    } else {
        "iiiiiI"
    };
    match interface {
        "manifest" => vec![("describe", String::new())],
        "admit" => vec![("decide", load.to_owned())],
        // A request has more members than an export has parameters, so it is in memory.
        "prompt" => vec![("render", i(1))],
        "translate" => vec![
            ("list-models", i(4)),
            ("show-model", i(1)),
            ("[constructor]reply", context),
            ("[method]reply.feed", i(3)),
            ("[method]reply.keep-alive", i(1)),
            ("[static]reply.finish", i(13)),
        ],
        "relay" => vec![("offer", i(1)), ("relayed", format!("{}.", i(3)))],
        _ => vec![
            ("[constructor]panel", format!("{context}i")),
            ("[method]panel.wake", "iI".to_owned()),
            ("[method]panel.settle", i(1)),
            ("[method]panel.judged", format!("{}I", i(15))),
        ],
    }
}

/// A core module with these imports (module, name, signature), these functions, of which none returns, and a memory.
fn core(imported: &[(String, &str, String)], functions: &[(String, String)]) -> Vec<u8> {
    let mut all = functions.to_vec();
    all.push(("cabi_realloc".to_owned(), "iiii".to_owned()));
    let signatures = imported.iter().map(|(_, _, signature)| signature);
    let signatures = signatures.chain(all.iter().map(|(_, signature)| signature));
    let types = signatures.map(|signature| {
        let results: &[u8] = if signature.ends_with('.') {
            &[0]
        } else {
            &[1, 0x7f]
        };
        let codes = signature.trim_end_matches('.').bytes();
        let codes: Vec<u8> = codes
            .map(|it| if it == b'I' { 0x7e } else { 0x7f })
            .collect();
        [&[0x60], length(codes.len()).as_slice(), &codes, results].concat()
    });
    let types: Vec<_> = types.collect();
    let text = |text: &str| [length(text.len()).as_slice(), text.as_bytes()].concat();
    let first = imported.len();
    let imports = imported.iter().enumerate();
    let imports = imports.map(|(index, (module, name, _))| {
        [text(module), text(name), vec![0], length(index)].concat()
    });
    let imports: Vec<_> = imports.collect();
    let indices: Vec<_> = (first..first + all.len()).map(length).collect();
    let mut exports = vec![b"\x06memory\x02\0".to_vec()];
    for (index, (name, _)) in all.iter().enumerate() {
        exports.push([&text(name), &[0][..], &length(first + index)].concat());
    }
    // Two bytes of code: no locals; unreachable; end.
    let bodies = vec![b"\x03\0\0\x0b".to_vec(); all.len()];
    let sections = [
        section(1, &types),
        section(2, &imports),
        section(3, &indices),
        section(5, &[b"\0\x01".to_vec()]),
        section(7, &exports),
        section(10, &bodies),
    ];
    [b"\0asm\x01\0\0\0".as_slice(), &sections.concat()].concat()
}

fn section(kind: u8, items: &[Vec<u8>]) -> Vec<u8> {
    let content = [length(items.len()), items.concat()].concat();
    [&[kind], length(content.len()).as_slice(), &content].concat()
}

/// An unsigned number in LEB128.
fn length(number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut left = number;
    while left > 0x7f {
        bytes.push(u8::try_from(left & 0x7f).unwrap() | 0x80);
        left >>= 7;
    }
    bytes.push(u8::try_from(left).unwrap());
    bytes
}
