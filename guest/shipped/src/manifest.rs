//! The policy's description of itself, for operators.

use crate::DIALECTS;
use crate::bindings::exports::airlock::policy::manifest::{Description, Setting, Takes};
use crate::panel::Strategy;

/// The description of the shipped policy with these strategies.
pub fn describe(strategies: &[Box<dyn Strategy>]) -> Description {
    let names: Vec<String> = strategies.iter().map(|it| it.name().to_owned()).collect();
    Description {
        name: "shipped".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        summary: "OpenAI's chat completions and Responses API and Anthropic's Messages API over Codex, with a panel over \
            several answers."
            .to_owned(),
        dialects: DIALECTS.map(str::to_owned).to_vec(),
        settings: settings(&names),
        strategies: names,
    }
}

fn settings(strategies: &[String]) -> Vec<Setting> {
    vec![
        Setting {
            name: "strict".to_owned(),
            summary:
                "Refuse parameters that cannot be honoured, in place of ignoring and naming them."
                    .to_owned(),
            takes: Takes::Flag,
            default: Some("false".to_owned()),
        },
        Setting {
            name: "synthesis".to_owned(),
            summary: "The strategy of fan-outs that name none.".to_owned(),
            takes: Takes::Choice(strategies.to_vec()),
            // Without a default it is the first strategy.
            default: None,
        },
        Setting {
            name: "aliases".to_owned(),
            summary: "The models that run in place of those that clients name, as an object: a name, or its beginning and `*`, \
                and a model, or an object with `model` and `effort`."
                .to_owned(),
            takes: Takes::Json,
            default: None,
        },
    ]
}
