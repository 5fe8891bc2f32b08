//! Layers the sources of settings (flag over environment over file over default) and checks the whole.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::value::Place;
use super::{Config, SETTINGS, Setting};
use airlock_base::environment::Environment;
use airlock_base::memory;

/// The largest configuration file that is read: 1 MiB.
const FILE_BYTES: u64 = 1 << 20;

/// What the command line said.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// The configuration file to read.
    pub config: Option<PathBuf>,
    /// Keys with the values that flags gave them.
    pub values: Vec<(&'static str, String)>,
}

/// A configuration with the story of each value.
#[derive(Debug)]
pub struct Loaded {
    /// The result.
    pub config: Config,
    /// Where each value comes from, in the order of the table of settings.
    pub sources: Vec<Source>,
    /// The file that was read.
    pub file: Option<PathBuf>,
    /// What is not wrong, but probably not meant.
    pub warnings: Vec<String>,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nobody set it.
    Default,
    /// The configuration file.
    File,
    /// A variable of the environment.
    Environment,
    /// A flag.
    Flag,
}

/// Why there is no configuration. Every message names the key, or the file, and the way out.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        cause: std::io::Error,
    },
    /// The file is not TOML.
    #[error("the configuration file {} is not TOML: line {line}: {fault}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where, from 1.
        line: usize,
        /// What the parser says, on one line.
        fault: String,
    },
    /// The file has a key that nothing reads.
    #[error("{key} in {}: there is no such setting{hint}; `airlock config` lists all", path.display())]
    Unknown {
        /// The key, tables joined by dots.
        key: String,
        /// A similar key, as a phrase.
        hint: String,
        /// The file.
        path: PathBuf,
    },
    /// A value is not what the setting takes.
    #[error("{key} {fault} (set by {origin})")]
    Value {
        /// The key.
        key: &'static str,
        /// What is wrong with it.
        fault: String,
        /// Where it was set.
        origin: String,
    },
    /// Two values do not go together.
    #[error("{0}")]
    Conflict(String),
}

impl Config {
    /// Reads file and environment, lays the flags over them, and checks the result as a gateway that is to serve needs it.
    ///
    /// # Errors
    /// A [`ConfigError`] that names the key and the way out.
    pub fn load(flags: &Flags, environment: Environment) -> Result<Loaded, ConfigError> {
        let loaded = Self::load_for_client(flags, environment)?;
        check(&loaded.config)?;
        Ok(loaded)
    }

    /// The same for a command that serves nothing itself: whether a gateway of this configuration may serve is not
    /// checked, since one may run with the keys in its own environment.
    ///
    /// # Errors
    /// A [`ConfigError`] that names the key and the way out.
    pub fn load_for_client(flags: &Flags, environment: Environment) -> Result<Loaded, ConfigError> {
        let file = named_file(flags, &environment);
        let table = file.as_deref().map(read).transpose()?.unwrap_or_default();
        if let Some(path) = &file {
            refuse_unknown(&table, "", path)?;
        }
        let home = environment.home();
        let here = PathBuf::new();
        let beside = file.as_deref().and_then(Path::parent).unwrap_or(&here);

        let mut config = Self::defaults(environment);
        let mut sources = Vec::with_capacity(SETTINGS.len());
        for setting in SETTINGS {
            let picked = pick(setting, flags, &config.environment, &table)?;
            let Some((source, value, origin)) = picked else {
                sources.push(Source::Default);
                continue;
            };
            let folder = if source == Source::File {
                beside
            } else {
                &here
            };
            let place = Place {
                folder,
                home: home.as_deref(),
            };
            (setting.slot)(&mut config)
                .set(&value, setting.range, &place)
                .map_err(|fault| ConfigError::Value {
                    key: setting.key,
                    fault,
                    origin,
                })?;
            sources.push(source);
        }
        config.set_data_dir(config.data_dir.clone());
        if config.data_dir.as_os_str().is_empty() {
            return Err(ConfigError::Conflict(
                "data_dir has no default because HOME is not set: set it with --data-dir"
                    .to_owned(),
            ));
        }
        config.same_flags = same_flags(flags, &mut config, file.as_deref());
        let mut warnings = warnings(&config);
        warnings.extend(former_names(&table, &config.environment));
        Ok(Loaded {
            config,
            sources,
            file,
            warnings,
        })
    }
}

/// The file that was asked for, or the usual one if it exists.
fn named_file(flags: &Flags, environment: &Environment) -> Option<PathBuf> {
    let named = flags
        .config
        .clone()
        .or_else(|| environment.raw("AIRLOCK_CONFIG").map(PathBuf::from));
    let path = named.or_else(|| environment.config_file().filter(|path| path.is_file()))?;
    Some(std::path::absolute(&path).unwrap_or(path))
}

fn read(path: &Path) -> Result<Table, ConfigError> {
    let unreadable = |cause| ConfigError::Unreadable {
        path: path.to_owned(),
        cause,
    };
    let length = std::fs::metadata(path).map_err(unreadable)?.len();
    if length > FILE_BYTES {
        return Err(unreadable(std::io::Error::other("it is larger than 1 MiB")));
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    text.parse()
        .map_err(|cause: toml::de::Error| ConfigError::Malformed {
            path: path.to_owned(),
            line: line_of(&text, cause.span().map_or(0, |span| span.start)),
            fault: cause.message().replace('\n', ", "),
        })
}

/// The line that this byte is on, from 1.
fn line_of(text: &str, byte: usize) -> usize {
    let before = text.as_bytes().iter().take(byte);
    1 + before.filter(|byte| **byte == b'\n').count()
}

fn refuse_unknown(table: &Table, prefix: &str, path: &Path) -> Result<(), ConfigError> {
    for (name, value) in table {
        let key = format!("{prefix}{name}");
        let is_key = |setting: &Setting| setting.key == key || setting.former == Some(&key);
        if SETTINGS.iter().any(is_key) {
            continue;
        }
        let below = format!("{key}.");
        match value.as_table() {
            Some(inner)
                if SETTINGS
                    .iter()
                    .any(|setting| setting.key.starts_with(&below)) =>
            {
                refuse_unknown(inner, &below, path)?;
            }
            _ => {
                return Err(ConfigError::Unknown {
                    hint: hint(&key),
                    key,
                    path: path.to_owned(),
                });
            }
        }
    }
    Ok(())
}

/// Most unknown keys are right words in the wrong table.
fn hint(key: &str) -> String {
    let last = |key: &str| {
        key.rsplit('.')
            .next()
            .unwrap_or_default()
            .replace(['_', '-'], "")
    };
    let found = SETTINGS
        .iter()
        .find(|setting| last(setting.key) == last(key));
    found
        .map(|setting| format!(" (did you mean {}?)", setting.key))
        .unwrap_or_default()
}

/// A value with its source, and a name for the source.
type Picked = (Source, Value, String);

/// The value of most weight, if there is any.
fn pick(
    setting: &Setting,
    flags: &Flags,
    environment: &Environment,
    table: &Table,
) -> Result<Option<Picked>, ConfigError> {
    if let Some((_, value)) = flags.values.iter().find(|(key, _)| *key == setting.key) {
        let origin = format!("--{}", setting.flag.unwrap_or_default());
        return Ok(Some((Source::Flag, Value::String(value.clone()), origin)));
    }
    let variables = [
        Some(setting.variable()),
        setting.former_variable(),
        setting.also.map(str::to_owned),
    ];
    for name in variables.into_iter().flatten() {
        let Some(value) = environment.raw(&name) else {
            continue;
        };
        // To pass over it would mean the default: for a key, that none is asked for.
        let value = value.to_str().ok_or_else(|| ConfigError::Value {
            key: setting.key,
            fault: "must be text in UTF-8".to_owned(),
            origin: name.clone(),
        })?;
        let value = Value::String(value.to_owned());
        return Ok(Some((Source::Environment, value, name)));
    }
    let value = in_file(table, setting.key)
        .or_else(|| setting.former.and_then(|former| in_file(table, former)));
    let origin = "the configuration file".to_owned();
    Ok(value.map(|value| (Source::File, value.clone(), origin)))
}

/// The value of a key whose tables are joined by dots.
fn in_file<'a>(table: &'a Table, key: &str) -> Option<&'a Value> {
    let mut value = None;
    let mut level = Some(table);
    for part in key.split('.') {
        value = level.and_then(|level| level.get(part));
        level = value.and_then(Value::as_table);
    }
    value
}

/// Settings that say which gateway is meant, and where its Codex and its login are.
const MEANT: [&str; 4] = ["listen", "codex.bin", "codex.home", "data_dir"];

/// The flags of this command that say so, with whole paths, each with a space before it.
fn same_flags(flags: &Flags, config: &mut Config, file: Option<&Path>) -> String {
    let mut same = String::new();
    let mut add = |flag: &str, value: &str| {
        same.push_str(&format!(" --{flag} {}", shell_word(value)));
    };
    if let Some(file) = file.filter(|_| flags.config.is_some()) {
        add("config", &file.display().to_string());
    }
    for setting in SETTINGS.iter().filter(|it| MEANT.contains(&it.key)) {
        let given = flags.values.iter().any(|(key, _)| *key == setting.key);
        let (Some(flag), Some(Value::String(value))) =
            (setting.flag, (setting.slot)(config).show())
        else {
            continue;
        };
        if given {
            add(flag, &value);
        }
    }
    same
}

/// A text as one word of a shell's command line.
fn shell_word(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+,:@%[]".contains(&byte);
    match !text.is_empty() && text.bytes().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

/// What no single value can show.
fn check(config: &Config) -> Result<(), ConfigError> {
    if !config.server.listen.ip().is_loopback() && config.server.api_key.is_none() {
        return Err(ConfigError::Conflict(format!(
            "listen is {}, which others can reach, and there is no api_key: set AIRLOCK_API_KEY, or listen on 127.0.0.1",
            config.server.listen
        )));
    }
    let keys = config
        .server
        .admin_key
        .as_ref()
        .zip(config.server.api_key.as_ref());
    if keys.is_some_and(|(admin, api)| admin.expose() == api.expose()) {
        return Err(ConfigError::Conflict(
            "admin_key is the same as api_key, so every client could change policies: set another"
                .to_owned(),
        ));
    }
    if config.codex.token_url.is_some() && !config.codex.token_command.is_empty() {
        return Err(ConfigError::Conflict(
            "codex.token_command and codex.token_url are both set: leave one of them out"
                .to_owned(),
        ));
    }
    let memory = config.server.limits.body_memory_bytes;
    let (body, least) = (
        config.server.limits.body_bytes,
        memory::least(config.server.limits.body_bytes),
    );
    if memory != 0 && memory < least {
        return Err(ConfigError::Conflict(format!(
            "limits.body_memory_bytes ({memory}) is too small for a body of limits.body_bytes ({body}), which takes {least}: raise the one or lower the other"
        )));
    }
    // Codex repeats what it is told in one line, and a line beyond the limit costs every turn of its child.
    let (body, line) = (
        config.server.limits.body_bytes,
        config.codex.limits.line_bytes,
    );
    if line / 2 < body {
        return Err(ConfigError::Conflict(format!(
            "limits.line_bytes ({line}) must be at least twice limits.body_bytes ({body}): raise the one or lower the other"
        )));
    }
    Ok(())
}

/// A warning for each former name that is used, with the name that replaces it.
fn former_names(table: &Table, environment: &Environment) -> Vec<String> {
    let mut warnings = Vec::new();
    for setting in SETTINGS {
        let (Some(former), Some(variable)) = (setting.former, setting.former_variable()) else {
            continue;
        };
        if in_file(table, former).is_some() {
            let key = setting.key;
            warnings.push(format!(
                "{former} is now called {key}: rename it in the configuration file"
            ));
        }
        if environment.raw(&variable).is_some() {
            let now = setting.variable();
            warnings.push(format!("{variable} is now called {now}: rename it"));
        }
    }
    warnings
}

fn warnings(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    let known = |name: &str| {
        let is_setting = |setting: &Setting| {
            setting.variable() == name || setting.former_variable().as_deref() == Some(name)
        };
        name == "AIRLOCK_CONFIG" || SETTINGS.iter().any(is_setting)
    };
    for (name, _) in config.environment.iter() {
        if name.starts_with("AIRLOCK_") && !known(name) {
            warnings.push(format!(
                "{name} is set, but there is no such setting; `airlock config` lists all"
            ));
        }
    }
    // A request holds its sandbox while it waits for a turn.
    let held = config
        .codex
        .limits
        .turns
        .saturating_add(config.server.limits.queue);
    if (config.policy.sandbox.instances as usize) < held {
        warnings.push(format!(
            "sandbox.instances ({}) is less than limits.turns + limits.queue ({held}), so the queue cannot fill",
            config.policy.sandbox.instances
        ));
    }
    if config.policy.require_signature && config.policy.public_keys.is_empty() {
        warnings.push(
            "policies.require_signature is on and policies.public_keys is empty, so no policy but the embedded one is loaded"
                .to_owned(),
        );
    }
    if config.server.rehearsal && config.codex.home.is_some() {
        warnings.push("codex.home is not used in rehearsal".to_owned());
    }
    warnings
}
