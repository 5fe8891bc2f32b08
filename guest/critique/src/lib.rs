//! An example policy: the shipped one with a fifth strategy, `critique`, which is its default.
//!
//! A strategy is one `impl Strategy`, and `impl Strategies` lists those of the policy. The rest of this file exports
//! the shipped policy's functions. The host does not change.

use airlock_shipped_policy::bindings::airlock::policy::types::{Event, Model, Problem, Request};
use airlock_shipped_policy::bindings::exports::airlock::policy::{
    admit, manifest, prompt, relay, synthesize, translate,
};
use airlock_shipped_policy::component::{PanelResource, ReplyResource};
use airlock_shipped_policy::panel::{
    self, MergeStrategy, Strategies, Strategy, StrategyStep, Table,
};

/// Consults a critic, then shows an answer that is written with the candidates and the critique as input.
#[derive(Clone, Copy, Debug, Default)]
pub struct Critique;

/// The critic's instructions.
const CRITIC: &str = "\
Your task now: several candidates have each answered the user's last message in the conversation, without knowing of one another. \
Do not answer the user. Write a critique for the author of the final answer:
- Agreements: what the candidates agree on, and whether it holds.
- Contradictions: where they contradict one another, and which of them is right. Check it yourself.
- Errors: what is wrong, with the correction.
- Gaps: what the user needs and no candidate says.
Call each candidate by its label. Be brief: findings, no praise.";

/// The instructions of the answer's author.
const AUTHOR: &str = "\
Your task now: several candidates have each answered the user's last message in the conversation, and a critic has examined them. \
Write the one answer that the user will read.
- Keep what holds, correct the errors, settle the contradictions and fill the gaps. The critic may be wrong too: check what matters.
- Answer the user directly, in the user's language, and in the form and at the length that the conversation and your other instructions ask for.
- Never mention candidates, a critique or this task: the user must read an answer as if you had written it alone.";

impl Strategy for Critique {
    fn name(&self) -> &'static str {
        "critique"
    }

    fn decide(&mut self, table: &Table) -> StrategyStep {
        StrategyStep::Consult(table.question(CRITIC, &[]))
    }

    fn judged(&mut self, table: &Table, answer: Option<&str>) -> StrategyStep {
        match answer {
            Some(critique) => {
                StrategyStep::Show(table.synthesis(AUTHOR, &[("critique", critique)]))
            }
            // Without a critique the candidates are merged.
            None => MergeStrategy.decide(table),
        }
    }
}

/// The exports of this component.
#[derive(Debug)]
pub struct CritiquePolicy;

#[cfg(target_arch = "wasm32")]
airlock_shipped_policy::bindings::export!(CritiquePolicy with_types_in airlock_shipped_policy::bindings);

impl Strategies for CritiquePolicy {
    fn all() -> Vec<Box<dyn Strategy>> {
        let mut all = panel::strategies();
        all.insert(0, Box::new(Critique));
        all
    }
}

impl manifest::Guest for CritiquePolicy {
    fn describe() -> manifest::Description {
        manifest::Description {
            name: "critique".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary:
                "The shipped policy; a critic examines the candidates before the answer is written."
                    .to_owned(),
            ..airlock_shipped_policy::manifest::describe(&Self::all())
        }
    }
}

impl admit::Guest for CritiquePolicy {
    fn decide(load: admit::Load) -> admit::Admission {
        airlock_shipped_policy::admit::decide(load)
    }
}

impl prompt::Guest for CritiquePolicy {
    fn render(request: Request) -> Result<prompt::Action, Problem> {
        airlock_shipped_policy::prompt::render_with(&request, &Self::all())
    }
}

impl translate::Guest for CritiquePolicy {
    type Reply = ReplyResource;

    fn list_models(dialect: String, models: Vec<Model>) -> String {
        airlock_shipped_policy::models::list(&dialect, &models)
    }

    fn show_model(dialect: String, model: Model) -> String {
        airlock_shipped_policy::models::show(&dialect, &model)
    }
}

impl relay::Guest for CritiquePolicy {
    fn offer(reply: relay::ReplyBorrow<'_>) -> Option<relay::Pattern> {
        reply.get::<ReplyResource>().offer()
    }

    fn relayed(reply: relay::ReplyBorrow<'_>, events: Vec<Event>) {
        reply.get::<ReplyResource>().relayed(events);
    }
}

impl synthesize::Guest for CritiquePolicy {
    type Panel = PanelResource<Self>;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, clippy::unwrap_used, reason = "tests")]

    use airlock_shipped_policy::bindings::airlock::policy::types::{
        Brief, Choice, Context, Ending, InputItem, Transport,
    };
    use airlock_shipped_policy::bindings::exports::airlock::policy::synthesize::{
        GuestPanel, Message, Outcome, Verdict,
    };

    use super::*;

    /// A request that names no strategy.
    const BODY: &str = r#"{
        "model": "gpt-5.5", "parallel_calls": 2, "messages": [{"role": "user", "content": "2 + 2?"}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "sum", "schema": {}}}
    }"#;

    fn plan(body: &str) -> Result<prompt::Plan, Problem> {
        let request = Request {
            id: "req_1".to_owned(),
            arrived: 0,
            dialect: airlock_shipped_policy::DIALECT.to_owned(),
            body: body.to_owned(),
            attachments: Vec::new(),
            settings: String::new(),
            nested: false,
            route: "POST /v1/chat/completions".to_owned(),
            path_parameters: Vec::new(),
            query: Vec::new(),
            seed: String::new(),
            transport: Transport::Http,
            has_store: true,
            loaded: None,
        };
        match airlock_shipped_policy::prompt::render_with(&request, &CritiquePolicy::all())? {
            prompt::Action::Run(plan) => Ok(plan),
            other => panic!("not a plan: {other:?}"),
        }
    }

    fn completed(text: &str) -> Outcome {
        Outcome {
            ending: Ending::Completed,
            messages: vec![Message {
                phase: None,
                text: text.to_owned(),
            }],
        }
    }

    fn failed() -> Outcome {
        Outcome {
            ending: Ending::Interrupted,
            messages: Vec::new(),
        }
    }

    /// A panel that has consulted the critic, and the critic's brief.
    fn consulted() -> (PanelResource<CritiquePolicy>, Brief) {
        let context = Context {
            id: "req_1".to_owned(),
            arrived: 0,
            dialect: airlock_shipped_policy::DIALECT.to_owned(),
            model: "gpt-5.5".to_owned(),
            notes: plan(BODY).unwrap().notes,
            seed: String::new(),
        };
        let panel = PanelResource::<CritiquePolicy>::new(context, 2);
        assert_eq!(panel.wake(0), Verdict::Wait(None));
        assert_eq!(panel.settle(2, completed("four"), 1), Verdict::Wait(None));
        match panel.settle(1, completed("about four"), 2) {
            Verdict::Consult(brief) => (panel, brief),
            other => panic!("{other:?}"),
        }
    }

    fn input(brief: &Brief) -> &str {
        match brief.input.as_slice() {
            [InputItem::Text(text)] => text,
            other => panic!("{other:?}"),
        }
    }

    fn shown(verdict: Verdict) -> Brief {
        match verdict {
            Verdict::Show(brief) => brief,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_answer_is_written_with_candidates_and_critique() {
        let (panel, question) = consulted();
        assert!(question.instructions.starts_with(CRITIC));
        assert!(input(&question).contains("\nabout four\n"));
        assert_eq!(question.output_schema, None);

        let answer = shown(panel.judged(completed("A is vague"), 3));
        assert!(answer.instructions.starts_with(AUTHOR));
        assert_eq!(answer.output_schema.as_deref(), Some("{}"));
        for text in ["\nfour\n", "\nabout four\n", "\nA is vague\n"] {
            assert!(input(&answer).contains(text), "{text}");
        }
    }

    #[test]
    fn without_a_critique_the_candidates_are_merged() {
        let (panel, _) = consulted();
        let answer = shown(panel.judged(failed(), 3));
        assert!(!answer.instructions.starts_with(AUTHOR));
        assert!(input(&answer).contains("\nabout four\n"));

        // If that fails too, the longer answer is picked.
        let choice = Choice {
            candidate: 1,
            extra: Some(r#"{"fallback":true}"#.to_owned()),
        };
        assert_eq!(panel.judged(failed(), 4), Verdict::Pick(choice));
    }

    #[test]
    fn it_is_the_default_beside_the_shipped_strategies() {
        let strategies = CritiquePolicy::all();
        let names: Vec<_> = strategies.iter().map(|it| it.name()).collect();
        assert_eq!(names, ["critique", "merge", "judge", "vote", "first"]);
        for name in names {
            let airlock = format!(r#"{{"airlock": {{"synthesis": "{name}"}},"#);
            plan(&BODY.replacen('{', &airlock, 1)).unwrap();
        }
    }
}
