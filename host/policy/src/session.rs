//! One request's sandbox: one store, one instance, one release. Dropping it frees everything.

mod call; // limits and time of one call
mod record; // observers and counts of calls

use wasmtime::Store;
use wasmtime::component::ResourceAny;

use self::call::{Timed, settle, wall, within};
use super::answer_size::AnswerSize;
use super::contract;
use super::fault::Fault;
use super::health::Client;
use super::policy_call::{Observer, PolicyCall, change_bytes, loaded_bytes};
use super::relay::Relay;
use super::release::Release;
use super::request_size;
use super::sandbox::Sandbox;
use super::world::Exports;
use airlock_base::memory::MemoryShare;
use airlock_metrics::CallPurpose;
use airlock_types::events;
use airlock_types::failure::Failure;
use airlock_types::wit::{
    Action, Admission, Closing, Context, Description, Ending, Event, Frame, Load, Model, ObjectEnd,
    Outcome, Output, Request, Verdict,
};

/// An instance of a policy for one request.
///
/// Most calls take microseconds; longer ones yield to other requests. After a call that failed, or whose future was
/// dropped, every later call fails.
pub struct Session {
    release: Release,
    store: Store<Sandbox>,
    exports: Box<dyn Exports>,
    reply: Option<ResourceAny>,
    panel: Option<ResourceAny>,
    /// Writes frames that need no call.
    relay: Relay,
    /// The number of the request's attachments.
    attachments: usize,
    /// The bytes of the request, its events and its output so far.
    answer_size: AnswerSize,
    /// Observers of every call.
    observers: Vec<Observer>,
    /// The purpose of the calls, for metrics.
    work: CallPurpose,
    /// The client of the request.
    client: Client,
    /// The share of the memory for bodies that the sandbox occupies. The last field, so that it is freed last.
    occupied: MemoryShare,
}

/// Runs one call into the policy within its deadlines. A macro, because it borrows parts of the session separately.
macro_rules! call {
    ($session:ident, $call:ident($($argument:expr),*)) => {{
        let times = &$session.release.meter().calls($session.work).$call;
        let timed = Timed::begin(&mut $session.store, &$session.release, times);
        let call = $session.exports.$call(&mut $session.store, $($argument),*);
        let outcome = within(wall(&$session.release), call).await;
        drop(timed);
        settle(outcome, &$session.store)
    }};
}

impl Release {
    /// Creates the sandbox of one request.
    ///
    /// # Errors
    /// `Fault::Exhausted` if every sandbox is in use; another fault if instantiation fails.
    pub async fn session(&self) -> Result<Session, Fault> {
        self.session_for(Client::default()).await
    }

    /// The same for the request of a client. Fails as `session` does.
    pub async fn session_for(&self, client: Client) -> Result<Session, Fault> {
        Session::new(self, CallPurpose::Serving, client).await
    }

    /// The policy's manifest. `None` if its version of the world has none. Fails as `session` does, or with the policy's
    /// fault.
    pub async fn describe(&self) -> Result<Option<Description>, Fault> {
        self.session().await?.describe().await
    }
}

impl Session {
    pub(super) async fn new(
        release: &Release,
        work: CallPurpose,
        client: Client,
    ) -> Result<Self, Fault> {
        let allowance = release.allowance();
        let mut store = Store::new(&release.engine().inner, Sandbox::new(allowance));
        store.limiter(|sandbox| sandbox);
        store.epoch_deadline_callback(Sandbox::tick);
        // Bounds what the host copies out of the sandbox. Otherwise a short list of references to one long text would make
        // the host allocate without bound.
        store.set_hostcall_fuel(allowance.memory_bytes);
        let meter = release.meter();
        let timed = Timed::begin(&mut store, release, &meter.calls(work).instantiate);
        let call = release.world().instantiate(&mut store);
        let outcome = within(wall(release), call).await;
        drop(timed);
        let exports = settle(outcome, &store).inspect_err(|fault| meter.failed(fault.kind()));
        release.health().met(exports.as_ref().err(), client);
        Ok(Self {
            release: release.clone(),
            store,
            exports: exports?,
            reply: None,
            panel: None,
            relay: Relay::default(),
            attachments: 0,
            answer_size: AnswerSize::default(),
            observers: Vec::new(),
            work,
            client,
            occupied: MemoryShare::default(),
        })
    }

    /// The release that serves the request.
    pub fn release(&self) -> &Release {
        &self.release
    }

    /// The client whose request it is.
    pub(super) fn client(&self) -> Client {
        self.client
    }

    /// Bytes of the policy's memory, which never shrinks.
    pub fn memory_bytes(&self) -> usize {
        self.store.data().memory_bytes()
    }

    /// Holds this share of memory until the session is dropped.
    pub fn occupy(&mut self, share: MemoryShare) {
        self.occupied = share;
    }

    /// Adds an observer of every later call.
    pub fn observe(&mut self, observer: Observer) {
        self.observers.push(observer);
    }

    /// The policy's manifest. `None` if its version of the world has none.
    pub async fn describe(&mut self) -> Result<Option<Description>, Fault> {
        let described = call!(self, describe());
        self.count_fault(described)
    }

    /// Renders the request into an action. After `load` and `stop` it is rendered again.
    ///
    /// # Errors
    /// The policy refused the request or failed; `request_too_large` if it ran out of time or memory over a large request.
    pub async fn render(&mut self, request: &Request) -> Result<Action, Failure> {
        self.attachments = request.attachments.len();
        let loaded = loaded_bytes(request.loaded.as_ref());
        self.answer_size.begin(request.body.len() + loaded);
        let rendered = call!(self, render(request)).and_then(|rendered| {
            if let Ok(action) = &rendered {
                contract::action(action, request)?;
            }
            if let Ok(Action::Respond(response)) = &rendered {
                let written = response.body.len() + change_bytes(&response.changes);
                self.give_out(&response.frames, 0, written)?;
            }
            Ok(rendered)
        });
        self.answer_size.rendered(self.memory_bytes());
        self.notify(&rendered, || PolicyCall::Render(request.clone()));
        match rendered {
            Ok(rendered) => Ok(rendered?),
            Err(fault) => Err(self.failed_over(request, fault)),
        }
    }

    /// Counts a fault of `render`, and returns the client's error.
    fn failed_over(&self, request: &Request, fault: Fault) -> Failure {
        let health = self.release.health();
        self.release.meter().failed(fault.kind());
        if request_size::is_cost_of(
            request.body.len() + loaded_bytes(request.loaded.as_ref()),
            &fault,
        ) {
            health.overtaxed(&fault);
            return request_size::exhausted(fault, self.release.allowance());
        }
        health.failed(&fault, self.client, Some(request));
        fault.into()
    }

    /// Whether the request may start now.
    pub async fn decide(&mut self, load: Load) -> Result<Admission, Fault> {
        let admission = call!(self, decide(load));
        self.record(admission, || PolicyCall::Decide(load))
    }

    /// Creates the reply. A session has one.
    pub async fn open(&mut self, context: &Context) -> Result<(), Fault> {
        let reply = call!(self, open(context)).map(|reply| self.reply = Some(reply));
        self.record(reply, || PolicyCall::Open(context.clone()))
    }

    /// Allows frames of a text that continues to be written without a call, by the policy's pattern.
    pub fn relay(&mut self) {
        if self.has_relay() {
            self.relay.allow();
        }
    }

    /// Whether the policy exports `relay`.
    pub fn has_relay(&self) -> bool {
        self.exports.relays()
    }

    /// Whether the pattern at hand covers these events, so that `feed` makes no call.
    pub fn relays(&self, events: &[Event]) -> bool {
        self.relay.covers(events)
    }

    /// Translates a batch of events. Needs an open reply.
    pub async fn feed(&mut self, events: &[Event]) -> Result<Output, Fault> {
        let reply = self.reply.ok_or_else(not_open)?;
        self.answer_size.receive(events);
        if self.relay.needs_pattern(events) {
            let pattern = call!(self, offer(reply)).and_then(|pattern| {
                contract::pattern(pattern.as_ref())?;
                Ok(pattern)
            });
            self.relay.follow(self.count_fault(pattern)?);
        }
        if self.relay.covers(events) {
            let due = self.relay.due();
            self.report(reply, &due).await?;
            // No call may follow that could fail: these frames count as sent.
            return self.relayed(events);
        }
        let rest = self.relay.rest();
        self.report(reply, &rest).await?;
        let output = call!(self, feed(reply, events)).and_then(|output| {
            contract::output(&output)?;
            self.give_out(&output.frames, events.len(), 0)?;
            Ok(output)
        });
        let output = self.record(output, || PolicyCall::Feed(events.to_vec()))?;
        self.relay.fed(events);
        Ok(output)
    }

    /// Writes the frame of a batch by the pattern. Observers see it as a call of `feed` with one joined piece, so they see
    /// what clients see, and the policy cannot detect them.
    fn relayed(&mut self, events: &[Event]) -> Result<Output, Fault> {
        let frames: Vec<Frame> = self.relay.frame(events).into_iter().collect();
        let output = self.give_out(&frames, events.len(), 0).map(|()| Output {
            frames,
            handoff: None,
            complete: false,
            head: None,
        });
        self.record(output, || {
            let mut joined = events.to_vec();
            events::compact(&mut joined);
            PolicyCall::Feed(joined)
        })
    }

    /// Reports events to the reply whose frames were written without it.
    async fn report(&mut self, reply: ResourceAny, events: &[Event]) -> Result<(), Fault> {
        if events.is_empty() {
            return Ok(());
        }
        let reported = call!(self, relayed(reply, events));
        self.count_fault(reported)
    }

    /// Ends the reply.
    pub async fn finish(&mut self, ending: &Ending) -> Result<Closing, Fault> {
        let reply = self.reply.take().ok_or_else(not_open)?;
        let rest = self.relay.rest();
        self.report(reply, &rest).await?;
        let closing = call!(self, finish(reply, ending)).and_then(|closing| {
            contract::closing(&closing)?;
            let body = closing.body.as_ref().map_or(0, String::len);
            let body = body + closing.object.as_ref().map_or(0, end_bytes);
            self.give_out(&closing.frames, 1, body)?;
            Ok(closing)
        });
        self.record(closing, || PolicyCall::Finish(ending.clone()))
    }

    /// The frames to send while the stream is silent. The reply must be open.
    pub async fn keep_alive(&mut self) -> Result<Output, Fault> {
        let reply = self.reply.ok_or_else(not_open)?;
        let output = call!(self, keep_alive(reply)).and_then(|frames| {
            contract::frames(&frames)?;
            self.answer_size
                .keep_alive(&frames, self.release.allowance())?;
            Ok(Output {
                frames,
                handoff: None,
                complete: false,
                head: None,
            })
        });
        self.record(output, || PolicyCall::KeepAlive)
    }

    /// Creates the panel over so many candidates. A session has one.
    pub async fn convene(&mut self, context: &Context, candidates: u32) -> Result<(), Fault> {
        let panel = call!(self, convene(context, candidates));
        let panel = panel.map(|panel| self.panel = Some(panel));
        self.record(panel, || PolicyCall::Convene(context.clone(), candidates))
    }

    /// Wakes the panel at the start, and at the time that it waits for. Needs a panel, as `settle` and `judged` do. `now`:
    /// milliseconds since 1970.
    pub async fn wake(&mut self, now: u64) -> Result<Verdict, Fault> {
        let panel = self.panel.ok_or_else(not_convened)?;
        let verdict = call!(self, wake(panel, now));
        self.check_verdict(verdict, || PolicyCall::Wake(now))
    }

    /// Reports the outcome of a candidate to the panel.
    pub async fn settle(
        &mut self,
        candidate: u32,
        outcome: &Outcome,
        now: u64,
    ) -> Result<Verdict, Fault> {
        let panel = self.panel.ok_or_else(not_convened)?;
        let verdict = call!(self, settle(panel, (candidate, outcome), now));
        self.check_verdict(verdict, || {
            PolicyCall::Settle(candidate, outcome.clone(), now)
        })
    }

    /// Reports the outcome of a turn that the panel requested.
    pub async fn judged(&mut self, outcome: &Outcome, now: u64) -> Result<Verdict, Fault> {
        let panel = self.panel.ok_or_else(not_convened)?;
        let verdict = call!(self, judged(panel, outcome, now));
        self.check_verdict(verdict, || PolicyCall::Judged(outcome.clone(), now))
    }

    /// The list of models as JSON, in the dialect.
    pub async fn list_models(&mut self, dialect: &str, models: &[Model]) -> Result<String, Fault> {
        let list = call!(self, list_models(dialect, models));
        self.count_fault(list)
    }

    /// One model as JSON, in the dialect.
    pub async fn show_model(&mut self, dialect: &str, model: &Model) -> Result<String, Fault> {
        let shown = call!(self, show_model(dialect, model));
        self.count_fault(shown)
    }

    fn check_verdict(
        &mut self,
        verdict: Result<Verdict, Fault>,
        policy_call: impl FnOnce() -> PolicyCall,
    ) -> Result<Verdict, Fault> {
        let verdict = verdict.and_then(|verdict| {
            contract::verdict(&verdict, self.attachments)?;
            Ok(verdict)
        });
        self.record(verdict, policy_call)
    }

    /// Counts the frames of `events` and a body of this many bytes against the limits of output.
    fn give_out(&mut self, frames: &[Frame], events: usize, body: usize) -> Result<(), Fault> {
        let allowance = self.release.allowance();
        self.answer_size.send(frames, events, body, allowance)
    }
}

/// The bytes of the end of a stored object.
fn end_bytes(end: &ObjectEnd) -> usize {
    let items = end.items.iter().map(|item| item.text.len());
    end.head.len() + items.sum::<usize>()
}

/// A mistake of the host, reported as a fault so that the request fails.
fn not_open() -> Fault {
    Fault::Contract("no reply is open".to_owned())
}

/// The same for the panel.
fn not_convened() -> Fault {
    Fault::Contract("no panel is convened".to_owned())
}

#[cfg(test)]
mod tests;
