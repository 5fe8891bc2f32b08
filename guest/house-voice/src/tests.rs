//! Tests of the policy with its own settings.
#![allow(clippy::unwrap_used, reason = "tests")]

use airlock_shipped_policy::bindings::airlock::policy::types::{Attachment, Transport};
use airlock_shipped_policy::{DIALECTS, MESSAGES_DIALECT};
use manifest::Takes;

use super::*;

fn render(settings: &str, messages: &str) -> Result<prompt::Plan, Problem> {
    let action = <HouseVoicePolicy as prompt::Guest>::render(Request {
        id: "req_1".to_owned(),
        arrived: 0,
        dialect: airlock_shipped_policy::DIALECT.to_owned(),
        body: format!(r#"{{"model":"m","messages":{messages},"logit_bias":{{"1":1}}}}"#),
        attachments: vec![Attachment {
            media_type: "image/png".to_owned(),
            path: "messages[2].content[0].image_url.url".to_owned(),
            digest: "00".repeat(32),
            size: 1,
        }],
        settings: settings.to_owned(),
        nested: false,
        route: "POST /v1/chat/completions".to_owned(),
        path_parameters: Vec::new(),
        query: Vec::new(),
        seed: String::new(),
        transport: Transport::Http,
        has_store: true,
        loaded: None,
    })?;
    match action {
        prompt::Action::Run(plan) => Ok(plan),
        other => panic!("a plan is expected, not {other:?}"),
    }
}

const MESSAGES: &str =
    r#"[{"role":"system","content":"Be exact."},{"role":"user","content":"hi"}]"#;

/// The same conversation in every dialect: a system prompt, and a message of the user.
fn render_in(dialect: &str, settings: &str, question: &str) -> Result<prompt::Plan, Problem> {
    let (route, body) = match dialect {
        MESSAGES_DIALECT => (
            "POST /v1/messages",
            r#""max_tokens":9,"system":"Be exact.","messages":[{"role":"user","content":QUESTION}]"#,
        ),
        RESPONSES_DIALECT => (
            "POST /v1/responses",
            r#""instructions":"Be exact.","input":QUESTION"#,
        ),
        _ => (
            "POST /v1/chat/completions",
            r#""messages":[{"role":"system","content":"Be exact."},{"role":"user","content":QUESTION}]"#,
        ),
    };
    let question = serde_json::to_string(question).unwrap();
    let body = body.replace("QUESTION", &question);
    let action = <HouseVoicePolicy as prompt::Guest>::render(Request {
        id: "req_1".to_owned(),
        arrived: 0,
        dialect: dialect.to_owned(),
        body: format!(r#"{{"model":"m",{body}}}"#),
        attachments: Vec::new(),
        settings: settings.to_owned(),
        nested: false,
        route: route.to_owned(),
        path_parameters: Vec::new(),
        query: Vec::new(),
        seed: String::new(),
        transport: Transport::Http,
        has_store: true,
        loaded: None,
    })?;
    match action {
        prompt::Action::Run(plan) => Ok(plan),
        other => panic!("a plan is expected, not {other:?}"),
    }
}

#[test]
fn every_dialect_has_the_voice_and_the_refusals() {
    let fields = ["messages", "messages", "input"];
    for (dialect, field) in DIALECTS.into_iter().zip(fields) {
        let settings = r#"{"voice":"You speak for Example Ltd.","refuse":["bomb"]}"#;
        let plan = render_in(dialect, settings, "hi").unwrap();
        assert_eq!(
            plan.instructions, "You speak for Example Ltd.\n\nBe exact.",
            "{dialect}"
        );
        let problem = render_in(dialect, settings, "a bomb").unwrap_err();
        assert_eq!(problem.code.as_deref(), Some("content_policy_violation"));
        assert_eq!(problem.param.as_deref(), Some(field), "{dialect}");
    }
}

#[test]
fn the_voice_comes_before_the_system_prompt() {
    let voice = r#"{"voice":"You speak for Example Ltd.","strict":false}"#;
    let plan = render(voice, MESSAGES).unwrap();
    assert_eq!(plan.instructions, "You speak for Example Ltd.\n\nBe exact.");
    let alone = render(voice, r#"[{"role":"user","content":"hi"}]"#).unwrap();
    assert_eq!(alone.instructions, "You speak for Example Ltd.");
}

#[test]
fn without_settings_it_is_the_shipped_policy() {
    for settings in ["", "{}", r#"{"voice":"","refuse":[],"synthesis":"vote"}"#] {
        let plan = render(settings, MESSAGES).unwrap();
        assert_eq!(plan.instructions, "Be exact.", "{settings}");
        assert_eq!(plan.ignored, ["logit_bias"], "{settings}");
    }
}

#[test]
fn the_shipped_settings_are_listed_with_its_own() {
    let strict = render(r#"{"voice":"v","strict":true}"#, MESSAGES).unwrap_err();
    assert_eq!(strict.param.as_deref(), Some("logit_bias"));
    let names: Vec<String> = <HouseVoicePolicy as manifest::Guest>::describe()
        .settings
        .into_iter()
        .map(|setting| setting.name)
        .collect();
    assert_eq!(names, ["strict", "synthesis", "aliases", "voice", "refuse"]);
    let takes = settings::described().map(|setting| setting.takes);
    assert_eq!(takes, [Takes::Text, Takes::Texts]);
}

#[test]
fn only_the_last_user_message_is_refused() {
    let refuse = r#"{"refuse":["trade secrets","bomb"]}"#;
    let parts = r#"[{"role":"user","content":[{"type":"text","text":"Any trade"},{"type":"text","text":"SECRETS?"}]}]"#;
    let problem = render(refuse, parts).unwrap_err();
    assert_eq!(problem.kind, ProblemKind::InvalidRequest);
    assert_eq!(problem.code.as_deref(), Some("content_policy_violation"));
    assert!(
        problem.message.contains("`trade secrets`"),
        "{}",
        problem.message
    );

    let body = r#"[{"role":"user","content":"a BOMB"}],"parallel_calls":3"#;
    let fan_out = render(refuse, body).unwrap_err();
    assert_eq!(fan_out.code.as_deref(), Some("content_policy_violation"));

    let earlier = r#"[{"role":"user","content":"a bomb"},{"role":"assistant","content":"bomb?"},{"role":"user","content":"thanks"}]"#;
    assert!(render(refuse, earlier).is_ok());

    // An earlier message is not checked either where the last one has no text.
    let image = r#"[{"role":"user","content":"a bomb"},{"role":"assistant","content":"No."},{"role":"user","content":[{"type":"image_url","image_url":{"url":"attachment:0"}}]}]"#;
    render(refuse, image).unwrap();
    let fan_out = format!(r#"{image},"parallel_calls":3"#);
    render(refuse, &fan_out).unwrap();
}

#[test]
fn an_invalid_request_is_reported_as_such() {
    let problem = render(r#"{"refuse":["hi"]}"#, "[]").unwrap_err();
    assert_eq!(problem.param.as_deref(), Some("messages"));
    assert_ne!(problem.code.as_deref(), Some("content_policy_violation"));
}

#[test]
fn unreadable_settings_are_an_internal_problem() {
    for settings in [
        "[]",
        "{",
        r#"{"voice":1}"#,
        r#"{"refuse":"bomb"}"#,
        r#"{"refuse":["bomb",2]}"#,
        r#"{"refuse":["?"]}"#,
    ] {
        let problem = render(settings, MESSAGES).unwrap_err();
        assert_eq!(problem.kind, ProblemKind::Internal, "{settings}");
        assert_eq!(
            problem.code.as_deref(),
            Some("invalid_settings"),
            "{settings}"
        );
    }
}
