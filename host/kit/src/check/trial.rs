//! One hostile request from beginning to end, with time and memory of each call.

use std::time::Instant;

use super::hostile::HostileCase;
use super::sample::{NOW, broken_stream, context, request};
use super::stats::CallStats;
use airlock_policy::{CallResult, PolicyCall, Release, Replay};
use airlock_types::wit::{Admission, Ending, Frame, Load, Outcome, Problem, ProblemKind, Verdict};

/// Characters at which some clients end a line (Python's `str.splitlines`), though server-sent events do not. The gateway
/// itself refuses U+000A and U+000D.
const LINE_ENDS: [char; 8] = [
    '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}', '\u{2029}',
];

/// The number of turns that the gateway lets a panel start.
const CONSULTED: usize = 8;

/// A request on a release.
struct Trial<'a> {
    replay: Replay,
    calls: &'a mut CallStats,
}

impl Trial<'_> {
    async fn call(&mut self, call: &PolicyCall) -> Result<CallResult, String> {
        let began = Instant::now();
        let result = self.replay.step(call).await;
        let memory = self.replay.memory_bytes();
        self.calls.add(call.name(), began.elapsed(), memory);
        match result {
            CallResult::Fault(fault) => {
                let first = fault.lines().next().unwrap_or_default();
                Err(format!("{}: {first}", call.name()))
            }
            result => Ok(result),
        }
    }
}

/// Runs a case, and returns a summary.
///
/// # Errors
/// The call at which the policy failed, and how.
pub(super) async fn run(
    release: &Release,
    case: &HostileCase,
    calls: &mut CallStats,
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
    let turns = u32::try_from(plan.briefs.len()).unwrap_or(u32::MAX);
    if let Some(problem) = trial.admit(turns).await? {
        return Ok(refused(&problem));
    }
    trial.call(&PolicyCall::Open(context())).await?;
    if turns > 1 {
        trial.synthesize(case, turns).await?;
    }
    let (events, fed) = trial.feed(case).await?;
    let closing = trial.call(&PolicyCall::Finish(case.ending.clone())).await?;
    let finished = count_frames(closing.frames()).map_err(|fault| format!("finish: {fault}"))?;
    let frames = fed + finished;
    if plan.streaming && frames == 0 {
        return Err("a stream without a frame".to_owned());
    }
    let memory = trial.replay.memory_bytes() >> 10;
    Ok(format!("{events} events, {frames} frames, {memory} KiB"))
}

impl Trial<'_> {
    /// Calls `decide` with a full gateway, then with an idle one. Returns the refusal of the latter.
    async fn admit(&mut self, turns: u32) -> Result<Option<Problem>, String> {
        let full = Load {
            wanted: turns,
            running: 64,
            waiting: 256,
            capacity: 64,
            room: 256,
            longest_wait: u64::MAX,
        };
        let idle = Load {
            running: 0,
            waiting: 0,
            longest_wait: 0,
            ..full
        };
        self.call(&PolicyCall::Decide(full)).await?;
        Ok(match self.call(&PolicyCall::Decide(idle)).await? {
            CallResult::Admission(Admission::Refuse(problem)) => Some(problem),
            _ => None,
        })
    }

    /// Feeds the events of a case, up to a handoff. Returns the number of events and of frames.
    async fn feed(&mut self, case: &HostileCase) -> Result<(usize, usize), String> {
        let (mut events, mut frames) = (0, 0);
        for batch in (case.batches)() {
            events += batch.len();
            let result = self.call(&PolicyCall::Feed(batch)).await?;
            frames += count_frames(result.frames()).map_err(|fault| format!("feed: {fault}"))?;
            if matches!(&result, CallResult::Output(output) if output.handoff.is_some()) {
                break;
            }
        }
        Ok((events, frames))
    }

    /// Ends the candidates as the case has it. The panel must then pick one or fail.
    async fn synthesize(&mut self, case: &HostileCase, candidates: u32) -> Result<(), String> {
        self.call(&PolicyCall::Convene(context(), candidates))
            .await?;
        let mut last = self.call(&PolicyCall::Wake(NOW)).await?;
        for (candidate, outcome) in (case.outcomes)(candidates) {
            if !matches!(last, CallResult::Verdict(Verdict::Wait(_))) {
                break;
            }
            let settle = PolicyCall::Settle(candidate, outcome, NOW + 1);
            last = self.call(&settle).await?;
        }
        // Each turn that the panel starts fails.
        for _ in 0..CONSULTED {
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
            last = self.call(&PolicyCall::Judged(failed, NOW + 2)).await?;
        }
        final_verdict(&last, candidates)
    }
}

fn final_verdict(result: &CallResult, candidates: u32) -> Result<(), String> {
    match result {
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

/// Counts frames. Each must be one line to every client.
fn count_frames(frames: &[Frame]) -> Result<usize, String> {
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

fn refused(problem: &Problem) -> String {
    let code = problem.code.as_deref().unwrap_or("no code");
    format!("refused ({code})")
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
        assert_eq!(count_frames(&fine), Ok(2));
        let why = "a frame holds U+0085, at which some clients end a line: write it as \\u0085";
        let broken = [frame("{}"), frame("{\"a\":\"\u{85}\"}")];
        assert_eq!(count_frames(&broken), Err(why.to_owned()));
    }
}
