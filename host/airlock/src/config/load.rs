//! Loads the configuration: flags take precedence over the environment, the environment over the file, and the file over
//! the defaults.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::value::PathBase;
use super::{Config, ConfigError, SETTINGS, Setting, consistency};
use airlock_base::environment::Environment;

/// The largest configuration file that is read: 1 MiB.
const FILE_BYTES: u64 = 1 << 20;

/// The settings of the command line.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// The configuration file to read.
    pub config: Option<PathBuf>,
    /// Keys with the values of their flags.
    pub values: Vec<(&'static str, String)>,
}

/// A configuration with the source of each value.
#[derive(Debug)]
pub struct LoadedConfig {
    /// The configuration.
    pub config: Config,
    /// The source of each value, in the order of the table of settings.
    pub sources: Vec<ValueSource>,
    /// The file that was read.
    pub file: Option<PathBuf>,
    /// What is valid, but probably not intended.
    pub warnings: Vec<String>,
}

/// The source of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueSource {
    /// No source sets it.
    Default,
    /// The configuration file.
    File,
    /// A variable of the environment.
    Environment,
    /// A flag.
    Flag,
}

impl Config {
    /// Loads the configuration of a gateway that is to serve.
    ///
    /// # Errors
    /// A value is refused, or two contradict each other.
    pub fn load(flags: &Flags, environment: Environment) -> Result<LoadedConfig, ConfigError> {
        let loaded = Self::load_for_client(flags, environment)?;
        consistency::check(&loaded.config)?;
        Ok(loaded)
    }

    /// Loads the configuration of a command that is a client of a gateway. Whether the configuration can serve is not
    /// checked, since the gateway's keys may be in its own environment.
    ///
    /// # Errors
    /// A value is refused, or two contradict each other.
    pub fn load_for_client(
        flags: &Flags,
        environment: Environment,
    ) -> Result<LoadedConfig, ConfigError> {
        let file = config_file(flags, &environment);
        let table = file
            .as_deref()
            .map(read_table)
            .transpose()?
            .unwrap_or_default();
        if let Some(path) = &file {
            refuse_unknown(&table, "", path)?;
        }
        let mut config = Self::defaults(environment);
        let sources = config.apply_sources(flags, &table, file.as_deref())?;
        config.set_data_dir(config.data_dir.clone());
        if config.data_dir.as_os_str().is_empty() {
            return Err(ConfigError::Conflict(
                "data_dir has no default because HOME is not set: set it with --data-dir"
                    .to_owned(),
            ));
        }
        config.gateway_flags = gateway_flags(flags, &mut config, file.as_deref());
        let mut warnings = consistency::warnings(&config);
        warnings.extend(former_names(&table, &config.environment));
        Ok(LoadedConfig {
            config,
            sources,
            file,
            warnings,
        })
    }

    /// Sets each field from the source that takes precedence, and returns the sources in the order of the table.
    fn apply_sources(
        &mut self,
        flags: &Flags,
        table: &Table,
        file: Option<&Path>,
    ) -> Result<Vec<ValueSource>, ConfigError> {
        let home = self.environment.home();
        let working_folder = Path::new("");
        let file_folder = file.and_then(Path::parent).unwrap_or(working_folder);
        let mut sources = Vec::with_capacity(SETTINGS.len());
        for setting in SETTINGS {
            let given = given_value(setting, flags, &self.environment, table)?;
            let Some(GivenValue {
                source,
                origin,
                value,
            }) = given
            else {
                sources.push(ValueSource::Default);
                continue;
            };
            let base = PathBase {
                folder: match source {
                    ValueSource::File => file_folder,
                    _ => working_folder,
                },
                home: home.as_deref(),
            };
            (setting.field)(self)
                .set(&value, setting.bounds, &base)
                .map_err(|fault| ConfigError::Value {
                    key: setting.key,
                    fault,
                    origin,
                })?;
            sources.push(source);
        }
        Ok(sources)
    }
}

/// The configuration file: the one that a flag or a variable names, or the default one if it exists.
fn config_file(flags: &Flags, environment: &Environment) -> Option<PathBuf> {
    let named = flags
        .config
        .clone()
        .or_else(|| environment.raw("AIRLOCK_CONFIG").map(PathBuf::from));
    let path = named.or_else(|| environment.config_file().filter(|path| path.is_file()))?;
    Some(std::path::absolute(&path).unwrap_or(path))
}

fn read_table(path: &Path) -> Result<Table, ConfigError> {
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

/// The line of a byte, from 1.
fn line_of(text: &str, byte: usize) -> usize {
    let before = text.as_bytes().iter().take(byte);
    1 + before.filter(|byte| **byte == b'\n').count()
}

/// Refuses a key that no setting has.
fn refuse_unknown(table: &Table, prefix: &str, path: &Path) -> Result<(), ConfigError> {
    for (name, value) in table {
        let key = format!("{prefix}{name}");
        let is_key = |setting: &Setting| setting.key == key || setting.former_key == Some(&key);
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

/// Names the setting whose last part is the same: most unknown keys are in the wrong table.
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

/// The value of a setting in a source.
struct GivenValue {
    source: ValueSource,
    /// The flag, variable or file, for errors.
    origin: String,
    value: Value,
}

/// The value in the source that takes precedence. None: no source has one.
fn given_value(
    setting: &Setting,
    flags: &Flags,
    environment: &Environment,
    table: &Table,
) -> Result<Option<GivenValue>, ConfigError> {
    if let Some((_, value)) = flags.values.iter().find(|(key, _)| *key == setting.key) {
        return Ok(Some(GivenValue {
            source: ValueSource::Flag,
            origin: format!("--{}", setting.flag.unwrap_or_default()),
            value: Value::String(value.clone()),
        }));
    }
    let variables = [
        Some(setting.variable()),
        setting.former_variable(),
        setting.alias_variable.map(str::to_owned),
    ];
    for name in variables.into_iter().flatten() {
        let Some(value) = environment.raw(&name) else {
            continue;
        };
        // Ignoring it would mean the default: for `api_key`, that none is required.
        let value = value.to_str().ok_or_else(|| ConfigError::Value {
            key: setting.key,
            fault: "must be text in UTF-8".to_owned(),
            origin: name.clone(),
        })?;
        return Ok(Some(GivenValue {
            source: ValueSource::Environment,
            value: Value::String(value.to_owned()),
            origin: name,
        }));
    }
    let value = value_in(table, setting.key).or_else(|| {
        setting
            .former_key
            .and_then(|former| value_in(table, former))
    });
    Ok(value.map(|value| GivenValue {
        source: ValueSource::File,
        origin: "the configuration file".to_owned(),
        value: value.clone(),
    }))
}

/// The value of a key whose tables are joined by dots.
fn value_in<'a>(table: &'a Table, key: &str) -> Option<&'a Value> {
    let mut value = None;
    let mut level = Some(table);
    for part in key.split('.') {
        value = level.and_then(|level| level.get(part));
        level = value.and_then(Value::as_table);
    }
    value
}

/// Settings that identify a gateway, its Codex and its login.
const IDENTIFYING: [&str; 4] = ["listen", "codex.bin", "codex.home", "data_dir"];

/// The flags of this command that identify its gateway, with absolute paths, each after a space.
fn gateway_flags(flags: &Flags, config: &mut Config, file: Option<&Path>) -> String {
    let mut text = String::new();
    let mut add = |flag: &str, value: &str| {
        text.push_str(&format!(" --{flag} {}", shell_word(value)));
    };
    if let Some(file) = file.filter(|_| flags.config.is_some()) {
        add("config", &file.display().to_string());
    }
    for setting in SETTINGS.iter().filter(|it| IDENTIFYING.contains(&it.key)) {
        let given = flags.values.iter().any(|(key, _)| *key == setting.key);
        let (Some(flag), Some(Value::String(value))) =
            (setting.flag, (setting.field)(config).show())
        else {
            continue;
        };
        if given {
            add(flag, &value);
        }
    }
    text
}

/// Quotes a text as one word of a shell command.
fn shell_word(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+,:@%[]".contains(&byte);
    match !text.is_empty() && text.bytes().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

/// A warning for each former name that is used.
fn former_names(table: &Table, environment: &Environment) -> Vec<String> {
    let mut warnings = Vec::new();
    for setting in SETTINGS {
        let (Some(former), Some(variable)) = (setting.former_key, setting.former_variable()) else {
            continue;
        };
        if value_in(table, former).is_some() {
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
