//! The roles of a new project: the interfaces that it exports, with their templates, settings and limits.

/// The interfaces that a new policy exports itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ProjectRole {
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

/// The `manifest` interface of a project: its strategies, and its settings as Rust source.
pub(super) struct ManifestTemplate {
    pub(super) strategies: &'static [&'static str],
    pub(super) settings: &'static str,
}

impl ManifestTemplate {
    pub(super) fn has_settings(&self) -> bool {
        self.settings != NO_SETTINGS
    }
}

/// The template of one interface: a module of the project.
#[derive(Clone, Copy)]
pub(super) struct InterfaceTemplate {
    pub(super) name: &'static str,
    pub(super) world: &'static str,
    /// The first line describes the module, in the README too.
    pub(super) source: &'static str,
    /// Whether the module uses serde_json.
    pub(super) json: bool,
    /// Whether the module wraps the shipped interface of the same name, which the project then imports.
    pub(super) wraps: bool,
}

const ADMIT: InterfaceTemplate = InterfaceTemplate {
    name: "admit",
    world: "admitter",
    source: include_str!("../template/src/admit.rs"),
    json: false,
    wraps: false,
};

const PROMPT: InterfaceTemplate = InterfaceTemplate {
    name: "prompt",
    world: "prompter",
    source: include_str!("../template/src/prompt.rs"),
    json: false,
    wraps: true,
};

const WHOLE_PROMPT: InterfaceTemplate = InterfaceTemplate {
    name: "prompt",
    world: "prompter",
    source: include_str!("../template/src/whole_prompt.rs"),
    json: true,
    wraps: false,
};

const TRANSLATE: InterfaceTemplate = InterfaceTemplate {
    name: "translate",
    world: "translator",
    source: include_str!("../template/src/translate.rs"),
    json: true,
    wraps: false,
};

const SYNTHESIZE: InterfaceTemplate = InterfaceTemplate {
    name: "synthesize",
    world: "synthesizer",
    source: include_str!("../template/src/synthesize.rs"),
    json: false,
    wraps: false,
};

/// The settings of a policy with the shipped `prompt` and a panel of its own.
const STRICT_AND_STRATEGIES: &str = r##"vec![
                // The shipped `prompt` reads both. It accepts the strategies that are listed here.
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

/// The settings of a policy with the shipped `prompt` and the shipped panel.
const STRICT_AND_SYNTHESIS: &str = r#"vec![
                // The shipped `prompt` reads both.
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

const NO_SETTINGS: &str = "Vec::new()";

impl ProjectRole {
    /// The modules of the project, each a file and an interface.
    pub(super) fn interfaces(self) -> &'static [InterfaceTemplate] {
        match self {
            Self::Admit => &[ADMIT],
            Self::Prompt => &[PROMPT],
            Self::Translate => &[TRANSLATE],
            Self::Synthesize => &[SYNTHESIZE],
            Self::All => &[ADMIT, WHOLE_PROMPT, TRANSLATE, SYNTHESIZE],
        }
    }

    pub(super) fn uses_json(self) -> bool {
        self.interfaces().iter().any(|it| it.json)
    }

    /// What the project lacks of the shipped policy. `None` if requests can do the same with both.
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

    pub(super) fn summary(self) -> &'static str {
        match self {
            Self::Synthesize => "Answers a fan-out with the shortest complete answer.",
            Self::Translate => "Writes answers as plain chat completions.",
            Self::Prompt => "Adds a rule of the house to every request.",
            Self::Admit => "Refuses requests once the queue has become slow.",
            Self::All => {
                "Chat completions in their simplest form; of several answers the shortest."
            }
        }
    }

    /// The manifest. Shipped interfaces that the project keeps need their settings declared by it.
    pub(super) fn manifest(self) -> ManifestTemplate {
        let (strategies, settings): (&[&str], _) = match self {
            Self::Synthesize => (&["shortest"], STRICT_AND_STRATEGIES),
            Self::All => (&["shortest"], NO_SETTINGS),
            Self::Admit | Self::Translate | Self::Prompt => {
                (&["merge", "judge", "vote", "first"], STRICT_AND_SYNTHESIS)
            }
        };
        ManifestTemplate {
            strategies,
            settings,
        }
    }
}
