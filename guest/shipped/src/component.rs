//! The component's exports. Each calls the plain function that does the work.

use std::cell::RefCell;
use std::marker::PhantomData;

use crate::bindings::airlock::policy::types::{Context, Ending, Event, Model, Problem, Request};
use crate::bindings::exports::airlock::policy::synthesize::{GuestPanel, Outcome, Verdict};
use crate::bindings::exports::airlock::policy::translate::{
    Closing, Frame, GuestReply, Output, Reply as ReplyHandle,
};
use crate::bindings::exports::airlock::policy::{
    admit, manifest, prompt, relay, synthesize, translate,
};
use crate::panel::{Strategies, Strategy};

/// The exports of the shipped component.
#[derive(Debug)]
pub struct ShippedPolicy;

impl Strategies for ShippedPolicy {
    fn all() -> Vec<Box<dyn Strategy>> {
        crate::panel::strategies()
    }
}

impl manifest::Guest for ShippedPolicy {
    fn describe() -> manifest::Description {
        crate::manifest::describe(&Self::all())
    }
}

impl admit::Guest for ShippedPolicy {
    fn decide(load: admit::Load) -> admit::Admission {
        crate::admit::decide(load)
    }
}

impl prompt::Guest for ShippedPolicy {
    fn render(request: Request) -> Result<prompt::Action, Problem> {
        crate::prompt::render_with(&request, &Self::all())
    }
}

impl translate::Guest for ShippedPolicy {
    type Reply = ReplyResource;

    fn list_models(dialect: String, models: Vec<Model>) -> String {
        crate::models::list(&dialect, &models)
    }

    fn show_model(dialect: String, model: Model) -> String {
        crate::models::show(&dialect, &model)
    }
}

impl relay::Guest for ShippedPolicy {
    fn offer(reply: relay::ReplyBorrow<'_>) -> Option<relay::Pattern> {
        reply.get::<ReplyResource>().offer()
    }

    fn relayed(reply: relay::ReplyBorrow<'_>, events: Vec<Event>) {
        reply.get::<ReplyResource>().relayed(events);
    }
}

impl synthesize::Guest for ShippedPolicy {
    type Panel = PanelResource;
}

/// The WIT resource `reply`. Exported methods take `&self`, and a component runs one call at a time, so the cell is
/// never borrowed twice.
#[derive(Debug)]
pub struct ReplyResource(RefCell<crate::translate::ReplyTranslator>);

impl ReplyResource {
    /// The pattern for the host, see [`ReplyTranslator::offer`](crate::translate::ReplyTranslator::offer). For
    /// policies whose `relay` is this one.
    pub fn offer(&self) -> Option<relay::Pattern> {
        self.0.borrow().offer()
    }

    /// Records what the host has written by the pattern. For policies whose `relay` is this one.
    pub fn relayed(&self, events: Vec<Event>) {
        self.0.borrow_mut().relayed(events);
    }
}

impl GuestReply for ReplyResource {
    fn new(context: Context) -> Self {
        Self(RefCell::new(crate::translate::ReplyTranslator::new(
            &context,
        )))
    }

    fn feed(&self, events: Vec<Event>) -> Output {
        self.0.borrow_mut().feed(events)
    }

    fn finish(reply: ReplyHandle, ending: Ending) -> Closing {
        reply.into_inner::<Self>().0.into_inner().finish(ending)
    }

    fn keep_alive(&self) -> Vec<Frame> {
        self.0.borrow_mut().keep_alive()
    }
}

/// The WIT resource `panel`, with the strategies of `S`. Another policy exports `PanelResource<Itself>`.
#[derive(Debug)]
pub struct PanelResource<S = ShippedPolicy> {
    panel: RefCell<crate::panel::Panel>,
    strategies: PhantomData<S>,
}

impl<S: Strategies + 'static> GuestPanel for PanelResource<S> {
    fn new(context: Context, candidates: u32) -> Self {
        let panel = crate::panel::Panel::new(&context, candidates, S::all());
        Self {
            panel: RefCell::new(panel),
            strategies: PhantomData,
        }
    }

    fn wake(&self, now: u64) -> Verdict {
        self.panel.borrow_mut().wake(now)
    }

    fn settle(&self, candidate: u32, outcome: Outcome, now: u64) -> Verdict {
        self.panel.borrow_mut().settle(candidate, outcome, now)
    }

    fn judged(&self, outcome: Outcome, now: u64) -> Verdict {
        self.panel.borrow_mut().judged(outcome, now)
    }
}
