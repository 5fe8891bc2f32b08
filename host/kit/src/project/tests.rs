//! Tests of the names, files and refusals of new projects. `tests/e2e/author.rs` builds them.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use super::*;

const ROLES: [ProjectRole; 5] = [
    ProjectRole::Synthesize,
    ProjectRole::Translate,
    ProjectRole::Prompt,
    ProjectRole::Admit,
    ProjectRole::All,
];

fn name(text: &str) -> PolicyName {
    text.parse().unwrap()
}

#[test]
fn names_are_valid_in_the_folder_of_policies() {
    let longest = "a".repeat(64);
    for fine in ["a", "0", "house-voice", "a_b-1", &longest] {
        assert_eq!(name(fine).as_str(), fine);
    }
    let long = "a".repeat(65);
    for wrong in ["", "-a", "_a", "A", "a.b", "a/b", "..", "ä", "a b", &long] {
        let error = wrong.parse::<PolicyName>().unwrap_err();
        assert!(!error.to_string().contains('\n'), "{error}");
    }
    assert_eq!(
        SHIPPED.parse::<PolicyName>(),
        Err(PolicyNameError::Reserved)
    );
    assert_eq!(name("shipped-2").as_str(), "shipped-2");
    assert_eq!(name("mine").crate_name(), "mine");
    assert_eq!(name("1st").crate_name(), "policy-1st");
}

#[test]
fn every_placeholder_is_replaced() {
    for role in ROLES {
        let files: BTreeMap<_, _> = files(&name("mine"), role).into_iter().collect();
        for (path, text) in &files {
            let placeholder = text
                .find("{{")
                .filter(|_| !path.ends_with(".rs") || path == "src/lib.rs");
            assert_eq!(placeholder, None, "{role:?} {path}");
        }
        let manifest: toml::Table = files["Cargo.toml"].parse().unwrap();
        assert_eq!(manifest["package"]["name"].as_str(), Some("mine"));
        let dependencies = manifest["dependencies"].as_table().unwrap();
        let uses_json = files.values().any(|text| text.contains("use serde_json::"));
        assert_eq!(dependencies.contains_key("serde_json"), uses_json);
        assert_eq!(dependencies.len(), 1 + usize::from(uses_json));
        for interface in role.interfaces() {
            let library = &files["src/lib.rs"];
            assert!(library.contains(&format!("mod {};", interface.name)));
            assert!(library.contains(&format!("include airlock:policy/{}@", interface.world)));
            let imported = format!("import airlock:policy/{}@", interface.name);
            assert_eq!(library.contains(&imported), interface.wraps);
            assert!(files["README.md"].contains(&format!("src/{}.rs", interface.name)));
        }
        assert!(files["wit/policy.wit"].contains("package airlock:policy@0.3.0-draft;"));
    }
}

#[test]
fn a_project_has_the_whole_contract() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
    let mut contract = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        // Frozen versions are in a folder.
        if entry.file_type().unwrap().is_file() {
            let name = entry.file_name().into_string().unwrap();
            let text = fs::read_to_string(entry.path()).unwrap();
            contract.insert(format!("wit/{name}"), text);
        }
    }
    let files = files(&name("mine"), ProjectRole::Admit).into_iter();
    let theirs: BTreeMap<_, _> = files.filter(|(path, _)| path.starts_with("wit/")).collect();
    assert_eq!(theirs, contract);
}

#[test]
fn the_settings_of_shipped_interfaces_are_declared() {
    for (role, settings) in [
        (ProjectRole::Synthesize, &["strict", "strategies"][..]),
        (ProjectRole::Translate, &["strict", "synthesis"]),
        (ProjectRole::Admit, &["strict", "synthesis"]),
        (ProjectRole::Prompt, &["strict", "synthesis"]),
        (ProjectRole::All, &[]),
    ] {
        let library = fill(LIBRARY, &name("mine"), role);
        for setting in ["strict", "synthesis", "strategies"] {
            let declared = library.contains(&format!("name: \"{setting}\""));
            assert_eq!(declared, settings.contains(&setting), "{role:?} {setting}");
        }
        let takes = library.contains("Description, Setting, Takes}");
        assert_eq!(takes, !settings.is_empty(), "{role:?}");
        // The manifest and the default of `strategies` list the same names.
        for strategy in role.manifest().strategies {
            let named = library.matches(&format!("\"{strategy}\"")).count();
            let listed = |it| usize::from(settings.contains(&it));
            let expected = 1 + listed("synthesis") + listed("strategies");
            assert_eq!(named, expected, "{role:?} {strategy}");
        }
    }
}

#[test]
fn dependencies_are_those_of_the_workspace() {
    let workspace = include_str!("../../../../Cargo.toml");
    let workspace: toml::Table = workspace.parse().unwrap();
    let ours = &workspace["workspace"]["dependencies"];
    let project: toml::Table = fill(MANIFEST, &name("mine"), ProjectRole::All)
        .parse()
        .unwrap();
    let theirs = &project["dependencies"];
    let pinned = format!("={}", ours["wit-bindgen"]["version"].as_str().unwrap());
    assert_eq!(
        theirs["wit-bindgen"]["version"].as_str(),
        Some(pinned.as_str())
    );
    assert_eq!(
        theirs["wit-bindgen"]["features"],
        ours["wit-bindgen"]["features"]
    );
    assert_eq!(
        theirs["serde_json"]["version"],
        ours["serde_json"]["version"]
    );
}

#[test]
fn a_project_is_written_only_into_an_empty_folder() {
    let folder = tempfile::tempdir().unwrap();
    let mine = folder.path().join("deep/mine");
    create_project(&mine, &name("mine"), ProjectRole::All).unwrap();
    for path in ["Cargo.toml", ".gitignore", "src/prompt.rs", "wit/types.wit"] {
        assert!(mine.join(path).is_file(), "{path}");
    }
    let again = create_project(&mine, &name("mine"), ProjectRole::All).unwrap_err();
    assert!(matches!(again, ProjectError::Occupied(_)), "{again}");
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    create_project(&empty, &name("other"), ProjectRole::Admit).unwrap();
    assert!(!empty.join("src/prompt.rs").exists());
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = create_project(&file, &name("mine"), ProjectRole::Admit).unwrap_err();
    assert!(matches!(error, ProjectError::Write { .. }), "{error}");
}
