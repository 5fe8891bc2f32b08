//! The flags of settings, which come from the table of settings.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use toml::Value;

use crate::config::{Config, Flags, SETTINGS, SettingField};
use airlock_base::environment::Environment;

/// The settings that the flags give.
pub(super) fn flags(matches: &ArgMatches) -> Flags {
    let mut values = Vec::new();
    for setting in SETTINGS.iter().filter(|setting| setting.flag.is_some()) {
        // A switch that is not given has clap's default as its value, which must not override the file.
        let given =
            matches.value_source(setting.key) == Some(clap::parser::ValueSource::CommandLine);
        let raw = matches.get_raw(setting.key).and_then(|mut raw| raw.next());
        if given {
            let value = raw.map_or_else(
                || "true".to_owned(),
                |raw| raw.to_string_lossy().into_owned(),
            );
            values.push((setting.key, value));
        }
    }
    Flags {
        config: matches.get_one::<PathBuf>("config").cloned(),
        values,
    }
}

/// Adds the flags of settings. All commands share them, so that `config` and `doctor` describe `serve` with the same flags.
pub(super) fn options(mut command: Command) -> Command {
    // Defaults in the user's home are shown with `~`.
    let mut sample = Config::defaults(Environment::from_iter([("HOME", "~")]));
    for setting in SETTINGS {
        let Some(flag) = setting.flag else { continue };
        let field = (setting.field)(&mut sample);
        let default = match (&field, field.show()) {
            // All switches are off by default.
            (SettingField::Bool(_), _) | (_, None) => String::new(),
            (_, Some(Value::String(text))) => format!(" [default: {text}]"),
            (_, Some(value)) => format!(" [default: {value}]"),
        };
        let argument = Arg::new(setting.key).long(flag).help(format!(
            "{}{default} [env: {}]",
            setting.help,
            setting.variable()
        ));
        command = command.arg(match field {
            SettingField::Bool(_) => argument.action(ArgAction::SetTrue),
            SettingField::Address(_) => argument.value_name("IP:PORT"),
            SettingField::Policy(_) => argument.value_name("FILE|shipped"),
            SettingField::ExistingFolder(_) | SettingField::Folder(_) => argument.value_name("DIR"),
            _ => argument.value_name("PATH"),
        });
    }
    let file = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf));
    command.arg(file.help("The configuration file. Else ~/.config/airlock/config.toml, if it exists [env: AIRLOCK_CONFIG]"))
}
