//! One hostile request from beginning to end, with the time and the memory that each call takes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::hostile::Case;
use crate::us;
use airlock_policy::{CallResult, PolicyCall, Release, Replay};
use airlock_types::wit::{
    Admission, Context, Ending, Frame, Load, Outcome, Problem, ProblemKind, Request, Verdict,
};

/// A time, for what is done at one: every policy is given the same.
pub(super) const NOW: u64 = 1_700_000_000_000;

/// Where some clients end a line (Python's `str.splitlines`), though server-sent events do not. The gateway refuses the two
/// where they do.
const LINE_ENDS: [char; 8] = [
    '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}', '\u{2029}',
];

/// Turns that a panel may ask for, as the gateway has it.
const CONSULTED: usize = 8;

/// What calls have taken, by export.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Figures(BTreeMap<&'static str, Figure>);

/// What the calls of one export have taken.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Figure {
    pub calls: u64,
    /// Microseconds of the longest.
    pub max_us: f64,
    /// Microseconds of all.
    pub total_us: f64,
    /// Bytes of memory at most after one of them.
    pub memory_bytes: usize,
}

impl Figures {
    fn add(&mut self, export: &'static str, time: Duration, memory_bytes: usize) {
        let figure = self.0.entry(export).or_default();
        figure.calls += 1;
        figure.max_us = figure.max_us.max(us(time));
        figure.total_us += us(time);
        figure.memory_bytes = figure.memory_bytes.max(memory_bytes);
    }

    /// The export with the longest call, and that call's time.
    pub(super) fn longest(&self) -> Option<(&'static str, Duration)> {
        let longest = self
            .0
            .iter()
            .max_by(|one, other| one.1.max_us.total_cmp(&other.1.max_us));
        longest.map(|(export, it)| (*export, Duration::from_secs_f64(it.max_us / 1e6)))
    }

    /// The most memory that any request had, in bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        let all = self.0.values().map(|it| it.memory_bytes);
        all.max().unwrap_or_default()
    }

    /// The exports with their figures, by name.
    pub fn each(&self) -> impl Iterator<Item = (&'static str, Figure)> {
        self.0.iter().map(|(export, figure)| (*export, *figure))
    }
}

/// A request on a release.
struct Trial<'a> {
    replay: Replay,
    calls: &'a mut Figures,
}

impl Trial<'_> {
    async fn call(&mut self, step: &PolicyCall) -> Result<CallResult, String> {
        let began = Instant::now();
        let answer = self.replay.step(step).await;
        let memory = self.replay.memory_bytes();
        self.calls.add(step.name(), began.elapsed(), memory);
        match answer {
            CallResult::Fault(fault) => {
                let first = fault.lines().next().unwrap_or_default();
                Err(format!("{}: {first}", step.name()))
            }
            answer => Ok(answer),
        }
    }
}

/// Runs a case: what came of it, or at which call the policy failed, and how.
pub(super) async fn run(
    release: &Release,
    case: &Case,
    calls: &mut Figures,
) -> Result<String, String> {
    let replay = Replay::on(release).await;
    let mut trial = Trial {
        replay: replay.map_err(|fault| format!("instantiate: {fault}"))?,
        calls,
    };
    let plan = match trial.call(&PolicyCall::Render(request(&case.body))).await? {
        CallResult::Plan(plan) => plan,
        CallResult::Refused(problem) if problem.kind == ProblemKind::Internal => {
            return Err(format!("render: it blames itself: {}", problem.message));
        }
        CallResult::Refused(problem) => return Ok(refused(&problem)),
        _ => return Err("render: neither a plan nor a refusal".to_owned()),
    };
    let wanted = u32::try_from(plan.briefs.len()).unwrap_or(u32::MAX);
    let load = Load {
        wanted,
        running: 64,
        waiting: 256,
        capacity: 64,
        room: 256,
        longest_wait: u64::MAX,
    };
    trial.call(&PolicyCall::Decide(load)).await?;
    let idle = Load {
        running: 0,
        waiting: 0,
        longest_wait: 0,
        ..load
    };
    if let CallResult::Admission(Admission::Refuse(problem)) =
        trial.call(&PolicyCall::Decide(idle)).await?
    {
        return Ok(refused(&problem));
    }
    trial.call(&PolicyCall::Open(context())).await?;
    if wanted > 1 {
        trial.call(&PolicyCall::Convene(context(), wanted)).await?;
        let woken = trial.call(&PolicyCall::Wake(NOW)).await?;
        panel(&mut trial, case, wanted, woken).await?;
    }
    let mut events = 0;
    let mut frames = 0;
    for batch in (case.batches)() {
        events += batch.len();
        let answer = trial.call(&PolicyCall::Feed(batch)).await?;
        frames += one_line(answer.frames()).map_err(|why| format!("feed: {why}"))?;
        if let CallResult::Output(told) = &answer
            && told.handoff.is_some()
        {
            break;
        }
    }
    let closing = trial.call(&PolicyCall::Finish(case.ending.clone())).await?;
    frames += one_line(closing.frames()).map_err(|why| format!("finish: {why}"))?;
    if plan.streaming && frames == 0 {
        return Err("a stream without a frame".to_owned());
    }
    let memory = trial.replay.memory_bytes() >> 10;
    Ok(format!("{events} events, {frames} frames, {memory} KiB"))
}

/// Counts frames, of which each must be one line to every client.
fn one_line(frames: &[Frame]) -> Result<usize, String> {
    let mut all = frames.iter().flat_map(|frame| frame.data.chars());
    match all.find(|it| LINE_ENDS.contains(it)) {
        None => Ok(frames.len()),
        Some(end) => {
            let number = u32::from(end);
            Err(format!(
                "a frame holds U+{number:04X}, at which some clients end a line: write it as \\u{number:04x}"
            ))
        }
    }
}

/// The candidates end as the case has it, and the panel must come to something.
async fn panel(
    trial: &mut Trial<'_>,
    case: &Case,
    candidates: u32,
    mut last: CallResult,
) -> Result<(), String> {
    for (candidate, outcome) in (case.outcomes)(candidates) {
        if !matches!(last, CallResult::Verdict(Verdict::Wait(_))) {
            break;
        }
        last = trial
            .call(&PolicyCall::Settle(candidate, outcome, NOW + 1))
            .await?;
    }
    // Whatever it asks for comes to nothing.
    for _ in 0..CONSULTED {
        if !matches!(
            last,
            CallResult::Verdict(Verdict::Show(_) | Verdict::Consult(_))
        ) {
            break;
        }
        let nothing = Outcome {
            ending: Ending::Failed(broken()),
            messages: Vec::new(),
        };
        last = trial.call(&PolicyCall::Judged(nothing, NOW + 2)).await?;
    }
    match last {
        CallResult::Verdict(Verdict::Pick(choice))
            if !(1..=candidates).contains(&choice.candidate) =>
        {
            Err(format!(
                "it picks candidate {} of {candidates}",
                choice.candidate
            ))
        }
        CallResult::Verdict(Verdict::Pick(_) | Verdict::Fail(_)) => Ok(()),
        CallResult::Verdict(Verdict::Wait(_)) => {
            Err("the panel waits, and there is nothing to wait for".to_owned())
        }
        _ => Err("the panel asks for turns without end".to_owned()),
    }
}

fn refused(problem: &Problem) -> String {
    let code = problem.code.as_deref().unwrap_or("no code");
    format!("refused ({code})")
}

/// How the model fails here.
pub(super) fn broken() -> Problem {
    Problem {
        kind: ProblemKind::Upstream,
        code: Some("stream_broken".to_owned()),
        message: "The model's stream broke.".to_owned(),
        param: None,
        retry_after_seconds: None,
    }
}

pub(super) fn request(body: &str) -> Request {
    Request {
        id: "req_check".to_owned(),
        arrived: NOW,
        dialect: super::DIALECT.to_owned(),
        body: body.to_owned(),
        attachments: Vec::new(),
        // The release's own take their place.
        settings: String::new(),
        nested: false,
    }
}

fn context() -> Context {
    Context {
        id: "req_check".to_owned(),
        arrived: NOW,
        dialect: super::DIALECT.to_owned(),
        model: "gpt-test".to_owned(),
        // The plan's own take their place.
        notes: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_one_line_to_every_client() {
        let frame = |data: &str| Frame {
            event: None,
            data: data.to_owned(),
        };
        let fine = [frame(r#"{"a":"\u2028"}"#), frame("[DONE]")];
        assert_eq!(one_line(&fine), Ok(2));
        let why = "a frame holds U+0085, at which some clients end a line: write it as \\u0085";
        let broken = [frame("{}"), frame("{\"a\":\"\u{85}\"}")];
        assert_eq!(one_line(&broken), Err(why.to_owned()));
    }
}
