//! The model list in OpenAI's format, with the attributes that Codex adds.

use serde::Serialize;

use crate::bindings::airlock::policy::types::Model;
use crate::json;

/// `GET /v1/models`: one line of JSON.
pub fn list(models: &[Model]) -> String {
    json::to_line(&ModelListObject {
        object: "list",
        data: models.iter().map(ModelObject::of).collect(),
    })
}

/// `GET /v1/models/{id}`: one line of JSON.
pub fn show(model: &Model) -> String {
    json::to_line(&ModelObject::of(model))
}

#[derive(Serialize)]
struct ModelListObject<'a> {
    object: &'static str,
    data: Vec<ModelObject<'a>>,
}

#[derive(Serialize)]
struct ModelObject<'a> {
    id: &'a str,
    object: &'static str,
    /// OpenAI's clients require a time, and Codex reports none.
    created: u64,
    owned_by: &'static str,
    display_name: &'a str,
    description: &'a str,
    is_default: bool,
    reasoning_efforts: &'a [String],
    default_reasoning_effort: Option<&'a str>,
    input_modalities: Vec<&'a str>,
    /// Whether requests of this model may have `tools`.
    supports_tools: bool,
}

impl<'a> ModelObject<'a> {
    fn of(model: &'a Model) -> Self {
        // A model without declared modalities gets both.
        let input_modalities = if model.inputs.is_empty() {
            vec!["text", "image"]
        } else {
            model.inputs.iter().map(String::as_str).collect()
        };
        Self {
            id: &model.id,
            object: "model",
            created: 0,
            owned_by: "openai",
            display_name: &model.display_name,
            description: &model.description,
            is_default: model.is_default,
            reasoning_efforts: &model.efforts,
            default_reasoning_effort: model.default_effort.as_deref(),
            input_modalities,
            supports_tools: model.tools,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_has_all_attributes_that_codex_reports() {
        let known = Model {
            id: "gpt-5.5".to_owned(),
            display_name: "GPT-5.5".to_owned(),
            description: "For \"hard\" things".to_owned(),
            is_default: true,
            efforts: vec!["low".to_owned(), "high".to_owned()],
            default_effort: Some("low".to_owned()),
            inputs: vec!["text".to_owned()],
            tools: true,
        };
        let minimal = Model {
            id: "local".to_owned(),
            display_name: String::new(),
            description: String::new(),
            is_default: false,
            efforts: Vec::new(),
            default_effort: None,
            inputs: Vec::new(),
            tools: false,
        };
        let known_json = r#"{"id":"gpt-5.5","object":"model","created":0,"owned_by":"openai","display_name":"GPT-5.5","description":"For \"hard\" things","is_default":true,"reasoning_efforts":["low","high"],"default_reasoning_effort":"low","input_modalities":["text"],"supports_tools":true}"#;
        let minimal_json = r#"{"id":"local","object":"model","created":0,"owned_by":"openai","display_name":"","description":"","is_default":false,"reasoning_efforts":[],"default_reasoning_effort":null,"input_modalities":["text","image"],"supports_tools":false}"#;
        assert_eq!(show(&known), known_json);
        assert_eq!(
            list(&[known, minimal]),
            format!(r#"{{"object":"list","data":[{known_json},{minimal_json}]}}"#)
        );
        assert_eq!(list(&[]), r#"{"object":"list","data":[]}"#);
    }
}
