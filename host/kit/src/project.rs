//! Creates projects: crates with a small, working policy in one role, which `airlock policy build` builds.

mod role; // the interfaces of a project

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use airlock_policy::SHIPPED;

use self::role::InterfaceTemplate;
pub use self::role::ProjectRole;

/// The WIT, of which each project has a copy.
const WIT: [(&str, &str); 8] = [
    ("admit.wit", include_str!("../../../wit/admit.wit")),
    ("manifest.wit", include_str!("../../../wit/manifest.wit")),
    ("policy.wit", include_str!("../../../wit/policy.wit")),
    ("prompt.wit", include_str!("../../../wit/prompt.wit")),
    ("relay.wit", include_str!("../../../wit/relay.wit")),
    (
        "synthesize.wit",
        include_str!("../../../wit/synthesize.wit"),
    ),
    ("translate.wit", include_str!("../../../wit/translate.wit")),
    ("types.wit", include_str!("../../../wit/types.wit")),
];

const MANIFEST: &str = include_str!("template/Cargo.toml.in");
const README: &str = include_str!("template/README.md.in");
const GITIGNORE: &str = include_str!("template/gitignore");
const LIBRARY: &str = include_str!("template/src/lib.rs.in");

/// The dependency of projects that read or write JSON, as the workspace pins it.
const SERDE_JSON: &str =
    "serde_json = { version = \"1\", default-features = false, features = [\"alloc\"] }\n";

/// The most characters of a policy's name.
const NAME_LENGTH: usize = 64;

/// The name of a policy: `[a-z0-9][a-z0-9_-]{0,63}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyName(String);

/// Why a text is not the name of a new policy.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyNameError {
    /// The text has other characters, or is too long.
    #[error(
        "{0:?} is not a name for a policy: it is 1 to 64 of a-z, 0-9, `_` and `-`, and begins with a letter or a digit"
    )]
    Invalid(String),
    /// The text is the name of the shipped policy.
    #[error("`{SHIPPED}` is the policy inside airlock: choose another name")]
    Reserved,
}

impl FromStr for PolicyName {
    type Err = PolicyNameError;

    fn from_str(text: &str) -> Result<Self, PolicyNameError> {
        let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let valid = text.len() <= NAME_LENGTH
            && text.bytes().next().is_some_and(alphanumeric)
            && text
                .bytes()
                .all(|byte| alphanumeric(byte) || matches!(byte, b'_' | b'-'));
        if text == SHIPPED {
            Err(PolicyNameError::Reserved)
        } else if valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(PolicyNameError::Invalid(text.to_owned()))
        }
    }
}

impl PolicyName {
    /// The name as typed.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the crate. Cargo takes none that begins with a digit.
    fn crate_name(&self) -> String {
        if self.0.starts_with(|first: char| first.is_ascii_digit()) {
            format!("policy-{}", self.0)
        } else {
            self.0.clone()
        }
    }
}

/// Why no project was written.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// The folder is not empty.
    #[error("{} is not empty: name another folder with --dir", .0.display())]
    Occupied(PathBuf),
    /// A file cannot be written.
    #[error("cannot write {}: {error}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
}

/// Writes a project into a folder, which is created if it does not exist.
///
/// # Errors
/// The folder is not empty, is a file, or cannot be written to.
pub fn create_project(
    folder: &Path,
    name: &PolicyName,
    role: ProjectRole,
) -> Result<(), ProjectError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error| ProjectError::Write { path, error }
    };
    fs::create_dir_all(folder).map_err(failed(folder))?;
    let mut entries = fs::read_dir(folder).map_err(failed(folder))?;
    if entries.next().is_some() {
        return Err(ProjectError::Occupied(folder.to_owned()));
    }
    for (path, text) in files(name, role) {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(failed(parent))?;
        }
        fs::write(&path, text).map_err(failed(&path))?;
    }
    Ok(())
}

/// The files of a project, by their paths in it.
fn files(name: &PolicyName, role: ProjectRole) -> Vec<(String, String)> {
    let fill = |template: &str| fill(template, name, role);
    let mut files = vec![
        ("Cargo.toml".to_owned(), fill(MANIFEST)),
        ("README.md".to_owned(), fill(README)),
        (".gitignore".to_owned(), GITIGNORE.to_owned()),
        ("src/lib.rs".to_owned(), fill(LIBRARY)),
    ];
    for interface in role.interfaces() {
        let path = format!("src/{}.rs", interface.name);
        files.push((path, interface.source.to_owned()));
    }
    for (path, text) in WIT {
        files.push((format!("wit/{path}"), text.to_owned()));
    }
    files
}

/// A template with its placeholders, `{{key}}`, replaced.
fn fill(template: &str, name: &PolicyName, role: ProjectRole) -> String {
    let interfaces = role.interfaces();
    let manifest = role.manifest();
    let or_empty = |text: &str, given: bool| if given { text } else { "" }.to_owned();
    let values = [
        ("crate", name.crate_name()),
        ("summary", role.summary().to_owned()),
        ("lower_summary", with_lower_first(role.summary())),
        ("dependencies", or_empty(SERDE_JSON, role.uses_json())),
        ("modules", modules(interfaces)),
        ("worlds", worlds(interfaces)),
        ("files", interfaces.iter().map(description).collect()),
        ("strategies", strategies(manifest.strategies)),
        ("settings", manifest.settings.to_owned()),
        (
            "manifest_types",
            or_empty(", Setting, Takes", manifest.has_settings()),
        ),
    ];
    values
        .iter()
        .fold(template.to_owned(), |text, (key, value)| {
            text.replace(&format!("{{{{{key}}}}}"), value)
        })
}

fn with_lower_first(text: &str) -> String {
    let mut text = text.to_owned();
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    text
}

/// The `mod` lines of `src/lib.rs`.
fn modules(interfaces: &[InterfaceTemplate]) -> String {
    let lines = interfaces.iter().map(|it| format!("mod {};\n", it.name));
    lines.collect()
}

/// The statements of the project's world. `airlock policy build` provides the shipped interfaces that it imports.
fn worlds(interfaces: &[InterfaceTemplate]) -> String {
    let included = ["describer"]
        .into_iter()
        .chain(interfaces.iter().map(|it| it.world))
        .map(|world| format!("                include airlock:policy/{world}@0.3.0-draft;"));
    let imported = interfaces.iter().filter(|it| it.wraps).map(|it| {
        format!(
            "                import airlock:policy/{}@0.3.0-draft;",
            it.name
        )
    });
    included.chain(imported).collect::<Vec<_>>().join("\n")
}

/// A module's line in the README.
fn description(interface: &InterfaceTemplate) -> String {
    let first = interface.source.lines().next().unwrap_or_default();
    let text = first.trim_start_matches("//! ");
    format!("- `src/{}.rs`: {text}\n", interface.name)
}

/// A list of strategies as a Rust expression, laid out as rustfmt does.
fn strategies(names: &[&str]) -> String {
    match names {
        [one] => format!("vec![\"{one}\".to_owned()]"),
        several => {
            let lines = several
                .iter()
                .map(|it| format!("                \"{it}\".to_owned(),\n"));
            format!("vec![\n{}            ]", lines.collect::<String>())
        }
    }
}

#[cfg(test)]
mod tests;
