//! Recorded calls repeated on another release, as shadows do while a request runs and `airlock policy replay` does later.

use super::Fault;
use super::health::Client;
use super::policy_call::{CallResult, PolicyCall};
use super::release::Release;
use super::session::Session;
use airlock_metrics::CallPurpose;
use airlock_types::failure::Failure;
use airlock_types::wit::{Action, Context};

/// A session for calls of another session. Its results have no effect.
pub struct Replay {
    session: Session,
    /// The notes of the session's own plan.
    notes: String,
    /// Whether the session's own plan is a stream of one turn, for which patterns are allowed.
    relays: bool,
}

impl Replay {
    /// A replay on this release.
    ///
    /// # Errors
    /// As for [`Release::session`].
    pub async fn on(release: &Release) -> Result<Self, Fault> {
        Ok(Self::of(release.session().await?))
    }

    /// A replay for a shadow, whose calls are counted apart. `client`: the client of the request.
    ///
    /// # Errors
    /// As for `on`.
    pub(super) async fn beside(release: &Release, client: Client) -> Result<Self, Fault> {
        Ok(Self::of(
            Session::new(release, CallPurpose::Shadow, client).await?,
        ))
    }

    fn of(session: Session) -> Self {
        Self {
            session,
            notes: String::new(),
            relays: false,
        }
    }

    /// Bytes of the policy's memory, which never shrinks.
    pub fn memory_bytes(&self) -> usize {
        self.session.memory_bytes()
    }

    /// Makes a call, with the release's own settings and the session's own notes.
    pub async fn call(&mut self, call: &PolicyCall) -> CallResult {
        let session = &mut self.session;
        match call {
            PolicyCall::Render(request) => {
                let mut request = request.clone();
                session
                    .release()
                    .settings()
                    .clone_into(&mut request.settings);
                match session.render(&request).await {
                    Ok(Action::Run(plan)) => {
                        plan.notes.clone_into(&mut self.notes);
                        self.relays = plan.streaming && plan.briefs.len() == 1;
                        CallResult::Plan(Box::new(plan))
                    }
                    Ok(action) => CallResult::Action(Box::new(action)),
                    Err(Failure { problem, cause }) => match cause {
                        // Only a fault has a cause here.
                        Some(cause) => CallResult::Fault(cause.to_string()),
                        None => CallResult::Refused(problem),
                    },
                }
            }
            PolicyCall::Decide(load) => answer(session.decide(*load).await),
            PolicyCall::Open(context) => {
                let context = self.noted(context);
                let opened = self.session.open(&context).await;
                if self.relays {
                    self.session.relay();
                }
                answer(opened)
            }
            PolicyCall::Feed(events) => answer(session.feed(events).await),
            PolicyCall::KeepAlive => answer(session.keep_alive().await),
            PolicyCall::Finish(ending) => answer(session.finish(ending).await),
            PolicyCall::Convene(context, candidates) => {
                let context = self.noted(context);
                answer(self.session.convene(&context, *candidates).await)
            }
            PolicyCall::Wake(now) => answer(session.wake(*now).await),
            PolicyCall::Settle(candidate, outcome, now) => {
                answer(session.settle(*candidate, outcome, *now).await)
            }
            PolicyCall::Judged(outcome, now) => answer(session.judged(outcome, *now).await),
        }
    }

    fn noted(&self, context: &Context) -> Context {
        Context {
            notes: self.notes.clone(),
            ..context.clone()
        }
    }
}

fn answer<T>(outcome: Result<T, Fault>) -> CallResult
where
    CallResult: for<'a> From<&'a T>,
{
    match outcome {
        Ok(given) => CallResult::from(&given),
        Err(fault) => CallResult::Fault(fault.to_string()),
    }
}
