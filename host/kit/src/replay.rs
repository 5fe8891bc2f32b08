//! Plays a tape twice on a release, or on two releases, and compares the results.

use similar::TextDiff;

use super::play::play;
use airlock_policy::tape::Tape;
use airlock_policy::{Fault, Release};

/// Unchanged lines around a difference.
const CONTEXT: usize = 3;

/// The result of a replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayOutcome {
    /// The results of the (first) release, line by line.
    pub lines: Vec<String>,
    /// The differences as a unified diff. `None` if there are none.
    pub difference: Option<String>,
}

/// Plays a tape twice on a release. Equal inputs must give equal bytes.
///
/// # Errors
/// No sandbox could be started.
pub async fn replay_twice(release: &Release, tape: &Tape) -> Result<ReplayOutcome, Fault> {
    let once = play(release, tape).await?;
    let again = play(release, tape).await?;
    Ok(compare(once, &again, ["once", "again"]))
}

/// Plays a tape on two releases. The diff is from `before` to `after`.
///
/// # Errors
/// No sandbox could be started for one of them.
pub async fn compare_releases(
    before: &Release,
    after: &Release,
    tape: &Tape,
) -> Result<ReplayOutcome, Fault> {
    let served = play(before, tape).await?;
    let other = play(after, tape).await?;
    let names = [before, after].map(|release| {
        let about = release.about();
        format!(
            "{}@{}",
            about.name,
            about.digest.get(..12).unwrap_or_default()
        )
    });
    Ok(compare(
        served,
        &other,
        names.each_ref().map(String::as_str),
    ))
}

fn compare(lines: Vec<String>, other: &[String], names: [&str; 2]) -> ReplayOutcome {
    let difference = (lines != other).then(|| {
        let [one, two] = [&lines[..], other].map(|lines| lines.join("\n") + "\n");
        let [from, to] = names;
        TextDiff::from_lines(&one, &two)
            .unified_diff()
            .context_radius(CONTEXT)
            .header(from, to)
            .to_string()
    });
    ReplayOutcome { lines, difference }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use airlock_policy::EMBEDDED;
    use airlock_policy::testing::tape;
    use airlock_policy::testing::{patched, release};

    #[tokio::test]
    async fn the_shipped_policy_is_deterministic() {
        let release = release("shipped", EMBEDDED);
        let outcome = replay_twice(&release, &tape(&["Hel", "lo"])).await.unwrap();
        assert_eq!(outcome.difference, None);
        let lines = outcome.lines.join("\n");
        for word in [
            "plan: stream, model m, 1 briefs",
            "\"Hel\"",
            "frame: [DONE]",
        ] {
            assert!(lines.contains(word), "{lines}");
        }
    }

    #[tokio::test]
    async fn a_difference_is_found() {
        let shipped = release("shipped", EMBEDDED);
        let other = release(
            "other",
            &patched("chat.completion.chunk", "chat.completion.CHUNK"),
        );
        let outcome = compare_releases(&shipped, &other, &tape(&["Hello"]))
            .await
            .unwrap();
        let difference = outcome.difference.unwrap();
        let changed = |mark: &str| {
            let lines = difference.lines();
            lines
                .filter(|line| line.starts_with(mark) && line.contains("frame: "))
                .count()
        };
        assert!(
            changed("-") > 0 && changed("-") == changed("+"),
            "{difference}"
        );
        assert!(difference.starts_with("--- shipped@"), "{difference}");
        let same = compare_releases(&shipped, &shipped, &tape(&["Hello"]))
            .await
            .unwrap();
        assert_eq!(same.difference, None);
    }

    #[tokio::test]
    async fn a_refusal_ends_a_replay() {
        let release = release("shipped", EMBEDDED);
        let mut refused = tape(&["Hello"]);
        if let Some(airlock_policy::PolicyCall::Render(request)) = refused.calls.first_mut() {
            request.body = "{".to_owned();
        }
        let outcome = replay_twice(&release, &refused).await.unwrap();
        assert_eq!(outcome.lines.len(), 2, "{outcome:?}");
        assert!(outcome.lines[1].contains("refused: "), "{outcome:?}");
    }
}
