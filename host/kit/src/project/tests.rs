//! New projects: their names, their files, and what is refused. That they build is tested end to end.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use super::*;

const ROLES: [Role; 5] = [
    Role::Synthesize,
    Role::Translate,
    Role::Prompt,
    Role::Admit,
    Role::All,
];

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

#[test]
fn names_are_those_of_the_policies_folder() {
    let longest = "a".repeat(64);
    for fine in ["a", "0", "house-voice", "a_b-1", &longest] {
        assert_eq!(name(fine).as_str(), fine);
    }
    let long = "a".repeat(65);
    for wrong in ["", "-a", "_a", "A", "a.b", "a/b", "..", "ä", "a b", &long] {
        let error = wrong.parse::<Name>().unwrap_err();
        assert!(!error.to_string().contains('\n'), "{error}");
    }
    assert_eq!(SHIPPED.parse::<Name>(), Err(BadName::Reserved));
    assert_eq!(name("shipped-2").as_str(), "shipped-2");
    assert_eq!(name("mine").of_crate(), "mine");
    assert_eq!(name("1st").of_crate(), "policy-1st");
}

#[test]
fn nothing_of_a_template_is_left_open() {
    for role in ROLES {
        let files: BTreeMap<_, _> = files(&name("mine"), role).into_iter().collect();
        for (path, text) in &files {
            let open = ["crate", "summary", "modules", "worlds", "files", "settings"]
                .iter()
                .find(|key| text.contains(&format!("{{{{{key}}}}}")));
            assert_eq!(open, None, "{role:?} {path}");
        }
        let manifest: toml::Table = files["Cargo.toml"].parse().unwrap();
        assert_eq!(manifest["package"]["name"].as_str(), Some("mine"));
        assert_eq!(
            manifest["dependencies"].as_table().map(toml::Table::len),
            Some(1)
        );
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
        // Older versions are in a folder.
        if entry.file_type().unwrap().is_file() {
            let name = entry.file_name().into_string().unwrap();
            let text = fs::read_to_string(entry.path()).unwrap();
            contract.insert(format!("wit/{name}"), text);
        }
    }
    let files = files(&name("mine"), Role::Admit).into_iter();
    let theirs: BTreeMap<_, _> = files.filter(|(path, _)| path.starts_with("wit/")).collect();
    assert_eq!(theirs, contract);
}

#[test]
fn the_settings_of_what_is_kept_are_declared() {
    for (role, settings) in [
        (Role::Synthesize, &["strict", "strategies"][..]),
        (Role::Translate, &["strict", "synthesis"]),
        (Role::Admit, &["strict", "synthesis"]),
        (Role::Prompt, &["strict", "synthesis"]),
        (Role::All, &[]),
    ] {
        let library = fill(LIBRARY, &name("mine"), role);
        for setting in ["strict", "synthesis", "strategies"] {
            let declared = library.contains(&format!("name: \"{setting}\""));
            assert_eq!(declared, settings.contains(&setting), "{role:?} {setting}");
        }
        let takes = library.contains("Description, Setting, Takes}");
        assert_eq!(takes, !settings.is_empty(), "{role:?}");
        // The strategies are the same in both places.
        let (strategies, _) = role.manifest();
        for strategy in strategies {
            let named = library.matches(&format!("\"{strategy}\"")).count();
            let listed = |it| usize::from(settings.contains(&it));
            let expected = 1 + listed("synthesis") + listed("strategies");
            assert_eq!(named, expected, "{role:?} {strategy}");
        }
    }
}

#[test]
fn the_template_pins_the_wit_bindgen_that_airlock_is_built_with() {
    let workspace = include_str!("../../../../Cargo.toml");
    let workspace: toml::Table = workspace.parse().unwrap();
    let ours = &workspace["workspace"]["dependencies"]["wit-bindgen"];
    let filled = fill(MANIFEST, &name("mine"), Role::Admit);
    let filled: toml::Table = filled.parse().unwrap();
    let theirs = &filled["dependencies"]["wit-bindgen"];
    let pinned = format!("={}", ours["version"].as_str().unwrap());
    assert_eq!(theirs["version"].as_str(), Some(pinned.as_str()));
    assert_eq!(theirs["features"], ours["features"]);
}

#[test]
fn a_project_is_only_written_where_nothing_is() {
    let folder = tempfile::tempdir().unwrap();
    let mine = folder.path().join("deep/mine");
    create(&mine, &name("mine"), Role::All).unwrap();
    for path in ["Cargo.toml", ".gitignore", "src/json.rs", "wit/types.wit"] {
        assert!(mine.join(path).is_file(), "{path}");
    }
    let again = create(&mine, &name("mine"), Role::All).unwrap_err();
    assert!(matches!(again, ProjectError::Occupied(_)), "{again}");
    // An empty folder is as good as none.
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    create(&empty, &name("other"), Role::Admit).unwrap();
    assert!(!empty.join("src/json.rs").exists());
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = create(&file, &name("mine"), Role::Admit).unwrap_err();
    assert!(matches!(error, ProjectError::Write { .. }), "{error}");
}
