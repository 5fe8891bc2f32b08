//! The settings that are inherited from an existing home, and those that Airlock lays over them.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

fn taken(text: &str) -> InheritedSettings {
    InheritedSettings::from_table(&text.parse().unwrap()).unwrap()
}

#[test]
fn airlocks_settings_are_toml_and_override_inherited_ones() {
    let ours: Table = OURS.parse().unwrap();
    assert_eq!(ours["approval_policy"].as_str(), Some("never"));
    assert_eq!(ours["sandbox_mode"].as_str(), Some("read-only"));
    let rendered: Table = render(&taken("model = \"m\"")).parse().unwrap();
    assert_eq!(rendered["model"].as_str(), Some("m"));
    for (key, value) in &ours {
        assert_eq!(&rendered[key], value);
        assert!(
            !INHERITED.contains(&key.as_str()),
            "{key} is both ours and taken"
        );
    }
}

#[test]
fn a_provider_receives_the_depth_header() {
    let headers = |provider: &str| {
        let theirs = format!("model_provider = \"corp\"\n[model_providers.corp]\n{provider}");
        let rendered: Table = render(&taken(&theirs)).parse().unwrap();
        rendered["model_providers"]["corp"]["http_headers"].clone()
    };
    let headers_sent = headers("http_headers = { team = \"a\", \"x-airlock-depth\" = \"0\" }");
    assert_eq!(headers_sent["team"].as_str(), Some("a"));
    assert_eq!(headers_sent["x-airlock-depth"].as_str(), Some("1"));
    assert_eq!(headers("")["x-airlock-depth"].as_str(), Some("1"));
}

#[test]
fn only_the_model_and_its_provider_are_inherited() {
    let theirs = r#"
        model = "big"
        model_provider = "corp"
        openai_base_url = "https://proxy.example/v1"
        approval_policy = "on-request"
        sandbox_mode = "danger-full-access"
        notify = ["sh"]
        profile = "mine"
        instructions = "be rude"
        [mcp_servers.files]
        command = "files"
        [features]
        shell_tool = true
        [hooks]
        x = 1
        [profiles.mine]
        model = "small"
        [model_providers.corp]
        base_url = "https://corp.example"
        env_key = "CORP_KEY"
        env_http_headers = { "x-team" = "CORP_TEAM", "x-again" = "CORP_KEY" }
        [model_providers.other]
        env_key = "OTHER_KEY"
    "#;
    let taken = taken(theirs);
    let keys: Vec<&str> = taken.0.keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        [
            "model",
            "model_provider",
            "model_providers",
            "openai_base_url"
        ]
    );
    assert_eq!(
        taken.0["model_providers"]
            .as_table()
            .unwrap()
            .keys()
            .collect::<Vec<_>>(),
        ["corp"]
    );
    assert_eq!(taken.env_keys(), ["CORP_KEY", "CORP_TEAM"]);
    assert!(taken.custom_provider());
    let rendered: Table = render(&taken).parse().unwrap();
    assert_eq!(rendered["sandbox_mode"].as_str(), Some("read-only"));
    assert_eq!(rendered["features"]["shell_tool"].as_bool(), Some(false));
    assert!(!rendered.contains_key("mcp_servers"));
}

#[test]
fn openai_is_no_custom_provider() {
    assert!(!taken("").custom_provider());
    assert!(!taken("model_provider = \"openai\"").custom_provider());
    assert!(taken("model_provider = \"ollama\"").custom_provider());
}

#[test]
fn a_provider_of_the_wrong_shape_is_named() {
    let refused = |text: &str| InheritedSettings::from_table(&text.parse().unwrap()).unwrap_err();
    assert_eq!(refused("model_provider = 3"), "model_provider is not text");
    assert_eq!(
        refused("model_provider = \"a\"\nmodel_providers.a = 1"),
        "model_providers.a is not a table"
    );
}

#[test]
fn the_scripted_model_is_set_on_the_command_line() {
    let overrides = rehearsal_overrides("http://127.0.0.1:5/x/v1");
    let text = overrides.join("\n");
    let settings: Table = text.parse().unwrap();
    assert_eq!(settings["model_provider"].as_str(), Some("rehearsal"));
    let provider = &settings["model_providers"]["rehearsal"];
    assert_eq!(
        provider["base_url"].as_str(),
        Some("http://127.0.0.1:5/x/v1")
    );
    assert_eq!(provider["requires_openai_auth"].as_bool(), Some(false));
}

#[test]
fn the_models_url_follows_from_settings_and_login() {
    let url = |text: &str, mode| taken(text).model_urls().base_url(mode).map(str::to_owned);
    let provider = |lines: &str| format!("model_provider = \"corp\"\n{lines}");
    for (text, mode, expected) in [
        ("", None, Some(CHATGPT)),
        ("", Some("chatgptAuthTokens"), Some(CHATGPT)),
        ("", Some("apikey"), Some(API)),
        (
            "openai_base_url = \"https://o.example/v1\"",
            Some("apikey"),
            Some("https://o.example/v1"),
        ),
        (
            &provider("[model_providers.corp]\nbase_url = \"http://c.example\""),
            None,
            Some("http://c.example"),
        ),
        (
            &provider("openai_base_url = \"https://o.example\""),
            Some("apikey"),
            None,
        ),
    ] {
        assert_eq!(url(text, mode).as_deref(), expected, "{text}");
    }
}
