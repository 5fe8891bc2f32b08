//! The list of models.
#![allow(clippy::unwrap_used, reason = "tests")]

use serde_json::json;

use super::*;
use airlock_attachments::Attachments;
use airlock_types::wit::InputItem;

fn model_list(open: bool) -> ModelList {
    let models = json!([
        {"id": "big", "hidden": false, "isDefault": true, "inputModalities": ["text", "image"],
         "supportedReasoningEfforts": [{"reasoningEffort": "low"}, {"reasoningEffort": "high"}]},
        {"id": "blind", "inputModalities": ["text"]},
        {"id": "silent"},
        {"id": "secret", "hidden": true},
    ]);
    ModelList::new(serde_json::from_value(models).unwrap(), None, open, None)
}

fn selection(name: &str, param: &str) -> Selection {
    Selection {
        name: name.to_owned(),
        param: param.to_owned(),
    }
}

fn brief(model: &str, effort: Option<&str>, input: Vec<InputItem>) -> Brief {
    Brief {
        model: Some(selection(model, "airlock.candidates[0].model")),
        effort: effort.map(|name| selection(name, "reasoning_effort")),
        summary: None,
        instructions: String::new(),
        input,
        output_schema: None,
        tools: false,
        verbosity: None,
    }
}

fn attachments() -> Attachments {
    Attachments::lift(r#"{"input":{"image_url":"data:image/png;base64,AAAA"}}"#.to_owned()).1
}

fn conversation(model: Option<Selection>, history: Vec<String>) -> Conversation {
    Conversation::new(model, String::new(), history, Vec::new(), attachments()).unwrap()
}

fn refusal(open: bool, history: Vec<String>, brief: &Brief) -> Option<airlock_types::wit::Problem> {
    let checked = model_list(open).check(&conversation(None, history), brief);
    checked.err().map(|failure| failure.problem)
}

fn code(open: bool, brief: &Brief) -> Option<String> {
    refusal(open, Vec::new(), brief).and_then(|problem| problem.code)
}

#[test]
fn only_models_of_the_list_exist_unless_the_provider_is_the_homes_own() {
    let ask = |model| brief(model, None, vec![InputItem::Text("hi".to_owned())]);
    assert_eq!(code(false, &ask("big")), None);
    assert_eq!(code(false, &ask("secret")), None);
    assert_eq!(code(false, &ask("no")).as_deref(), Some("model_not_found"));
    assert_eq!(code(true, &ask("no")), None);
    let param = refusal(false, Vec::new(), &ask("no")).unwrap().param;
    assert_eq!(param.as_deref(), Some("airlock.candidates[0].model"));
    let shown = model_list(false).visible();
    assert_eq!(
        shown
            .iter()
            .map(|model| model.id.as_str())
            .collect::<Vec<_>>(),
        ["big", "blind", "silent"]
    );
}

#[test]
fn the_homes_model_is_the_default_and_checked_as_such() {
    let models = json!([{"id": "a", "isDefault": true}, {"id": "b", "inputModalities": ["text"]}]);
    let models = || serde_json::from_value(models.clone()).unwrap();
    let default = |configured: Option<&str>| {
        let list = ModelList::new(models(), configured.map(str::to_owned), true, None);
        let marked = list.visible.iter().filter(|model| model.is_default);
        marked.map(|model| model.id.clone()).collect::<String>()
    };
    assert_eq!(
        (default(None), default(Some("b")), default(Some("c"))),
        ("a".to_owned(), "b".to_owned(), String::new())
    );
    let mut silent = brief("", None, vec![InputItem::Attachment(0)]);
    silent.model = None;
    let none = conversation(None, Vec::new());
    let list = ModelList::new(models(), Some("b".to_owned()), true, None);
    assert!(list.check(&none, &silent).is_err());
    let unlisted = ModelList::new(models(), Some("c".to_owned()), false, None);
    let checked = unlisted.check(&none, &silent);
    assert_eq!(checked.unwrap(), "c");
    // The model of the plan applies to every brief that names none.
    let plans = conversation(Some(selection("a", "model")), Vec::new());
    let checked = list.check(&plans, &silent);
    assert_eq!(checked.unwrap(), "a");
}

#[test]
fn efforts_are_checked_where_the_model_lists_them() {
    let ask = |model, effort| brief(model, Some(effort), vec![]);
    assert_eq!(code(false, &ask("big", "high")), None);
    assert_eq!(
        code(false, &ask("big", "bogus")).as_deref(),
        Some("unsupported_value")
    );
    assert_eq!(code(false, &ask("silent", "bogus")), None);
}

#[test]
fn images_go_only_to_models_that_may_take_them() {
    let ask = |model| brief(model, None, vec![InputItem::Attachment(0)]);
    assert_eq!(code(false, &ask("big")), None);
    assert_eq!(code(false, &ask("silent")), None);
    assert_eq!(
        code(false, &ask("blind")).as_deref(),
        Some("unsupported_value")
    );
    let image = json!({"type": "input_image", "image_url": "attachment:0"});
    let earlier = json!({"type": "message", "role": "user", "content": [image]}).to_string();
    let and = brief("blind", None, vec![InputItem::Text("and?".to_owned())]);
    let refused = refusal(false, vec![earlier], &and).unwrap();
    assert_eq!(refused.code.as_deref(), Some("unsupported_value"));
    assert_eq!(refused.param.as_deref(), Some("input.image_url"));
    let text_only = brief(
        "blind",
        None,
        vec![InputItem::Text("attachment:0".to_owned())],
    );
    assert_eq!(code(false, &text_only), None);
}
