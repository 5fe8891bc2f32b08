//! The policy's settings. The host passes them as JSON.

use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

use super::fan_out::{one_of, strategy_named};
use super::model_aliases::ModelAliases;
use super::problems::quoted;
use crate::bindings::airlock::policy::types::{Problem, ProblemKind};
use crate::panel::{ExternalStrategy, Strategy};
use crate::problem::coded;

/// The settings.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct PolicySettings {
    /// Refuse fields that would be ignored.
    pub(super) strict: bool,
    /// The strategy of a fan-out that names none.
    pub(super) synthesis: Option<String>,
    /// The strategies of a panel that another component exports beside this `prompt`, the default first. They replace
    /// this policy's own.
    pub(super) strategies: Vec<String>,
    /// The models that run in place of those that clients name.
    #[serde(deserialize_with = "aliases")]
    pub(super) aliases: ModelAliases,
}

fn aliases<'de, D: Deserializer<'de>>(source: D) -> Result<ModelAliases, D::Error> {
    match Value::deserialize(source)? {
        Value::Null => Ok(ModelAliases::default()),
        setting => ModelAliases::parse(&setting)
            .map_err(|what| de::Error::custom(format_args!("{ALIASES}{what}"))),
    }
}

/// The beginning of the error of `aliases`.
const ALIASES: &str = "`aliases`: ";

impl PolicySettings {
    /// Parses the settings. An empty text gives the defaults.
    ///
    /// # Errors
    ///
    /// `internal` if they cannot be parsed, or if `synthesis` names no strategy.
    pub(super) fn parse(text: &str, strategies: &[Box<dyn Strategy>]) -> Result<Self, Problem> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        // Fails closed: a gateway that was meant to be strict must not become lenient by a mistake. serde would
        // accept an array too, member by member.
        let shape = "they must be an object like {\"strict\": true}";
        if !text.trim_start().starts_with('{') {
            return Err(invalid_settings(shape));
        }
        let settings: Self = serde_json::from_str(text).map_err(|error| {
            let error = error.to_string();
            invalid_settings(if error.starts_with(ALIASES) {
                error.split(" at line ").next().unwrap_or(&error)
            } else {
                shape
            })
        })?;
        let external = settings.external();
        let strategies = external.as_deref().unwrap_or(strategies);
        match settings.synthesis.as_deref() {
            Some(name) if strategy_named(strategies, name).is_none() => {
                Err(invalid_settings(&format!(
                    "`synthesis` must be {}, not `{}`",
                    one_of(strategies),
                    quoted(name)
                )))
            }
            Some(_) | None => Ok(settings),
        }
    }

    /// The strategies of another component's panel, if there is one.
    pub(super) fn external(&self) -> Option<Vec<Box<dyn Strategy>>> {
        let names = self.strategies.iter();
        let all = names.map(|name| Box::new(ExternalStrategy(name.clone())) as Box<dyn Strategy>);
        (!self.strategies.is_empty()).then(|| all.collect())
    }
}

fn invalid_settings(what: &str) -> Problem {
    coded(
        ProblemKind::Internal,
        "invalid_settings",
        format!("the policy cannot read its settings: {what}"),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::panel::{MergeStrategy, VoteStrategy};

    fn strategies() -> [Box<dyn Strategy>; 2] {
        [Box::new(MergeStrategy), Box::new(VoteStrategy::default())]
    }

    #[test]
    fn absent_settings_have_their_defaults() {
        for text in [
            "",
            " \n",
            "{}",
            r#"{"synthesis":null,"else":1,"aliases":null}"#,
        ] {
            let settings = PolicySettings::parse(text, &strategies()).unwrap();
            assert_eq!(settings, PolicySettings::default(), "{text}");
        }
        let expected = PolicySettings {
            strict: true,
            synthesis: Some("vote".to_owned()),
            ..PolicySettings::default()
        };
        let text = r#"{"synthesis":"vote","strict":true}"#;
        assert_eq!(PolicySettings::parse(text, &strategies()), Ok(expected));
    }

    #[test]
    fn the_strategies_of_another_panel_replace_the_policys() {
        let text = r#"{"strategies":["shortest","longest"],"synthesis":"longest"}"#;
        let settings = PolicySettings::parse(text, &strategies()).unwrap();
        let external = settings.external().unwrap();
        let names: Vec<&str> = external.iter().map(|it| it.name()).collect();
        assert_eq!(names, ["shortest", "longest"]);
        let text = r#"{"strategies":["shortest"],"synthesis":"vote"}"#;
        let problem = PolicySettings::parse(text, &strategies()).unwrap_err();
        assert!(
            problem
                .message
                .ends_with("`synthesis` must be one of `shortest`, not `vote`"),
            "{}",
            problem.message
        );
        assert!(PolicySettings::default().external().is_none());
    }

    #[test]
    fn unreadable_settings_are_an_internal_problem() {
        for text in [
            "[]",
            "[true]",
            "{",
            r#"{"strict":"yes"}"#,
            r#"{"aliases":[]}"#,
            r#"{"synthesis":1}"#,
            r#"{"synthesis":""}"#,
            r#"{"synthesis":"judge"}"#,
            r#"{"synthesis":"Vote"}"#,
        ] {
            let problem = PolicySettings::parse(text, &strategies()).unwrap_err();
            assert_eq!(problem.kind, ProblemKind::Internal, "{text}");
            assert_eq!(problem.code.as_deref(), Some("invalid_settings"), "{text}");
            assert_eq!(problem.param, None, "{text}");
        }
        let problem = PolicySettings::parse(r#"{"synthesis":"judge"}"#, &strategies()).unwrap_err();
        assert!(
            problem
                .message
                .ends_with("`synthesis` must be one of `merge`, `vote`, not `judge`"),
            "{}",
            problem.message
        );
        let text = r#"{"aliases":{"gpt-4o":{"model":"gpt-5.5","effort":"HIGH"}}}"#;
        let problem = PolicySettings::parse(text, &strategies()).unwrap_err();
        assert_eq!(
            problem.message,
            "the policy cannot read its settings: `aliases`: `gpt-4o` must be an alias with an `effort` like `low`, `medium` or `high`"
        );
    }
}
