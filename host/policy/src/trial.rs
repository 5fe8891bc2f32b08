//! A request with fixed inputs, driven over a release from `render` to `finish`. The conformance set and the hostile inputs of
//! `airlock policy check` are such requests.

use std::time::{Duration, Instant};

use super::policy_call::{CallResult, PolicyCall};
use super::release::Release;
use super::replay::Replay;
use airlock_types::wit::{
    Admission, Closing, Context, Ending, Event, Load, Outcome, Problem, ProblemKind, Request,
    Transport, Verdict,
};

/// The dialect of all trials: that of the gateway's routes.
pub const DIALECT: &str = "chat-completions";

/// The time that policies are given, in milliseconds since 1970. The later calls of a panel receive later times.
pub const NOW: u64 = 1_700_000_000_000;

/// The time of `settle`.
const SETTLED_AT: u64 = NOW + 1;

/// The time of `judged`.
const JUDGED_AT: u64 = NOW + 2;

/// The most turns that an adverse trial runs for a panel.
const PANEL_TURNS: usize = 8;

/// The events of a turn, batch by batch.
pub type Batches = Box<dyn Iterator<Item = Vec<Event>> + Send>;

/// A request, and how its turns go.
pub struct Trial {
    /// The trial's name in reports.
    pub name: &'static str,
    /// The request's body.
    pub body: String,
    /// The outcomes of a fan-out's candidates, in the order in which they end.
    pub outcomes: fn(candidates: u32) -> Vec<(u32, Outcome)>,
    /// The events of the turn whose text is the answer. A handoff ends them early.
    pub batches: Box<dyn Fn() -> Batches + Send + Sync>,
    /// The ending of that turn.
    pub ending: Ending,
    /// Whether `decide` is first called for a gateway without room, and the turns that a panel starts fail until it picks a
    /// candidate or fails itself. Otherwise the gateway is idle, and any verdict but `wait` is the last one.
    pub adverse: bool,
}

/// A call that has returned.
#[derive(Clone, Copy, Debug)]
pub struct TrialCall<'a> {
    /// The call.
    pub call: &'a PolicyCall,
    /// The call's result.
    pub result: &'a CallResult,
    /// The time that the call took.
    pub time: Duration,
    /// The most memory of the sandbox so far, in bytes.
    pub memory_bytes: usize,
}

/// Receives each call of a trial. An error ends the trial.
pub type TrialObserver<'a> = dyn FnMut(TrialCall<'_>) -> Result<(), String> + Send + 'a;

/// How a trial ended.
#[derive(Debug)]
pub enum TrialOutcome {
    /// `render` or `decide` refused the request.
    Refused(Problem),
    /// `render` answered without a turn.
    Answered,
    /// The response ended.
    Finished {
        /// Whether it is a stream.
        streaming: bool,
        /// The result of `finish`.
        closing: Closing,
    },
}

impl Trial {
    /// Runs the trial on a release.
    ///
    /// # Errors
    /// The policy failed, a stream had no frame, a panel came to no decision, or the observer returned an error. The text
    /// begins with the call's name.
    pub async fn run(
        &self,
        release: &Release,
        observer: &mut TrialObserver<'_>,
    ) -> Result<TrialOutcome, String> {
        let replay = Replay::on(release).await;
        let mut run = TrialRun {
            trial: self,
            replay: replay.map_err(|fault| format!("instantiate: {fault}"))?,
            observer,
            last_call: "instantiate",
            frames: 0,
        };
        run.run().await
    }
}

/// A trial on a release.
struct TrialRun<'a, 'b> {
    trial: &'a Trial,
    replay: Replay,
    observer: &'a mut TrialObserver<'b>,
    /// The name of the last call.
    last_call: &'static str,
    /// Frames so far.
    frames: usize,
}

impl TrialRun<'_, '_> {
    async fn run(&mut self) -> Result<TrialOutcome, String> {
        let render = PolicyCall::Render(request(&self.trial.body));
        let plan = match self.call(render).await? {
            CallResult::Plan(plan) => plan,
            CallResult::Action(_) => return Ok(TrialOutcome::Answered),
            CallResult::Refused(problem) => return refused(problem),
            _ => return Err("render: neither an action nor a refusal".to_owned()),
        };
        let turns = u32::try_from(plan.briefs.len()).unwrap_or(u32::MAX);
        if let Some(problem) = self.admit(turns).await? {
            return Ok(TrialOutcome::Refused(problem));
        }
        self.call(PolicyCall::Open(context())).await?;
        if turns > 1 {
            self.synthesize(turns).await?;
        }
        self.feed().await?;
        let finish = PolicyCall::Finish(self.trial.ending.clone());
        let CallResult::Closing(closing) = self.call(finish).await? else {
            return Err("finish: no closing".to_owned());
        };
        let streaming = plan.streaming;
        if streaming && self.frames == 0 {
            return Err("finish: a stream without a frame".to_owned());
        }
        Ok(TrialOutcome::Finished { streaming, closing })
    }

    async fn call(&mut self, call: PolicyCall) -> Result<CallResult, String> {
        self.last_call = call.name();
        let began = Instant::now();
        let result = self.replay.call(&call).await;
        (self.observer)(TrialCall {
            call: &call,
            result: &result,
            time: began.elapsed(),
            memory_bytes: self.replay.memory_bytes(),
        })
        .map_err(|error| format!("{}: {error}", call.name()))?;
        self.frames += result.frames().len();
        match result {
            CallResult::Fault(fault) => Err(format!("{}: {fault}", call.name())),
            result => Ok(result),
        }
    }

    /// Returns the refusal by an idle gateway.
    async fn admit(&mut self, wanted: u32) -> Result<Option<Problem>, String> {
        let idle = idle(wanted);
        if self.trial.adverse {
            let full = Load {
                running: idle.capacity,
                waiting: idle.room,
                longest_wait: u64::MAX,
                ..idle
            };
            self.call(PolicyCall::Decide(full)).await?;
        }
        Ok(match self.call(PolicyCall::Decide(idle)).await? {
            CallResult::Admission(Admission::Refuse(problem)) => Some(problem),
            _ => None,
        })
    }

    /// Ends the candidates one after the other, as long as the panel waits.
    async fn synthesize(&mut self, candidates: u32) -> Result<(), String> {
        self.call(PolicyCall::Convene(context(), candidates))
            .await?;
        let mut last = self.call(PolicyCall::Wake(NOW)).await?;
        for (candidate, outcome) in (self.trial.outcomes)(candidates) {
            if !matches!(last, CallResult::Verdict(Verdict::Wait(_))) {
                break;
            }
            let settle = PolicyCall::Settle(candidate, outcome, SETTLED_AT);
            last = self.call(settle).await?;
        }
        if self.trial.adverse {
            last = self.fail_turns(last).await?;
        }
        check_last_verdict(&last, candidates, self.trial.adverse)
            .map_err(|error| format!("{}: {error}", self.last_call))
    }

    /// Fails the turns that the panel starts. Returns its last verdict.
    async fn fail_turns(&mut self, mut last: CallResult) -> Result<CallResult, String> {
        for _ in 0..PANEL_TURNS {
            if !matches!(
                last,
                CallResult::Verdict(Verdict::Show(_) | Verdict::Consult(_))
            ) {
                break;
            }
            let failed = Outcome {
                ending: Ending::Failed(broken_stream()),
                messages: Vec::new(),
            };
            last = self.call(PolicyCall::Judged(failed, JUDGED_AT)).await?;
        }
        Ok(last)
    }

    async fn feed(&mut self) -> Result<(), String> {
        for batch in (self.trial.batches)() {
            let result = self.call(PolicyCall::Feed(batch)).await?;
            if matches!(&result, CallResult::Output(output) if output.handoff.is_some() || output.complete)
            {
                break;
            }
        }
        Ok(())
    }
}

/// The outcome of a refusal by `render`, which may not be internal.
fn refused(problem: Problem) -> Result<TrialOutcome, String> {
    match problem.kind {
        ProblemKind::Internal => Err(format!(
            "render: the policy blames itself: {}",
            problem.message
        )),
        _ => Ok(TrialOutcome::Refused(problem)),
    }
}

/// Fails if the verdict leaves the panel without a decision, or picks a candidate that does not exist.
fn check_last_verdict(last: &CallResult, candidates: u32, adverse: bool) -> Result<(), String> {
    let CallResult::Verdict(verdict) = last else {
        return Ok(());
    };
    match verdict {
        Verdict::Wait(_) => Err("the panel waits, and there is nothing to wait for".to_owned()),
        Verdict::Pick(choice) if !(1..=candidates).contains(&choice.candidate) => {
            let picked = choice.candidate;
            Err(format!(
                "the panel picks candidate {picked} of {candidates}"
            ))
        }
        Verdict::Show(_) | Verdict::Consult(_) if adverse => {
            Err("the panel requests turns without end".to_owned())
        }
        Verdict::Pick(_)
        | Verdict::Complete
        | Verdict::Fail(_)
        | Verdict::Show(_)
        | Verdict::Consult(_) => Ok(()),
    }
}

/// The load of a gateway without requests.
pub(super) fn idle(wanted: u32) -> Load {
    Load {
        wanted,
        running: 0,
        waiting: 0,
        capacity: 64,
        room: 256,
        longest_wait: 0,
    }
}

/// A request with this body. A replay adds the release's settings.
pub fn request(body: &str) -> Request {
    Request {
        id: "req_trial".to_owned(),
        arrived: NOW,
        dialect: DIALECT.to_owned(),
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
    }
}

/// The context of a reply or panel. A replay adds the plan's notes.
pub fn context() -> Context {
    Context {
        id: "req_trial".to_owned(),
        arrived: NOW,
        dialect: DIALECT.to_owned(),
        model: "gpt-test".to_owned(),
        notes: String::new(),
        seed: String::new(),
    }
}

/// A failure of the model.
pub fn broken_stream() -> Problem {
    Problem {
        kind: ProblemKind::Upstream,
        code: Some("stream_broken".to_owned()),
        message: "The model's stream broke.".to_owned(),
        param: None,
        retry_after_seconds: None,
    }
}

#[cfg(test)]
mod tests;
