//! Model aliases: the names of models that clients insist on, and the models that run in their place.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::options::is_effort;
use super::problems::quoted;

/// The aliases that the operator has set.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ModelAliases {
    exact: BTreeMap<String, ModelAlias>,
    /// Those of names with these beginnings.
    prefixes: BTreeMap<String, ModelAlias>,
}

/// What an alias stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ModelAlias {
    /// The name of a model, which is not an alias again.
    pub(super) model: String,
    /// The effort of requests that have none.
    pub(super) effort: Option<String>,
}

impl ModelAliases {
    /// Parses the setting. The error says what is wrong.
    pub(super) fn parse(setting: &Value) -> Result<Self, String> {
        let Value::Object(members) = setting else {
            return Err(
                "it must be an object of names and models, like {\"gpt-4o\": \"gpt-5.5\"}"
                    .to_owned(),
            );
        };
        let mut aliases = Self::default();
        for (name, value) in members {
            let alias = ModelAlias::parse(value)
                .map_err(|what| format!("`{}` must be {what}", quoted(name)))?;
            let prefix = name.strip_suffix('*');
            if prefix.unwrap_or(name).contains('*') || name.trim().is_empty() {
                return Err(format!(
                    "`{}` must be a name, or the beginning of names and then `*`",
                    quoted(name)
                ));
            }
            match prefix {
                Some(prefix) => aliases.prefixes.insert(prefix.to_owned(), alias),
                None => aliases.exact.insert(name.clone(), alias),
            };
        }
        Ok(aliases)
    }

    /// The alias of this name: its own, or that of its longest prefix.
    pub(super) fn find(&self, name: &str) -> Option<&ModelAlias> {
        let of_prefix = || {
            let matching = self.prefixes.iter();
            let matching = matching.filter(|(prefix, _)| name.starts_with(prefix.as_str()));
            let longest = matching.max_by_key(|(prefix, _)| prefix.len())?;
            Some(longest.1)
        };
        self.exact.get(name).or_else(of_prefix)
    }
}

impl ModelAlias {
    /// The error is what the value must be.
    fn parse(value: &Value) -> Result<Self, String> {
        let object;
        let members = match value {
            Value::String(model) => {
                object = Map::from_iter([("model".to_owned(), model.clone().into())]);
                &object
            }
            Value::Object(members) => members,
            _ => {
                return Err(
                    "the name of a model, or an object with `model` and `effort`".to_owned(),
                );
            }
        };
        if let Some(other) = members
            .keys()
            .find(|key| !["model", "effort"].contains(&key.as_str()))
        {
            return Err(format!(
                "an object with `model` and `effort` alone, without `{}`",
                quoted(other)
            ));
        }
        let model = members.get("model").and_then(Value::as_str);
        let model = model.filter(|model| !model.trim().is_empty());
        let effort = match members.get("effort") {
            None | Some(Value::Null) => Some(None),
            Some(effort) => effort.as_str().filter(|effort| is_effort(effort)).map(Some),
        };
        let Some(model) = model else {
            return Err("an alias of a model: `model` is its name".to_owned());
        };
        let Some(effort) = effort else {
            return Err("an alias with an `effort` like `low`, `medium` or `high`".to_owned());
        };
        Ok(Self {
            model: model.to_owned(),
            effort: effort.map(str::to_owned),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use serde_json::json;

    use super::*;

    #[test]
    fn an_exact_name_wins_over_the_longest_prefix() {
        let aliases = ModelAliases::parse(&json!({
            "*": "default",
            "claude-*": "gpt-5.5",
            "claude-haiku-*": {"model": "gpt-5.5-mini", "effort": "low"},
            "claude-haiku-4": {"model": "gpt-5.4", "effort": null},
            "gpt-5.5": "gpt-5.5",
        }))
        .unwrap();
        for (name, model, effort) in [
            ("claude-opus-5", "gpt-5.5", None),
            ("claude-", "gpt-5.5", None),
            ("claude-haiku-4-5", "gpt-5.5-mini", Some("low")),
            ("claude-haiku-4", "gpt-5.4", None),
            ("gpt-5.5", "gpt-5.5", None),
            ("Claude-opus", "default", None),
            ("", "default", None),
        ] {
            let expected = ModelAlias {
                model: model.to_owned(),
                effort: effort.map(str::to_owned),
            };
            assert_eq!(aliases.find(name), Some(&expected), "{name}");
        }
        let aliases = ModelAliases::parse(&json!({"gpt-4o": "gpt-5.5"})).unwrap();
        assert_eq!(aliases.find("gpt-4o-mini"), None);
        assert_eq!(aliases.find("gpt-4"), None);
        assert_eq!(ModelAliases::parse(&json!({})), Ok(ModelAliases::default()));
    }

    #[test]
    fn a_wrong_setting_is_named() {
        for (setting, what) in [
            (
                json!([]),
                "it must be an object of names and models, like {\"gpt-4o\": \"gpt-5.5\"}",
            ),
            (
                json!({"a": 1}),
                "`a` must be the name of a model, or an object with `model` and `effort`",
            ),
            (
                json!({"a": ""}),
                "`a` must be an alias of a model: `model` is its name",
            ),
            (
                json!({"a": {"effort": "low"}}),
                "`a` must be an alias of a model: `model` is its name",
            ),
            (
                json!({"a": {"model": "m", "effort": "Low"}}),
                "`a` must be an alias with an `effort` like `low`, `medium` or `high`",
            ),
            (
                json!({"a": {"model": "m", "verbosity": "low"}}),
                "`a` must be an object with `model` and `effort` alone, without `verbosity`",
            ),
            (
                json!({"": "m"}),
                "`` must be a name, or the beginning of names and then `*`",
            ),
            (
                json!({"a*b": "m"}),
                "`a*b` must be a name, or the beginning of names and then `*`",
            ),
            (
                json!({"a**": "m"}),
                "`a**` must be a name, or the beginning of names and then `*`",
            ),
        ] {
            assert_eq!(ModelAliases::parse(&setting), Err(what.to_owned()));
        }
    }
}
