//! A project to start from: a crate that does something small and real in one role, and builds with one command.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use airlock_policy::SHIPPED;

/// The contract, as projects get it.
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
const IGNORED: &str = include_str!("template/gitignore");
const LIBRARY: &str = include_str!("template/src/lib.rs.in");
const JSON: &str = include_str!("template/src/json.rs");

/// Characters of a policy's name, at most.
const NAME_LENGTH: usize = 64;

/// The settings of the shipped `prompt`, for a policy that keeps it and has a panel of its own.
const STRICT_AND_STRATEGIES: &str = r##"vec![
                // The shipped `prompt` reads both. Of the strategies of this panel it knows only what stands here.
                Setting {
                    name: "strict".to_owned(),
                    summary: "Refuse parameters that cannot be honoured.".to_owned(),
                    takes: Takes::Flag,
                    default: Some("false".to_owned()),
                },
                Setting {
                    name: "strategies".to_owned(),
                    summary: "What requests may name in `airlock.synthesis`, the default first."
                        .to_owned(),
                    takes: Takes::Texts,
                    default: Some(r#"["shortest"]"#.to_owned()),
                },
            ]"##;

/// Those of the shipped `prompt` and of the panel's strategies, for a policy that keeps both.
const STRICT_AND_SYNTHESIS: &str = r#"vec![
                // The shipped `prompt` reads them, so they are still there to be set.
                Setting {
                    name: "strict".to_owned(),
                    summary: "Refuse parameters that cannot be honoured.".to_owned(),
                    takes: Takes::Flag,
                    default: Some("false".to_owned()),
                },
                Setting {
                    name: "synthesis".to_owned(),
                    summary: "The strategy of fan-outs that name none.".to_owned(),
                    takes: Takes::Choice(vec![
                        "merge".to_owned(),
                        "judge".to_owned(),
                        "vote".to_owned(),
                        "first".to_owned(),
                    ]),
                    default: None,
                },
            ]"#;

/// No settings.
const NONE: &str = "Vec::new()";

/// The name of a policy: `[a-z0-9][a-z0-9_-]{0,63}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(String);

/// A name that no policy of one's own may have.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// It is none.
    #[error(
        "{0:?} is no name for a policy: it is 1 to 64 of a-z, 0-9, `_` and `-`, and begins with a letter or a digit"
    )]
    Wrong(String),
    /// Another has it.
    #[error("`{SHIPPED}` is the policy inside airlock: choose another name")]
    Reserved,
}

impl FromStr for Name {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let fine = text.len() <= NAME_LENGTH
            && text.bytes().next().is_some_and(inner)
            && text
                .bytes()
                .all(|byte| inner(byte) || matches!(byte, b'_' | b'-'));
        if text == SHIPPED {
            Err(BadName::Reserved)
        } else if fine {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadName::Wrong(text.to_owned()))
        }
    }
}

impl Name {
    /// As typed.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the crate is called: cargo takes no name that begins with a digit.
    fn of_crate(&self) -> String {
        if self.0.starts_with(|first: char| first.is_ascii_digit()) {
            format!("policy-{}", self.0)
        } else {
            self.0.clone()
        }
    }
}

/// What the new policy decides itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    /// How one answer is made of several
    Synthesize,
    /// What clients read
    Translate,
    /// What becomes of a request
    Prompt,
    /// Whether a request may start
    Admit,
    /// Everything
    All,
}

impl Role {
    /// The modules of the project, each a file and an interface.
    fn interfaces(self) -> &'static [Interface] {
        match self {
            Self::Admit => &[ADMIT],
            Self::Prompt => &[PROMPT],
            Self::Translate => &[TRANSLATE],
            Self::Synthesize => &[SYNTHESIZE],
            Self::All => &[ADMIT, WHOLE_PROMPT, TRANSLATE, SYNTHESIZE],
        }
    }

    /// What requests can do with the shipped policy and not with this one, for whoever makes a project of it.
    pub fn lacks(self) -> Option<&'static str> {
        match self {
            Self::All => Some(
                "it takes text, `model`, `stream` and `parallel_calls`. Tools, response formats, efforts and other parameters are ignored and named in `x-airlock-ignored`, images are refused; `airlock policy check` lists them",
            ),
            Self::Translate => Some(
                "it writes text and usage. Tool calls, reasoning and candidates are not in its answers",
            ),
            Self::Synthesize | Self::Prompt | Self::Admit => None,
        }
    }

    fn summary(self) -> &'static str {
        match self {
            Self::Synthesize => "Answers a fan-out with the shortest complete answer.",
            Self::Translate => "Tells answers as plain chat completions.",
            Self::Prompt => "Gives every request a rule of the house.",
            Self::Admit => "Lets nobody join a line that has become slow.",
            Self::All => {
                "Chat completions in their simplest form; of several answers the shortest."
            }
        }
    }

    /// The panel's strategies, and the settings, as Rust: its own, or those of the shipped interfaces that it keeps.
    fn manifest(self) -> (&'static [&'static str], &'static str) {
        match self {
            Self::Synthesize => (&["shortest"], STRICT_AND_STRATEGIES),
            Self::All => (&["shortest"], NONE),
            Self::Admit | Self::Translate | Self::Prompt => {
                (&["merge", "judge", "vote", "first"], STRICT_AND_SYNTHESIS)
            }
        }
    }
}

/// A role's file.
#[derive(Clone, Copy)]
struct Interface {
    name: &'static str,
    world: &'static str,
    /// Its first line says what it does, in the README too.
    source: &'static str,
    /// Whether it reads or writes JSON.
    json: bool,
    /// Whether it wraps the shipped interface of the same name, which it therefore imports.
    wraps: bool,
}

const ADMIT: Interface = Interface {
    name: "admit",
    world: "admitter",
    source: include_str!("template/src/admit.rs"),
    json: false,
    wraps: false,
};

const PROMPT: Interface = Interface {
    name: "prompt",
    world: "prompter",
    source: include_str!("template/src/prompt.rs"),
    json: false,
    wraps: true,
};

const WHOLE_PROMPT: Interface = Interface {
    name: "prompt",
    world: "prompter",
    source: include_str!("template/src/whole_prompt.rs"),
    json: true,
    wraps: false,
};

const TRANSLATE: Interface = Interface {
    name: "translate",
    world: "translator",
    source: include_str!("template/src/translate.rs"),
    json: true,
    wraps: false,
};

const SYNTHESIZE: Interface = Interface {
    name: "synthesize",
    world: "synthesizer",
    source: include_str!("template/src/synthesize.rs"),
    json: false,
    wraps: false,
};

/// Why there is no new project.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// Something is there already.
    #[error("{} is not empty: name another folder with --dir", .0.display())]
    Occupied(PathBuf),
    /// A file cannot be written.
    #[error("cannot write {}: {error}", .path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// Writes a project into a folder, which is made if need be.
///
/// # Errors
/// The folder has something in it, is a file, or cannot be written to.
pub fn create(folder: &Path, name: &Name, role: Role) -> Result<(), ProjectError> {
    let fault = |path: &Path| {
        let path = path.to_owned();
        move |error| ProjectError::Write { path, error }
    };
    fs::create_dir_all(folder).map_err(fault(folder))?;
    let mut entries = fs::read_dir(folder).map_err(fault(folder))?;
    if entries.next().is_some() {
        return Err(ProjectError::Occupied(folder.to_owned()));
    }
    for (path, text) in files(name, role) {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(fault(parent))?;
        }
        fs::write(&path, text).map_err(fault(&path))?;
    }
    Ok(())
}

/// The files of a project, by their paths in it.
fn files(name: &Name, role: Role) -> Vec<(String, String)> {
    let fill = |template: &str| fill(template, name, role);
    let mut files = vec![
        ("Cargo.toml".to_owned(), fill(MANIFEST)),
        ("README.md".to_owned(), fill(README)),
        (".gitignore".to_owned(), IGNORED.to_owned()),
        ("src/lib.rs".to_owned(), fill(LIBRARY)),
    ];
    for interface in role.interfaces() {
        let path = format!("src/{}.rs", interface.name);
        files.push((path, interface.source.to_owned()));
    }
    if role.interfaces().iter().any(|it| it.json) {
        files.push(("src/json.rs".to_owned(), JSON.to_owned()));
    }
    for (path, text) in WIT {
        files.push((format!("wit/{path}"), text.to_owned()));
    }
    files
}

/// A template with what is particular to a project.
fn fill(template: &str, name: &Name, role: Role) -> String {
    let interfaces = role.interfaces();
    let mut modules: Vec<&str> = interfaces.iter().map(|it| it.name).collect();
    if interfaces.iter().any(|it| it.json) {
        modules.push("json");
        modules.sort_unstable();
    }
    let modules: String = modules.iter().map(|it| format!("mod {it};\n")).collect();
    let worlds = ["describer"]
        .into_iter()
        .chain(interfaces.iter().map(|it| it.world));
    let worlds: Vec<_> = worlds
        .map(|world| format!("                include airlock:policy/{world}@0.3.0-draft;"))
        .chain(interfaces.iter().filter(|it| it.wraps).map(|it| {
            // The shipped one, which `airlock policy build` puts in.
            format!(
                "                import airlock:policy/{}@0.3.0-draft;",
                it.name
            )
        }))
        .collect();
    let about = |it: &Interface| {
        let line = it.source.lines().next().unwrap_or_default();
        format!(
            "- `src/{}.rs`: {}\n",
            it.name,
            line.trim_start_matches("//! ")
        )
    };
    let mut abouts: Vec<String> = interfaces.iter().map(about).collect();
    if interfaces.iter().any(|it| it.json) {
        abouts.push(
            "- `src/json.rs`: as much of JSON as that needs, without a dependency.\n".to_owned(),
        );
    }
    let (strategies, settings) = role.manifest();
    let strategies: Vec<_> = strategies
        .iter()
        .map(|it| format!("\"{it}\".to_owned()"))
        .collect();
    let strategies = match strategies.as_slice() {
        [one] => format!("vec![{one}]"),
        several => {
            let lines = several.iter().map(|it| format!("                {it},\n"));
            format!("vec![\n{}            ]", lines.collect::<String>())
        }
    };
    let mut lower = role.summary().to_owned();
    if let Some(first) = lower.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    let types = if settings == NONE {
        ""
    } else {
        ", Setting, Takes"
    };
    let values = [
        ("crate", name.of_crate()),
        ("summary", role.summary().to_owned()),
        ("lower_summary", lower),
        ("modules", modules),
        ("worlds", worlds.join("\n")),
        ("files", abouts.concat()),
        ("strategies", strategies),
        ("settings", settings.to_owned()),
        ("manifest_types", types.to_owned()),
    ];
    let mut text = template.to_owned();
    for (key, value) in values {
        text = text.replace(&format!("{{{{{key}}}}}"), &value);
    }
    text
}

#[cfg(test)]
mod tests;
