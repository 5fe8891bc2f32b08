//! The model list in the dialect's format: OpenAI's with the attributes that Codex adds, and Anthropic's.

use serde::Serialize;

use crate::bindings::airlock::policy::types::Model;
use crate::{MESSAGES_DIALECT, json};

/// `GET /v1/models`: one line of JSON. Only the Messages API has Anthropic's format.
pub fn list(dialect: &str, models: &[Model]) -> String {
    if dialect == MESSAGES_DIALECT {
        return json::to_line(&AnthropicModelList {
            data: models.iter().map(AnthropicModel::of).collect(),
            first_id: models.first().map(|model| model.id.as_str()),
            has_more: false,
            last_id: models.last().map(|model| model.id.as_str()),
        });
    }
    json::to_line(&ModelListObject {
        object: "list",
        data: models.iter().map(ModelObject::of).collect(),
    })
}

/// `GET /v1/models/{id}`: one line of JSON.
pub fn show(dialect: &str, model: &Model) -> String {
    if dialect == MESSAGES_DIALECT {
        json::to_line(&AnthropicModel::of(model))
    } else {
        json::to_line(&ModelObject::of(model))
    }
}

#[derive(Serialize)]
struct AnthropicModelList<'a> {
    data: Vec<AnthropicModel<'a>>,
    first_id: Option<&'a str>,
    has_more: bool,
    last_id: Option<&'a str>,
}

#[derive(Serialize)]
struct AnthropicModel<'a> {
    r#type: &'static str,
    id: &'a str,
    display_name: &'a str,
    /// Clients require a time, and Codex reports none.
    created_at: &'static str,
    lifecycle: &'static str,
}

impl<'a> AnthropicModel<'a> {
    fn of(model: &'a Model) -> Self {
        let is_named = !model.display_name.is_empty();
        Self {
            r#type: "model",
            id: &model.id,
            display_name: if is_named {
                &model.display_name
            } else {
                &model.id
            },
            created_at: "1970-01-01T00:00:00Z",
            lifecycle: "active",
        }
    }
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
        assert_eq!(show("chat-completions", &known), known_json);
        assert_eq!(
            list("responses", &[known.clone(), minimal.clone()]),
            format!(r#"{{"object":"list","data":[{known_json},{minimal_json}]}}"#)
        );
        assert_eq!(list("responses", &[]), r#"{"object":"list","data":[]}"#);

        let known_json = r#"{"type":"model","id":"gpt-5.5","display_name":"GPT-5.5","created_at":"1970-01-01T00:00:00Z","lifecycle":"active"}"#;
        let minimal_json = r#"{"type":"model","id":"local","display_name":"local","created_at":"1970-01-01T00:00:00Z","lifecycle":"active"}"#;
        assert_eq!(show("messages", &known), known_json);
        assert_eq!(
            list("messages", &[known, minimal]),
            format!(
                r#"{{"data":[{known_json},{minimal_json}],"first_id":"gpt-5.5","has_more":false,"last_id":"local"}}"#
            )
        );
        assert_eq!(
            list("messages", &[]),
            r#"{"data":[],"first_id":null,"has_more":false,"last_id":null}"#
        );
    }
}
