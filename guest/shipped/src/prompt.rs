//! Renders a request of any dialect into an action of the host: a plan with one brief for Codex or those of a fan-out, or an
//! answer without a turn.
//!
//! `chat` and its siblings parse the body of their dialect into a `NeutralRequest`; what follows is
//! common to all.

mod any_value;
mod body;
pub mod chat;
mod content;
mod continuation;
mod conversation;
mod fan_out;
mod members;
pub mod messages;
mod model_aliases;
mod options;
mod paging;
mod parameters;
mod plan;
mod problems;
mod reader;
mod request;
pub mod responses;
mod schema;
mod settings;
mod shape;
mod stop_sequences;
#[cfg(test)]
mod tests;
mod token_estimate;
mod tool_choice;
mod tools;
mod typed;

use serde::de::DeserializeSeed;

use crate::bindings::airlock::policy::types::{ImmediateResponse, Problem, Request};
use crate::bindings::exports::airlock::policy::prompt::Action;
#[cfg(test)]
use crate::bindings::exports::airlock::policy::prompt::Plan;
use crate::json;
use crate::panel::{self, Strategy};
use crate::{DIALECT as CHAT, MESSAGES_DIALECT as MESSAGES, RESPONSES_DIALECT as RESPONSES};

use body::{Dialect, RequestBody, RequestBodyShape, TurnRequestBody};
use chat::ChatDialect;
use messages::MessagesDialect;
use problems::{malformed, unknown_dialect, unknown_route, unsupported_choices};
use reader::Reader;
use responses::{CompactRequest, ResponsesDialect, conversations};
use settings::PolicySettings;
use shape::ShapeSeed;

pub use parameters::{Harmless, Parameter, Treatment, Values};

/// Renders a request into an action, with the shipped strategies.
///
/// # Errors
///
/// As [`render_with`].
pub fn render(request: &Request) -> Result<Action, Problem> {
    render_with(request, &panel::strategies())
}

/// Renders a request into an action, for a policy whose panel has these strategies. The first is the default. Without
/// any, fan-outs are refused, and so is `n`.
///
/// # Errors
///
/// `not-found` for an unknown dialect or a route that the dialect does not have; `invalid-request` for a wrong field and
/// `unsupported` for one that this gateway does not support, both with the field's path; `internal` for settings that cannot be
/// read.
pub fn render_with(request: &Request, strategies: &[Box<dyn Strategy>]) -> Result<Action, Problem> {
    match (request.dialect.as_str(), request.route.as_str()) {
        (CHAT, "POST /v1/chat/completions") => {
            Rendering::new(request, strategies)?.plan::<ChatDialect>()
        }
        (RESPONSES, "POST /v1/responses") => {
            Rendering::new(request, strategies)?.plan::<ResponsesDialect>()
        }
        (RESPONSES, "POST /v1/responses/compact") => {
            Rendering::new(request, strategies)?.plan::<CompactRequest>()
        }
        (RESPONSES, "POST /v1/responses/input_tokens") => Rendering::new(request, strategies)?
            .with_body::<ResponsesDialect, _>(
            |body, _| match body.to_load()? {
                Some(keys) => Ok(Action::Load(keys)),
                None => body.input_tokens().map(respond),
            },
        ),
        (RESPONSES, "GET /v1/responses/{response_id}") => responses::retrieve(request),
        (RESPONSES, "DELETE /v1/responses/{response_id}") => responses::delete(request),
        (RESPONSES, "POST /v1/responses/{response_id}/cancel") => responses::cancel(request),
        (RESPONSES, "GET /v1/responses/{response_id}/input_items") => {
            responses::input_items(request)
        }
        (MESSAGES, "POST /v1/messages") => Rendering::new(request, strategies)?
            .plan::<MessagesDialect>()
            .map(messages::with_dotted_params)
            .map_err(messages::with_dotted_path),
        (MESSAGES, "POST /v1/messages/count_tokens") => Rendering::new(request, strategies)?
            .with_body::<MessagesDialect, _>(|body, _| body.input_tokens())
            .map(|tokens| respond(format!(r#"{{"input_tokens":{tokens}}}"#)))
            .map_err(messages::with_dotted_path),
        (RESPONSES, route) if route.contains(" /v1/conversations") => {
            conversations::render(&Rendering::new(request, strategies)?)
        }
        (CHAT | MESSAGES | RESPONSES, route) => Err(unknown_route(&request.dialect, route)),
        (dialect, _) => Err(unknown_dialect(dialect)),
    }
}

/// Answers with this body.
fn respond(body: String) -> Action {
    Action::Respond(ImmediateResponse {
        body,
        frames: Vec::new(),
        changes: Vec::new(),
    })
}

/// A request that is rendered, with what its settings say.
struct Rendering<'r> {
    request: &'r Request,
    strategies: &'r [Box<dyn Strategy>],
    settings: PolicySettings,
    /// The strategies of another component's panel. They replace `strategies`.
    external: Option<Vec<Box<dyn Strategy>>>,
}

impl<'r> Rendering<'r> {
    fn new(request: &'r Request, strategies: &'r [Box<dyn Strategy>]) -> Result<Self, Problem> {
        let settings = PolicySettings::parse(&request.settings, strategies)?;
        Ok(Self {
            request,
            strategies,
            external: settings.external(),
            settings,
        })
    }

    fn strategies(&self) -> &[Box<dyn Strategy>] {
        self.external.as_deref().unwrap_or(self.strategies)
    }

    /// Whether the panel is this policy's own, which lets each candidate be a choice of the response.
    fn has_own_panel(&self) -> bool {
        self.external.is_none() && !self.strategies.is_empty()
    }

    /// Parses the body and plans its turns.
    fn plan<D: Dialect>(&self) -> Result<Action, Problem>
    where
        for<'de> D::Body<'de>: TurnRequestBody<'de>,
    {
        let default = match &self.settings.synthesis {
            Some(name) => fan_out::strategy_named(self.strategies(), name),
            None => self.strategies().first().map(AsRef::as_ref),
        };
        self.with_body::<D, _>(|body, mut reader| {
            if let Some(keys) = body.to_load()? {
                return Ok(Action::Load(keys));
            }
            let generates = body.generates();
            let mut request = body.into_request(&mut reader)?;
            if request.choices > 1 && !self.has_own_panel() {
                return Err(unsupported_choices(
                    "this policy gives one answer to a request. Leave it out, or give `1`",
                ));
            }
            if !generates {
                request.resolve_models(&reader.settings.aliases);
                let response = responses::warm_up(request, self.request);
                return Ok(Action::Respond(response));
            }
            plan::plan(request, reader, self.request.nested, default).map(Action::Run)
        })
    }

    /// Parses the body and passes it on.
    fn with_body<D: Dialect, T>(
        &self,
        then: impl FnOnce(D::Body<'_>, Reader<'_>) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        let replaced;
        let (body, reader) = match self.parse::<D>(&self.request.body) {
            Ok(parsed) => parsed,
            Err(problem) => {
                // Searched only in a body that could not be parsed: nearly every body has no such escape.
                replaced = json::replace_lone_surrogates(&self.request.body).ok_or(problem)?;
                self.parse::<D>(&replaced)?
            }
        };
        then(body, reader)
    }

    /// Parses the body in one pass.
    fn parse<'de, D: Dialect>(
        &'de self,
        body: &'de str,
    ) -> Result<(D::Body<'de>, Reader<'de>), Problem> {
        let attachments = &self.request.attachments;
        let mut reader = Reader::new(attachments, self.strategies(), &self.settings);
        let mut source = serde_json::Deserializer::from_str(body);
        let result = ShapeSeed {
            reader: &mut reader,
            shape: RequestBodyShape(D::Body::<'de>::begin(self.request)),
        }
        .deserialize(&mut source)
        .and_then(|body| source.end().map(|()| body));
        match result {
            Ok(body) => Ok((body, reader)),
            Err(error) => Err(reader.take_problem().unwrap_or_else(|| malformed(&error))),
        }
    }
}

/// The plan of a request that needs one.
#[cfg(test)]
pub(crate) fn planned(request: &Request) -> Result<Plan, Problem> {
    planned_with(request, &panel::strategies())
}

/// As `planned`, with these strategies.
#[cfg(test)]
pub(crate) fn planned_with(
    request: &Request,
    strategies: &[Box<dyn Strategy>],
) -> Result<Plan, Problem> {
    match render_with(request, strategies)? {
        Action::Run(plan) => Ok(plan),
        // The host has stored nothing.
        Action::Load(_) if request.loaded.is_none() => {
            let loaded = Some(crate::bindings::airlock::policy::types::Loaded {
                objects: Vec::new(),
                items: Vec::new(),
            });
            let request = Request {
                loaded,
                ..request.clone()
            };
            planned_with(&request, strategies)
        }
        other => unreachable!("not a plan: {other:?}"),
    }
}
