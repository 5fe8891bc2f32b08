//! One request's sandbox: one store, one instance, one release. Dropping it frees everything.

use tokio::time::error::Elapsed;
use tokio::time::timeout;
use wasmtime::Store;
use wasmtime::component::ResourceAny;

use super::contract;
use super::engine::Engine;
use super::fault::Fault;
use super::sandbox::Sandbox;
use crate::failure::Failure;
use crate::wit::{
    Admission, Closing, Context, Ending, Event, Load, Model, Outcome, Plan, Policy, PolicyPre,
    Request, Told, Verdict,
};

/// A policy at work on one request.
///
/// Calls take microseconds and yield to other requests when they do not. A call that failed, or whose future was
/// dropped, leaves the session good for nothing: every later call fails.
pub(crate) struct Session {
    store: Store<Sandbox>,
    policy: Policy,
    reply: Option<ResourceAny>,
    panel: Option<ResourceAny>,
    /// How many the request has.
    attachments: usize,
    engine: Engine,
}

/// Runs one call into the policy within its deadlines. A macro, for it borrows parts of the session separately.
macro_rules! call {
    ($session:ident, $call:expr) => {{
        begin(&mut $session.store, &$session.engine);
        let outcome = timeout($session.engine.wall, $call).await;
        settle(outcome, &$session.store)
    }};
}

impl Session {
    pub(super) async fn new(engine: &Engine, ready: &PolicyPre<Sandbox>) -> Result<Self, Fault> {
        let mut store = Store::new(&engine.inner, Sandbox::new(engine.memory_bytes));
        store.limiter(|sandbox| sandbox);
        store.epoch_deadline_callback(Sandbox::tick);
        // What a policy hands out must fit the memory that it has. Without this bound a short list of references to
        // one long text would make the host allocate without end.
        store.set_hostcall_fuel(engine.memory_bytes);
        begin(&mut store, engine);
        let outcome = timeout(engine.wall, ready.instantiate_async(&mut store)).await;
        let policy = settle(outcome, &store)?;
        Ok(Self {
            store,
            policy,
            reply: None,
            panel: None,
            attachments: 0,
            engine: engine.clone(),
        })
    }

    /// What the request becomes.
    ///
    /// # Errors
    /// The policy's own refusal of the request, or its fault.
    pub(crate) async fn render(&mut self, request: &Request) -> Result<Plan, Failure> {
        let prompt = self.policy.airlock_policy_prompt();
        let plan = call!(self, prompt.call_render(&mut self.store, request))??;
        self.attachments = request.attachments.len();
        contract::plan(&plan, request)?;
        Ok(plan)
    }

    /// Whether the request may start now.
    pub(crate) async fn decide(&mut self, load: Load) -> Result<Admission, Fault> {
        let admit = self.policy.airlock_policy_admit();
        call!(self, admit.call_decide(&mut self.store, load))
    }

    /// Begins the reply. A session has one.
    pub(crate) async fn open(&mut self, context: &Context) -> Result<(), Fault> {
        let translate = self.policy.airlock_policy_translate().reply();
        let reply = call!(self, translate.call_constructor(&mut self.store, context))?;
        self.reply = Some(reply);
        Ok(())
    }

    /// Translates a batch of events. Needs an open reply.
    pub(crate) async fn feed(&mut self, events: &[Event]) -> Result<Told, Fault> {
        let reply = self.reply.ok_or_else(not_open)?;
        let translate = self.policy.airlock_policy_translate().reply();
        let told = call!(self, translate.call_feed(&mut self.store, reply, events))?;
        contract::told(&told)?;
        Ok(told)
    }

    /// Ends the reply.
    pub(crate) async fn finish(&mut self, ending: &Ending) -> Result<Closing, Fault> {
        let reply = self.reply.take().ok_or_else(not_open)?;
        let translate = self.policy.airlock_policy_translate().reply();
        let closing = call!(self, translate.call_finish(&mut self.store, reply, ending))?;
        contract::frames(&closing.frames)?;
        Ok(closing)
    }

    /// Convenes the panel over so many candidates. A session has one.
    pub(crate) async fn convene(
        &mut self,
        context: &Context,
        candidates: u32,
    ) -> Result<(), Fault> {
        let synthesize = self.policy.airlock_policy_synthesize().panel();
        let panel = call!(
            self,
            synthesize.call_constructor(&mut self.store, context, candidates)
        )?;
        self.panel = Some(panel);
        Ok(())
    }

    /// Tells the panel that it is time. Needs one, as the two calls below do. `now`: Unix milliseconds.
    pub(crate) async fn wake(&mut self, now: u64) -> Result<Verdict, Fault> {
        let panel = self.panel.ok_or_else(not_convened)?;
        let synthesize = self.policy.airlock_policy_synthesize().panel();
        let verdict = call!(self, synthesize.call_wake(&mut self.store, panel, now))?;
        contract::verdict(&verdict, self.attachments)?;
        Ok(verdict)
    }

    /// Tells the panel what came of a candidate.
    pub(crate) async fn settle(
        &mut self,
        candidate: u32,
        outcome: &Outcome,
        now: u64,
    ) -> Result<Verdict, Fault> {
        let panel = self.panel.ok_or_else(not_convened)?;
        let synthesize = self.policy.airlock_policy_synthesize().panel();
        let verdict = call!(
            self,
            synthesize.call_settle(&mut self.store, panel, candidate, outcome, now)
        )?;
        contract::verdict(&verdict, self.attachments)?;
        Ok(verdict)
    }

    /// Tells the panel what came of a turn that it asked for.
    pub(crate) async fn judged(&mut self, outcome: &Outcome, now: u64) -> Result<Verdict, Fault> {
        let panel = self.panel.ok_or_else(not_convened)?;
        let synthesize = self.policy.airlock_policy_synthesize().panel();
        let verdict = call!(
            self,
            synthesize.call_judged(&mut self.store, panel, outcome, now)
        )?;
        contract::verdict(&verdict, self.attachments)?;
        Ok(verdict)
    }

    /// The list of models as JSON, in the dialect.
    pub(crate) async fn list_models(
        &mut self,
        dialect: &str,
        models: &[Model],
    ) -> Result<String, Fault> {
        let translate = self.policy.airlock_policy_translate();
        call!(
            self,
            translate.call_list_models(&mut self.store, dialect, models)
        )
    }

    /// One model as JSON, in the dialect.
    pub(crate) async fn show_model(
        &mut self,
        dialect: &str,
        model: &Model,
    ) -> Result<String, Fault> {
        let translate = self.policy.airlock_policy_translate();
        call!(
            self,
            translate.call_show_model(&mut self.store, dialect, model)
        )
    }
}

/// Gives the coming call its time.
fn begin(store: &mut Store<Sandbox>, engine: &Engine) {
    store.data_mut().ticks_left = engine.ticks;
    store.set_epoch_deadline(1);
}

/// What a call came to.
fn settle<T>(
    outcome: Result<wasmtime::Result<T>, Elapsed>,
    store: &Store<Sandbox>,
) -> Result<T, Fault> {
    match outcome {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Fault::from_error(&error, store.data().refused)),
        Err(_) => Err(Fault::TimedOut),
    }
}

/// Our own mistake, reported as the contract that it breaks.
fn not_open() -> Fault {
    Fault::Contract("no reply is open".to_owned())
}

/// Likewise.
fn not_convened() -> Fault {
    Fault::Contract("no panel is convened".to_owned())
}

#[cfg(test)]
mod tests;
