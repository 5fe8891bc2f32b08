//! An example policy: the shipped one with text before the system prompt, and a list of phrases that it refuses.
//!
//! It has two settings besides the shipped ones. `voice` is put before the system prompt of each request: "You speak
//! for Example Ltd. Answer briefly." `refuse` is a list of words and phrases; a request whose last user message
//! contains one of them is refused with status 400 and the code `content_policy_violation`. Case and spacing are
//! ignored, and only whole words match: `bomb` does not match `bombastic`.
//!
//! Without settings it is the shipped policy. If its settings cannot be read, it refuses every request: a mistake
//! must not disable the refusals.

mod phrases;
mod settings;

use airlock_shipped_policy::bindings::airlock::policy::types::{
    Event, Model, Problem, ProblemKind, Request,
};
use airlock_shipped_policy::bindings::exports::airlock::policy::{
    admit, manifest, prompt, relay, synthesize, translate,
};
use airlock_shipped_policy::component::{PanelResource, ReplyResource};
use airlock_shipped_policy::{RESPONSES_DIALECT, panel};

use settings::HouseVoiceSettings;

/// The exports of this component.
#[derive(Debug)]
pub struct HouseVoicePolicy;

#[cfg(target_arch = "wasm32")]
airlock_shipped_policy::bindings::export!(HouseVoicePolicy with_types_in airlock_shipped_policy::bindings);

impl manifest::Guest for HouseVoicePolicy {
    fn describe() -> manifest::Description {
        let mut shipped = airlock_shipped_policy::manifest::describe(&panel::strategies());
        shipped.settings.extend(settings::described());
        manifest::Description {
            name: "house-voice".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "The shipped policy with text before the system prompt, and phrases that it refuses."
                .to_owned(),
            ..shipped
        }
    }
}

impl admit::Guest for HouseVoicePolicy {
    fn decide(load: admit::Load) -> admit::Admission {
        airlock_shipped_policy::admit::decide(load)
    }
}

impl prompt::Guest for HouseVoicePolicy {
    fn render(request: Request) -> Result<prompt::Action, Problem> {
        let settings = HouseVoiceSettings::read(&request.settings)?;
        // First, so that an invalid request gets the shipped policy's message.
        let mut plan = match airlock_shipped_policy::prompt::render(&request)? {
            prompt::Action::Run(plan) => plan,
            other => return Ok(other),
        };
        if !settings.refuse.is_empty() {
            let text = phrases::last_user_text(&plan);
            let found = settings
                .refuse
                .iter()
                .find(|it| phrases::contains(&text, it));
            if let Some(phrase) = found {
                return Err(refusal(phrase, &request.dialect));
            }
        }
        if !settings.voice.is_empty() {
            plan.instructions = match plan.instructions.as_str() {
                "" => settings.voice,
                system => [&settings.voice, "\n\n", system].concat(),
            };
        }
        Ok(prompt::Action::Run(plan))
    }
}

impl translate::Guest for HouseVoicePolicy {
    type Reply = ReplyResource;

    fn list_models(dialect: String, models: Vec<Model>) -> String {
        airlock_shipped_policy::models::list(&dialect, &models)
    }

    fn show_model(dialect: String, model: Model) -> String {
        airlock_shipped_policy::models::show(&dialect, &model)
    }
}

impl relay::Guest for HouseVoicePolicy {
    fn offer(reply: relay::ReplyBorrow<'_>) -> Option<relay::Pattern> {
        reply.get::<ReplyResource>().offer()
    }

    fn relayed(reply: relay::ReplyBorrow<'_>, events: Vec<Event>) {
        reply.get::<ReplyResource>().relayed(events);
    }
}

impl synthesize::Guest for HouseVoicePolicy {
    type Panel = PanelResource;
}

fn refusal(phrase: &str, dialect: &str) -> Problem {
    let field = if dialect == RESPONSES_DIALECT {
        "input"
    } else {
        "messages"
    };
    Problem {
        kind: ProblemKind::InvalidRequest,
        code: Some("content_policy_violation".to_owned()),
        message: format!("questions about `{phrase}` are refused by policy: rephrase the request"),
        param: Some(field.to_owned()),
        retry_after_seconds: None,
    }
}

#[cfg(test)]
mod tests;
