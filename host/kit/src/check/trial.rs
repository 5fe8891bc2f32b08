//! Runs one hostile request, with statistics of its calls.

use super::stats::CallStats;
use airlock_policy::trial::{Trial, TrialCall, TrialOutcome};
use airlock_policy::{PolicyCall, Release};
use airlock_types::wit::{Frame, Problem};

/// Characters at which some clients end a line (Python's `str.splitlines`), though server-sent events do not. The gateway
/// itself refuses U+000A and U+000D.
const LINE_ENDS: [char; 8] = [
    '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}', '\u{2029}',
];

/// Runs a case, and returns a summary.
///
/// # Errors
/// The call at which the policy failed, and how.
pub(super) async fn run(
    release: &Release,
    case: &Trial,
    calls: &mut CallStats,
) -> Result<String, String> {
    let (mut events, mut frames, mut memory) = (0, 0, 0);
    let mut observer = |it: TrialCall<'_>| {
        calls.add(it.call.name(), it.time, it.memory_bytes);
        memory = it.memory_bytes >> 10;
        if let PolicyCall::Feed(batch) = it.call {
            events += batch.len();
        }
        frames += count_frames(it.result.frames())?;
        Ok(())
    };
    let outcome = case.run(release, &mut observer).await;
    match outcome.map_err(|error| first_line(&error))? {
        TrialOutcome::Refused(problem) => Ok(refused(&problem)),
        TrialOutcome::Answered | TrialOutcome::Finished { .. } => {
            Ok(format!("{events} events, {frames} frames, {memory} KiB"))
        }
    }
}

/// An error without the backtrace of a trap.
fn first_line(error: &str) -> String {
    error.lines().next().unwrap_or_default().to_owned()
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
            number: None,
        };
        let fine = [frame(r#"{"a":"\u2028"}"#), frame("[DONE]")];
        assert_eq!(count_frames(&fine), Ok(2));
        let why = "a frame holds U+0085, at which some clients end a line: write it as \\u0085";
        let broken = [frame("{}"), frame("{\"a\":\"\u{85}\"}")];
        assert_eq!(count_frames(&broken), Err(why.to_owned()));
    }
}
