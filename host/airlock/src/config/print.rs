//! Prints the effective configuration as TOML with comments.

use std::fmt::Write as _;

use toml::Value;

use super::{Config, LoadedConfig, SETTINGS, SettingField, ValueSource};

impl LoadedConfig {
    /// Every setting with its help, unit, default and source, as a configuration file that can be read back. Settings
    /// without a value, and secrets, are comments.
    pub fn to_toml(&self) -> String {
        let mut config = self.config.clone();
        let mut defaults = Config::defaults(config.environment.clone());
        let mut text = match &self.file {
            Some(file) => format!(
                "# Airlock's effective configuration. File: {}\n",
                file.display()
            ),
            None => "# Airlock's effective configuration. No file was read.\n".to_owned(),
        };
        let mut table = "";
        for (setting, source) in SETTINGS.iter().zip(&self.sources) {
            let (own_table, name) = setting.key.rsplit_once('.').unwrap_or(("", setting.key));
            if own_table != table {
                table = own_table;
                let _ = write!(text, "\n[{table}]\n");
            }
            let field = (setting.field)(&mut config);
            let default = show((setting.field)(&mut defaults).show().as_ref());
            let _ = write!(
                text,
                "\n# {}\n# {}; default {default}; ",
                setting.help,
                field.unit()
            );
            let _ = match source {
                ValueSource::Default => writeln!(text, "not set (variable {})", setting.variable()),
                ValueSource::File => writeln!(text, "from the file"),
                ValueSource::Environment => writeln!(text, "from the environment"),
                ValueSource::Flag => {
                    writeln!(text, "from the flag --{}", setting.flag.unwrap_or_default())
                }
            };
            let value = field.show();
            let is_comment = value.is_none() || matches!(field, SettingField::Secret(_));
            let mark = if is_comment { "# " } else { "" };
            let _ = writeln!(text, "{mark}{name} = {}", show(value.as_ref()));
        }
        text
    }
}

fn show(value: Option<&Value>) -> String {
    value.map_or_else(|| "none".to_owned(), Value::to_string)
}
