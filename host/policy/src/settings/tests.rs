//! The settings of policies.

#![allow(clippy::unwrap_used, reason = "tests")]

use serde_json::json;

use super::*;

fn setting(name: &str, takes: Takes, default: Option<&str>) -> Setting {
    Setting {
        name: name.to_owned(),
        summary: String::new(),
        takes,
        default: default.map(str::to_owned),
    }
}

fn description(settings: Vec<Setting>) -> Description {
    Description {
        name: "test".to_owned(),
        version: "1".to_owned(),
        summary: String::new(),
        dialects: Vec::new(),
        strategies: Vec::new(),
        settings,
    }
}

fn settled(settings: Vec<Setting>, common: &Value, own: &Value) -> Result<Value, String> {
    let map = |value: &Value| value.as_object().cloned().unwrap();
    let text = settle(Some(&description(settings)), &map(common), &map(own))?;
    Ok(serde_json::from_str(&text).unwrap())
}

#[test]
fn own_settings_outweigh_common_ones_and_defaults() {
    let settings = || {
        vec![
            setting("strict", Takes::Flag, Some("false")),
            setting("voice", Takes::Text, Some("\"plain\"")),
            setting("synthesis", Takes::Choice(vec!["merge".to_owned()]), None),
        ]
    };
    let common = json!({"strict": true, "unknown to it": 1});
    assert_eq!(
        settled(settings(), &common, &json!({})).unwrap(),
        json!({"strict": true, "voice": "plain"})
    );
    assert_eq!(
        settled(
            settings(),
            &common,
            &json!({"strict": false, "synthesis": "merge"})
        )
        .unwrap(),
        json!({"strict": false, "voice": "plain", "synthesis": "merge"})
    );
}

#[test]
fn a_wrong_setting_is_refused_by_name() {
    let cases = [
        (Takes::Flag, json!(1), "true or false"),
        (
            Takes::Whole((0, 10)),
            json!(11),
            "a whole number from 0 to 10",
        ),
        (
            Takes::Whole((0, 10)),
            json!(1.5),
            "a whole number from 0 to 10",
        ),
        (Takes::Text, json!(null), "a text"),
        (
            Takes::Choice(vec!["a".to_owned(), "b".to_owned()]),
            json!("c"),
            "one of a, b",
        ),
        (Takes::Texts, json!(["a", 1]), "a list of texts"),
    ];
    for (takes, value, expected) in cases {
        let error = settled(
            vec![setting("it", takes, None)],
            &json!({}),
            &json!({"it": value}),
        );
        assert_eq!(error.unwrap_err(), format!("`it` must be {expected}"));
    }
    let error = settled(
        vec![setting("it", Takes::Json, None)],
        &json!({}),
        &json!({"that": 1}),
    );
    assert_eq!(
        error.unwrap_err(),
        "`that`: there is no such setting; there are it"
    );
    let error = settled(Vec::new(), &json!({}), &json!({"that": 1}));
    assert_eq!(error.unwrap_err(), "`that`: the policy takes no settings");
}

#[test]
fn a_policy_that_does_not_describe_itself_gets_what_there_is() {
    let map = |value: Value| value.as_object().cloned().unwrap();
    let text = settle(
        None,
        &map(json!({"strict": false})),
        &map(json!({"x": [1]})),
    )
    .unwrap();
    assert_eq!(text, r#"{"strict":false,"x":[1]}"#);
}
