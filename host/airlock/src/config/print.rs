//! The effective configuration as TOML that explains itself.

use std::fmt::Write as _;

use toml::Value;

use super::{Config, Loaded, SETTINGS, Source};

impl Loaded {
    /// Every key with its meaning, unit, default and source. It can be read back as a configuration file;
    /// what is not set, and secrets, are comments.
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
            let (here, name) = setting.key.rsplit_once('.').unwrap_or(("", setting.key));
            if here != table {
                table = here;
                let _ = write!(text, "\n[{table}]\n");
            }
            let slot = (setting.slot)(&mut config);
            let default = show((setting.slot)(&mut defaults).show().as_ref());
            let _ = write!(
                text,
                "\n# {}\n# {}; default {default}; ",
                setting.help,
                slot.unit()
            );
            let _ = match source {
                Source::Default => writeln!(text, "not set (variable {})", setting.variable()),
                Source::File => writeln!(text, "from the file"),
                Source::Environment => writeln!(text, "from the environment"),
                Source::Flag => {
                    writeln!(text, "from the flag --{}", setting.flag.unwrap_or_default())
                }
            };
            let value = slot.show();
            let inert = value.is_none() || matches!(slot, super::Slot::Secret(_));
            let mark = if inert { "# " } else { "" };
            let _ = writeln!(text, "{mark}{name} = {}", show(value.as_ref()));
        }
        text
    }
}

fn show(value: Option<&Value>) -> String {
    value.map_or_else(|| "none".to_owned(), Value::to_string)
}
