//! The settings of a policy: the values of operators, checked against its manifest.

use serde_json::{Map, Value};

use airlock_types::wit::{Description, Setting, Takes};

/// The settings that a policy's requests carry, as JSON: its own values, else the common ones, else its defaults. A policy
/// without a manifest receives all common and own values.
///
/// # Errors
/// The setting that is invalid, and the values that it takes; or an unknown setting, and the known ones.
pub fn settle(
    description: Option<&Description>,
    common: &Map<String, Value>,
    own: &Map<String, Value>,
) -> Result<String, String> {
    let Some(description) = description else {
        let mut all = common.clone();
        all.extend(own.clone());
        return Ok(Value::Object(all).to_string());
    };
    let known = |name: &String| description.settings.iter().any(|it| it.name == *name);
    if let Some(unknown) = own.keys().find(|name| !known(name)) {
        let names: Vec<&str> = description
            .settings
            .iter()
            .map(|it| it.name.as_str())
            .collect();
        return Err(match names.as_slice() {
            [] => format!("`{unknown}`: the policy takes no settings"),
            names => format!(
                "`{unknown}`: there is no such setting; there are {}",
                names.join(", ")
            ),
        });
    }
    let mut settled = Map::new();
    for setting in &description.settings {
        let given = own.get(&setting.name).or_else(|| common.get(&setting.name));
        let value = match (given, &setting.default) {
            (Some(value), _) => value.clone(),
            (None, Some(default)) => serde_json::from_str(default)
                .map_err(|_| format!("`{}`: its default is not JSON", setting.name))?,
            (None, None) => continue,
        };
        check(setting, &value)?;
        settled.insert(setting.name.clone(), value);
    }
    Ok(Value::Object(settled).to_string())
}

fn check(setting: &Setting, value: &Value) -> Result<(), String> {
    let fits = match &setting.takes {
        Takes::Flag => value.is_boolean(),
        Takes::Whole((least, most)) => value
            .as_i64()
            .is_some_and(|number| (least..=most).contains(&&number)),
        Takes::Text => value.is_string(),
        Takes::Choice(choices) => value
            .as_str()
            .is_some_and(|text| choices.iter().any(|choice| choice == text)),
        Takes::Texts => value
            .as_array()
            .is_some_and(|values| values.iter().all(Value::is_string)),
        Takes::Json => true,
    };
    if fits {
        return Ok(());
    }
    Err(format!(
        "`{}` must be {}",
        setting.name,
        must_be(&setting.takes)
    ))
}

/// The values that a setting takes, as text.
pub(crate) fn must_be(takes: &Takes) -> String {
    match takes {
        Takes::Flag => "true or false".to_owned(),
        Takes::Whole((least, most)) => format!("a whole number from {least} to {most}"),
        Takes::Text => "a text".to_owned(),
        Takes::Choice(choices) => format!("one of {}", choices.join(", ")),
        Takes::Texts => "a list of texts".to_owned(),
        Takes::Json => "any JSON".to_owned(),
    }
}

#[cfg(test)]
mod tests;
