//! Checks the documents' claims about the tree against the manifests and the sources.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use toml::Table;

const ARCHITECTURE: &str = include_str!("../docs/architecture.md");

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All files with this extension below these folders, with their path from the root.
fn files(folders: &[&str], extension: &str) -> Vec<(String, String)> {
    let root = root();
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = folders.iter().map(|folder| root.join(folder)).collect();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            if !path.ends_with("node_modules") && !path.ends_with("target") {
                open.extend(fs::read_dir(&path).unwrap().map(|it| it.unwrap().path()));
            }
        } else if path.extension().is_some_and(|it| it == extension) {
            let name = path.strip_prefix(&root).unwrap().display().to_string();
            found.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
    assert!(!found.is_empty(), "no .{extension} below {folders:?}");
    found.sort();
    found
}

/// The crates of the host, by folder, each with the names of all that it depends on outside its tests.
fn manifests() -> BTreeMap<String, BTreeSet<String>> {
    let mut manifests = BTreeMap::new();
    for entry in fs::read_dir(root().join("host")).unwrap() {
        let folder = entry.unwrap().path();
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        let manifest: Table = manifest.parse().unwrap();
        let dependencies = manifest["dependencies"].as_table().unwrap();
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        manifests.insert(name, dependencies.keys().cloned().collect());
    }
    manifests
}

/// The arrows of the diagram in the document: `server ──▶ codex, policy`.
fn arrows(crates: &BTreeSet<String>) -> BTreeMap<String, BTreeSet<String>> {
    let mut arrows = BTreeMap::new();
    for line in ARCHITECTURE.lines() {
        let Some((from, to)) = line
            .strip_prefix("    ")
            .and_then(|it| it.split_once("──▶"))
        else {
            continue;
        };
        let names = |list: &str| -> BTreeSet<String> {
            let words = list.split(|it: char| !it.is_ascii_alphanumeric());
            words
                .filter(|it| crates.contains(*it))
                .map(str::to_owned)
                .collect()
        };
        let (from, mut to) = (names(from), names(to));
        if from.iter().any(|it| it == "airlock") {
            to.clone_from(crates);
        }
        for name in from {
            let all: &mut BTreeSet<String> = arrows.entry(name).or_default();
            all.extend(to.clone());
        }
    }
    arrows
}

#[test]
fn crates_depend_on_one_another_as_the_document_says() {
    let manifests = manifests();
    let crates: BTreeSet<String> = manifests.keys().cloned().collect();
    let arrows = arrows(&crates);
    for (name, dependencies) in &manifests {
        let allowed = arrows.get(name).cloned().unwrap_or_default();
        for dependency in dependencies {
            let Some(dependency) = dependency.strip_prefix("airlock-") else {
                continue;
            };
            let shared = match dependency {
                "base" => true,
                "types" => {
                    !["base", "metrics", "rehearsal", "store", "wire"].contains(&name.as_str())
                }
                _ => false,
            };
            assert!(
                shared || allowed.contains(dependency),
                "host/{name} depends on {dependency}, of which docs/architecture.md has no arrow"
            );
        }
        for to in allowed.iter().filter(|_| name != "airlock") {
            let dependency = format!("airlock-{to}");
            assert!(
                dependencies.contains(&dependency),
                "docs/architecture.md has an arrow from {name} to {to} that host/{name} does not need"
            );
        }
    }
}

#[test]
fn few_crates_see_the_sandbox_or_http() {
    let manifests = manifests();
    for (dependency, allowed) in [
        ("wasmtime", &["policy", "types"][..]),
        ("wasmtime-wasi", &["policy"]),
        ("axum", &["rehearsal", "server"]),
        ("prometheus-client", &["metrics", "server"]),
        ("rusqlite", &["store"]),
        ("clap", &["airlock", "kit"]),
    ] {
        let found = manifests
            .iter()
            .filter(|(_, dependencies)| dependencies.contains(dependency));
        let found: Vec<&str> = found.map(|(name, _)| name.as_str()).collect();
        assert_eq!(found, allowed, "{dependency}");
    }
}

#[test]
fn unsafe_code_is_where_the_manifest_says() {
    let files = files(&["host", "guest", "tests/src"], "rs");
    let found = files
        .iter()
        .filter(|(_, text)| text.contains("    unsafe_code,") || text.contains("(unsafe_code,"));
    let found: Vec<&str> = found.map(|(name, _)| name.as_str()).collect();
    let expected = [
        "guest/majority/src/bindings.rs",
        "guest/majority/src/exports.rs",
        "guest/shipped/src/allocator.rs",
        "guest/shipped/src/bindings.rs",
        "guest/shipped/src/exports.rs",
        "host/airlock/src/allocator.rs",
        "host/policy/src/cache/load.rs",
    ];
    assert_eq!(found, expected);
}

#[test]
fn proc_has_one_reader() {
    let mut found = Vec::new();
    for (name, text) in files(&["host"], "rs") {
        let tests = name.contains("/tests") || name.ends_with("tests.rs");
        if tests || name == "host/base/src/proc.rs" {
            continue;
        }
        let production = text.split("#[cfg(test)]").next().unwrap();
        let code = production
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        for path in code.flat_map(|line| line.split("\"/proc").skip(1)) {
            let path = path.split('"').next().unwrap().to_owned();
            found.push((name.clone(), path));
        }
    }
    let found: Vec<_> = found
        .iter()
        .map(|(name, path)| (&**name, &**path))
        .collect();
    let expected = [
        // The program that runs.
        ("host/codex/src/account/token_source/fetch.rs", "/self/exe"),
        ("host/codex/src/command.rs", "/self/exe"),
        // The file that is open and checked.
        ("host/policy/src/cache/load.rs", "/self/fd/{}"),
        ("host/policy/src/compile.rs", "/self/exe"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn statuses_are_chosen_in_http_alone() {
    for (name, text) in files(&["host/server/src"], "rs") {
        let http = name.starts_with("host/server/src/http");
        assert!(http || !text.contains("StatusCode"), "{name}");
    }
}

#[test]
fn methods_of_codex_are_named_by_codexs_crates_alone() {
    let method = |text: &str| {
        let resources = ["thread", "turn", "account", "model", "config", "item/tool"];
        resources
            .iter()
            .any(|resource| text.contains(&format!("\"{resource}/")))
    };
    for (name, text) in files(
        &["host/server/src", "host/airlock/src", "host/policy/src"],
        "rs",
    ) {
        let production = text.split("#[cfg(test)]").next().unwrap();
        let tests = name.contains("/tests") || name.ends_with("tests.rs");
        assert!(tests || !method(production), "{name}");
    }
}

#[test]
fn the_server_sees_no_settings_of_codex_or_policies() {
    for (name, text) in files(&["host/server/src"], "rs") {
        for settings in ["airlock_codex::config", "airlock_policy::config"] {
            assert!(!text.contains(settings), "{name} names {settings}");
        }
    }
}

#[test]
fn every_test_and_file_that_the_documents_name_exists() {
    let sources = files(&["host", "guest", "tests"], "rs");
    let mut documents = files(&["docs"], "md");
    for name in ["README.md", "CONTRIBUTING.md", "SECURITY.md"] {
        documents.push((
            name.to_owned(),
            fs::read_to_string(root().join(name)).unwrap(),
        ));
    }
    let known: BTreeSet<&str> = sources
        .iter()
        .flat_map(|(_, text)| text.split("fn ").skip(1))
        .filter_map(|rest| rest.split(['(', '<']).next())
        .collect();
    let mut checked = 0;
    for (document, text) in &documents {
        for quoted in text.split('`').skip(1).step_by(2) {
            let is_word = |it: &str| {
                !it.is_empty()
                    && it
                        .bytes()
                        .all(|it| it.is_ascii_lowercase() || it.is_ascii_digit())
            };
            // A test is a sentence; a metric or a setting is shorter, or begins with its namespace.
            let words: Vec<&str> = quoted.split('_').collect();
            let metric = ["airlock", "gen", "http", "process"].contains(&words[0]);
            if words.len() > 4 && words.iter().all(|it| is_word(it)) && !metric {
                assert!(
                    known.contains(quoted),
                    "{document} names the test {quoted}, which does not exist"
                );
                checked += 1;
            }
            let path = quoted.split(':').next().unwrap();
            let is_source = quoted.ends_with(".rs") && !quoted.contains(['*', '{', ' ', '…']);
            if is_source {
                let suffix = format!("/{quoted}");
                assert!(
                    sources
                        .iter()
                        .any(|(name, _)| format!("/{name}").ends_with(&suffix)),
                    "{document} names {quoted}, and no file's path ends so"
                );
                checked += 1;
            }
            let rooted = ["host/", "guest/", "tests/", "docs/", "wit/", "deploy/"];
            let literal = !path.contains(['*', '{', '<', ' ', '…']) && !path.contains("NAME");
            if literal && rooted.iter().any(|folder| path.starts_with(folder)) {
                assert!(
                    root().join(path).exists(),
                    "{document} names {path}, which does not exist"
                );
                checked += 1;
            }
        }
    }
    assert!(checked > 50, "{checked}");
}

/// The paths of a `use` tree, without its braces.
fn use_paths(tree: &str) -> Vec<String> {
    let Some((prefix, list)) = tree.split_once('{') else {
        return vec![tree.to_owned()];
    };
    let list = list.trim_end().trim_end_matches('}');
    let mut depth = 0;
    let items = list.split(|it| {
        depth += i32::from(it == '{') - i32::from(it == '}');
        it == ',' && depth == 0
    });
    items
        .flat_map(|item| use_paths(&format!("{}{}", prefix.trim(), item.trim())))
        .collect()
}

/// The module of this crate that a path in `module` is in. None: of another crate.
fn module_of(
    path: &str,
    module: &[String],
    modules: &BTreeSet<Vec<String>>,
) -> Option<Vec<String>> {
    let mut found: Vec<String> = match path.split("::").next()? {
        "crate" => Vec::new(),
        "self" | "super" => module.to_vec(),
        _ => return None,
    };
    for segment in path.split("::") {
        match segment.trim() {
            "crate" | "self" => {}
            "super" => drop(found.pop()),
            name => found.push(name.to_owned()),
        }
    }
    while !modules.contains(&found) {
        found.pop()?;
    }
    Some(found)
}

/// Which modules of a crate's production code each of them uses, besides its own descendants.
fn module_uses(folder: &str) -> BTreeMap<Vec<String>, BTreeSet<Vec<String>>> {
    let mut sources = BTreeMap::new();
    for (name, text) in files(&[folder], "rs") {
        let module = name.strip_prefix(folder).unwrap().trim_end_matches(".rs");
        let module: Vec<String> = module.split('/').skip(1).map(str::to_owned).collect();
        if !module.iter().any(|it| it == "tests" || it == "template") {
            let root = ["lib", "main"].contains(&module[0].as_str());
            sources.insert(if root { Vec::new() } else { module }, text);
        }
    }
    let modules: BTreeSet<Vec<String>> = sources.keys().cloned().collect();
    let uses = |(module, text): (Vec<String>, String)| {
        let production = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let statements = production
            .split('\n')
            .map(|it| it.split("//").next().unwrap());
        let statements = statements.collect::<Vec<&str>>().join("\n");
        let trees = statements.split("use ").skip(1);
        let trees = trees.filter_map(|it| it.split(';').next());
        let paths = trees.flat_map(use_paths);
        let used = paths.filter_map(|path| module_of(&path, &module, &modules));
        let used = used.filter(|it| !it.starts_with(&module)).collect();
        (module, used)
    };
    sources.into_iter().map(uses).collect()
}

#[test]
fn no_modules_of_the_host_use_one_another_in_a_circle() {
    for name in manifests().keys() {
        let mut uses = module_uses(&format!("host/{name}/src"));
        // What uses none of the rest, or is used by none of it, is in no circle.
        loop {
            let (left, rest) = (uses.len(), uses.keys().cloned().collect::<BTreeSet<_>>());
            let used: BTreeSet<Vec<String>> = uses.values().flatten().cloned().collect();
            uses.retain(|module, others| {
                others.retain(|it| rest.contains(it));
                !others.is_empty() && used.contains(module)
            });
            if uses.len() == left {
                break;
            }
        }
        let path = |module: &Vec<String>| [&["crate".to_owned()][..], module].concat().join("::");
        let edges = uses.iter().flat_map(|(module, others)| {
            others
                .iter()
                .map(move |it| format!("{} uses {}", path(module), path(it)))
        });
        let edges: Vec<String> = edges.collect();
        assert!(
            edges.is_empty(),
            "host/{name} has a circle of modules:\n{}",
            edges.join("\n")
        );
    }
}
