//! The models that a child offers, and the checks of briefs against them.

use std::sync::Arc;

use super::call_error::CallError;
use super::connection::Connection;
use super::prompt::{self, Conversation};
use super::protocol::{self, ConfigReadResponse, ModelListParams, ModelListResponse, Nothing};
use super::thread_catalogs::ThreadCatalogs;
use airlock_types::failure::Failure;
use airlock_types::wit::{Brief, Model, ProblemKind, Selection};

/// The maximum number of pages that are read.
const PAGES: usize = 32;

/// The models of `model/list`, as the child listed them when it started.
#[derive(Debug)]
pub(super) struct ModelList {
    /// The models that are listed for clients, in Codex's order.
    visible: Arc<[Model]>,
    /// Models that are not listed for clients, but may be named.
    hidden: Vec<Model>,
    /// The model of a brief that names none, if Codex states it.
    default: Option<String>,
    /// Whether the home has a provider of its own, whose models Codex does not list.
    open: bool,
}

impl ModelList {
    /// Reads the list. `open`: names outside the list are passed on. `thread_catalogs`: the catalogs with which turns may call
    /// the client's tools.
    pub(super) async fn read(
        connection: &Connection,
        open: bool,
        thread_catalogs: Option<&ThreadCatalogs>,
    ) -> Result<Self, CallError> {
        let mut models = Vec::new();
        let mut cursor = None;
        for _ in 0..PAGES {
            let params = ModelListParams {
                cursor,
                include_hidden: true,
            };
            let page: ModelListResponse = connection.call("model/list", &params).await?;
            models.extend(page.data);
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        let configured = connection.call("config/read", &Nothing {}).await;
        let configured = configured.map(|read: ConfigReadResponse| read.config.model);
        let configured = configured.unwrap_or_else(|error| {
            tracing::warn!(%error, "the home's model could not be read");
            None
        });
        Ok(Self::new(models, configured, open, thread_catalogs))
    }

    /// `configured` is the model that the home's settings name, which takes precedence over Codex's default.
    fn new(
        models: Vec<protocol::Model>,
        configured: Option<String>,
        open: bool,
        thread_catalogs: Option<&ThreadCatalogs>,
    ) -> Self {
        let chosen = models.iter().find(|model| model.is_default);
        let default = configured.or(chosen.map(|model| model.id.clone()));
        let (hidden, visible): (Vec<_>, Vec<_>) =
            models.into_iter().partition(|model| model.hidden);
        let model = |found: protocol::Model| {
            let is_default = default.as_ref() == Some(&found.id);
            let tools =
                thread_catalogs.is_some_and(|thread_catalogs| thread_catalogs.reaches(&found.id));
            model(found, is_default, tools)
        };
        Self {
            visible: visible.into_iter().map(model).collect(),
            hidden: hidden.into_iter().map(model).collect(),
            default,
            open,
        }
    }

    /// The models that are listed for clients.
    pub(super) fn visible(&self) -> Arc<[Model]> {
        self.visible.clone()
    }

    /// Checks that the model of this brief exists and accepts its reasoning effort and images, and returns the model's name. A
    /// model without listed inputs is assumed to accept text and images.
    ///
    /// # Errors
    /// The model is unknown, or does not accept the brief.
    pub(super) fn check(
        &self,
        conversation: &Conversation,
        brief: &Brief,
    ) -> Result<String, Failure> {
        let selection = brief.model.as_ref().or(conversation.model.as_ref());
        let name = self.name(selection);
        let mut models = self.visible.iter().chain(&self.hidden);
        let Some(model) = models.find(|model| model.id == name) else {
            return match selection {
                Some(selection) if !self.open => Err(unknown(selection)),
                // The operator is responsible for the home's own model.
                Some(_) | None => Ok(name),
            };
        };
        if let Some(effort) = &brief.effort
            && !model.efforts.is_empty()
            && !model.efforts.contains(&effort.name)
        {
            let (requested, efforts) = (&effort.name, model.efforts.join(", "));
            let message = format!(
                "the model `{name}` takes the reasoning efforts {efforts}; not `{requested}`"
            );
            let kind = ProblemKind::InvalidRequest;
            return Err(Failure::new(kind, "unsupported_value", message).at(&effort.param));
        }
        let takes_images =
            model.inputs.is_empty() || model.inputs.iter().any(|kind| kind == "image");
        if !takes_images && let Some(number) = prompt::first_attachment(conversation, brief) {
            let failure = Failure::new(
                ProblemKind::InvalidRequest,
                "unsupported_value",
                format!(
                    "the model `{name}` takes no images; GET /v1/models lists the inputs of each model"
                ),
            );
            return Err(match conversation.path(number) {
                Some(path) => failure.at(path),
                None => failure,
            });
        }
        Ok(name)
    }

    /// The name of the model, or of Codex's default if `named` is None, and whether it is in the list. None: Codex states no
    /// default.
    pub(super) fn resolve<'a>(&'a self, named: Option<&'a str>) -> Option<(&'a str, bool)> {
        let name = named.or(self.default.as_deref())?;
        let mut models = self.visible.iter().chain(&self.hidden);
        Some((name, models.any(|model| model.id == name)))
    }

    /// The name of the selected model, or else of Codex's default; `default` if neither is known.
    pub(super) fn name(&self, selection: Option<&Selection>) -> String {
        let name = selection
            .map(|selection| &selection.name)
            .or(self.default.as_ref());
        name.cloned().unwrap_or_else(|| "default".to_owned())
    }
}

fn unknown(selection: &Selection) -> Failure {
    // The name is the client's text, of which the message repeats only the beginning.
    let shown: String = selection.name.chars().take(64).collect();
    let message = format!("the model `{shown}` does not exist; GET /v1/models lists what there is");
    Failure::new(ProblemKind::NotFound, "model_not_found", message).at(&selection.param)
}

fn model(model: protocol::Model, is_default: bool, tools: bool) -> Model {
    let efforts = model.supported_reasoning_efforts.into_iter();
    Model {
        id: model.id,
        display_name: model.display_name,
        description: model.description,
        is_default,
        efforts: efforts.map(|effort| effort.reasoning_effort).collect(),
        default_effort: model.default_reasoning_effort,
        inputs: model.input_modalities.unwrap_or_default(),
        tools,
    }
}

#[cfg(test)]
mod tests;
