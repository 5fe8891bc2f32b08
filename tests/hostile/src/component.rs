//! The component's exports: the shipped policy's, preceded by the triggered faults.

use std::cell::{Cell, RefCell};

use airlock_shipped_policy::bindings;
use airlock_shipped_policy::bindings::airlock::policy::types::{
    Brief, Choice, Context, Ending, Event, EventKind, InputItem, Model, Problem, Request,
};
use airlock_shipped_policy::bindings::exports::airlock::policy::synthesize::{
    GuestPanel, Outcome, Verdict,
};
use airlock_shipped_policy::bindings::exports::airlock::policy::translate::{
    Closing, Frame, GuestReply, Output, Reply as ReplyHandle,
};
use airlock_shipped_policy::bindings::exports::airlock::policy::{
    admit, manifest, prompt, relay, synthesize, translate,
};
use airlock_shipped_policy::component;

use crate::{FaultedCall, InjectedFault, SMUGGLED, Whim, smuggle, wants_candidates};

struct Hostile;

bindings::export!(Hostile with_types_in bindings);

impl manifest::Guest for Hostile {
    fn describe() -> manifest::Description {
        manifest::Description {
            name: "hostile".to_owned(),
            ..airlock_shipped_policy::manifest::describe(
                &airlock_shipped_policy::panel::strategies(),
            )
        }
    }
}

impl admit::Guest for Hostile {
    fn decide(load: admit::Load) -> admit::Admission {
        airlock_shipped_policy::admit::decide(load)
    }
}

impl prompt::Guest for Hostile {
    fn render(request: Request) -> Result<prompt::Action, Problem> {
        if let Some(fault) = FaultedCall::Render.fault_in(&request.body) {
            fault.happen();
        }
        let mut plan = match airlock_shipped_policy::prompt::render(&request)? {
            prompt::Action::Run(plan) => plan,
            other => return Ok(other),
        };
        if smuggle(&request.body, "history") {
            plan.history.push(SMUGGLED.to_owned());
        }
        if smuggle(&request.body, "schema") {
            for brief in &mut plan.briefs {
                brief.output_schema = Some(SMUGGLED.to_owned());
            }
        }
        // Results resume a single turn, the candidate's.
        if wants_candidates(&request.body) && plan.resume.is_none() {
            plan.briefs = plan
                .briefs
                .into_iter()
                .cycle()
                .zip(1..=CANDIDATES)
                .map(|(brief, number)| numbered(brief, number))
                .collect();
        }
        // The translator ignores notes that it cannot parse, so the body is only added if a fault needs it.
        let later = [
            FaultedCall::Feed,
            FaultedCall::Offer,
            FaultedCall::Relayed,
            FaultedCall::Finish,
        ];
        if later.iter().any(|it| it.fault_in(&request.body).is_some())
            || wants_candidates(&request.body)
        {
            plan.notes = [plan.notes.as_str(), SEPARATOR, &request.body].concat();
        }
        Ok(prompt::Action::Run(plan))
    }
}

/// The number of candidates with tools. The last one's answer is the client's.
const CANDIDATES: u32 = 2;

fn numbered(mut brief: Brief, number: u32) -> Brief {
    brief.instructions = format!("You are candidate {number}.");
    brief
}

/// Separates the shipped policy's notes and the body.
const SEPARATOR: &str = "\n";

impl translate::Guest for Hostile {
    type Reply = Reply;

    fn list_models(dialect: String, models: Vec<Model>) -> String {
        airlock_shipped_policy::models::list(&dialect, &models)
    }

    fn show_model(dialect: String, model: Model) -> String {
        airlock_shipped_policy::models::show(&dialect, &model)
    }
}

/// Offers patterns only if a request demands it: any piece may trigger a fault of `feed`.
impl relay::Guest for Hostile {
    fn offer(reply: relay::ReplyBorrow<'_>) -> Option<relay::Pattern> {
        let state = reply.get::<Reply>().0.borrow();
        if let Some(fault) = state.offer {
            fault.happen();
        }
        state.relayed?;
        let pattern = state.reply.offer()?;
        Some(relay::Pattern {
            report: true,
            ..pattern
        })
    }

    fn relayed(reply: relay::ReplyBorrow<'_>, _: Vec<Event>) {
        if let Some(fault) = reply.get::<Reply>().0.borrow().relayed {
            fault.happen();
        }
    }
}

struct Reply(RefCell<State>);

struct State {
    reply: airlock_shipped_policy::translate::ReplyTranslator,
    feed: Option<InjectedFault>,
    offer: Option<InjectedFault>,
    relayed: Option<InjectedFault>,
    finish: Option<InjectedFault>,
    /// The turn whose calls and text are the answer.
    answer: u32,
}

impl GuestReply for Reply {
    fn new(mut context: Context) -> Self {
        let (notes, body) = context
            .notes
            .split_once(SEPARATOR)
            .unwrap_or((&context.notes, ""));
        let (feed, offer) = (
            FaultedCall::Feed.fault_in(body),
            FaultedCall::Offer.fault_in(body),
        );
        let (relayed, finish) = (
            FaultedCall::Relayed.fault_in(body),
            FaultedCall::Finish.fault_in(body),
        );
        let answer = if wants_candidates(body) {
            CANDIDATES
        } else {
            0
        };
        context.notes = notes.to_owned();
        let reply = airlock_shipped_policy::translate::ReplyTranslator::new(&context);
        Self(RefCell::new(State {
            reply,
            feed,
            offer,
            relayed,
            finish,
            answer,
        }))
    }

    fn feed(&self, mut events: Vec<Event>) -> Output {
        let mut state = self.0.borrow_mut();
        let mut source_of_answer = None;
        for event in &mut events {
            if event.source == state.answer {
                source_of_answer = Some(std::mem::take(&mut event.source));
            }
            if let EventKind::Text(text) = &event.kind {
                state.feed = state.feed.or(FaultedCall::Feed.fault_in(&text.text));
                state.finish = state.finish.or(FaultedCall::Finish.fault_in(&text.text));
            }
        }
        if let Some(fault) = state.feed {
            fault.happen();
        }
        let mut output = state.reply.feed(events);
        if let (Some(handoff), Some(source)) = (&mut output.handoff, source_of_answer) {
            handoff.source = source;
        }
        output
    }

    fn keep_alive(&self) -> Vec<Frame> {
        self.0.borrow_mut().reply.keep_alive()
    }

    fn finish(reply: ReplyHandle, ending: Ending) -> Closing {
        let state = reply.into_inner::<Self>().0.into_inner();
        if let Some(fault) = state.finish {
            fault.happen();
        }
        state.reply.finish(ending)
    }
}

impl synthesize::Guest for Hostile {
    type Panel = Panel;
}

/// The shipped panel, until a candidate's answer names a whim.
struct Panel {
    inner: component::PanelResource,
    whim: Cell<Option<Whim>>,
}

impl GuestPanel for Panel {
    fn new(context: Context, candidates: u32) -> Self {
        // Until one of them calls.
        let whim = wants_candidates(&context.notes).then_some(Whim::Wait);
        Self {
            inner: component::PanelResource::new(context, candidates),
            whim: Cell::new(whim),
        }
    }

    fn wake(&self, now: u64) -> Verdict {
        match self.whim.get() {
            Some(whim) => whim.verdict(),
            None => self.inner.wake(now),
        }
    }

    fn settle(&self, candidate: u32, outcome: Outcome, now: u64) -> Verdict {
        for message in &outcome.messages {
            if let Some(fault) = FaultedCall::Panel.fault_in(&message.text) {
                fault.happen();
            }
            self.whim
                .set(self.whim.get().or(Whim::named_in(&message.text)));
        }
        match self.whim.get() {
            Some(whim) => whim.verdict(),
            None => self.inner.settle(candidate, outcome, now),
        }
    }

    fn judged(&self, outcome: Outcome, now: u64) -> Verdict {
        match self.whim.get() {
            Some(whim) => whim.verdict(),
            None => self.inner.judged(outcome, now),
        }
    }
}

impl Whim {
    fn verdict(self) -> Verdict {
        match self {
            Self::Wait => Verdict::Wait(None),
            Self::Absent => Verdict::Pick(Choice {
                candidate: 99,
                extra: None,
            }),
            Self::Endless => Verdict::Consult(Brief {
                model: None,
                effort: None,
                summary: None,
                instructions: String::new(),
                input: vec![InputItem::Text("and now?".to_owned())],
                output_schema: None,
                tools: false,
                verbosity: None,
            }),
        }
    }
}
