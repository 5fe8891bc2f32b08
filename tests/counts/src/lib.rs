//! Compares instruction counts, which do not depend on a machine's load, with a checked-in baseline.
//!
//! A count that grows is a regression, unless the change that causes it updates the baseline, too.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

/// The allowed growth of a count, in percent of its baseline.
const TOLERANCE: u64 = 5;

/// Counts by name.
pub type Counts = BTreeMap<String, u64>;

/// Compares counts with the baseline in a file, and returns a table. If `AIRLOCK_BLESS` is set, they become the
/// baseline.
///
/// # Errors
/// A count has grown, is new, or is missing; or the file cannot be read or written.
pub fn hold(file: &Path, counted: &Counts) -> Result<String> {
    let text = fs::read_to_string(file).with_context(|| format!("no {}", file.display()))?;
    let baseline: Counts =
        toml::from_str(&text).with_context(|| format!("{} is no baseline", file.display()))?;
    if blesses() {
        fs::write(file, written(&text, counted))?;
        return Ok(format!("{} is written anew\n", file.display()));
    }
    let Verdict { report, holds } = compare(&baseline, counted);
    if !holds {
        bail!(
            "{report}The counts are not those of {}. If that is as it should be, AIRLOCK_BLESS=1 writes it anew.",
            file.display()
        );
    }
    Ok(report)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a tool of the workspace has no configuration"
)]
fn blesses() -> bool {
    std::env::var_os("AIRLOCK_BLESS").is_some()
}

/// A table to print, and whether the baseline holds.
struct Verdict {
    report: String,
    holds: bool,
}

fn compare(baseline: &Counts, counted: &Counts) -> Verdict {
    let mut report = String::new();
    let mut holds = true;
    let names = baseline.keys().chain(counted.keys());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names.dedup();
    for name in names {
        let (before, now) = (baseline.get(name), counted.get(name));
        let remark = remark(before, now);
        holds &= !matches!(remark, Remark::Fails(_));
        let (Remark::Fails(words) | Remark::Holds(words)) = remark;
        let shown = |count: Option<&u64>| count.map_or_else(|| "-".to_owned(), u64::to_string);
        let line = format!(
            "{name:<32} {:>12} {:>12}  {words}",
            shown(before),
            shown(now)
        );
        report.push_str(line.trim_end());
        report.push('\n');
    }
    Verdict { report, holds }
}

enum Remark {
    Holds(String),
    Fails(String),
}

fn remark(before: Option<&u64>, now: Option<&u64>) -> Remark {
    let (before, now) = match (before, now) {
        (Some(before), Some(now)) => (u128::from(*before), u128::from(*now)),
        (None, _) => return Remark::Fails("has no baseline".to_owned()),
        (_, None) => return Remark::Fails("was not counted".to_owned()),
    };
    let tolerance = before * u128::from(TOLERANCE);
    let share = |difference: u128| {
        // A tenth of a percent is precise enough to print.
        let tenths = difference * 1000 / before.max(1);
        format!("{}.{} %", tenths / 10, tenths % 10)
    };
    match now.checked_sub(before) {
        Some(more) if more * 100 > tolerance => Remark::Fails(format!("GREW by {}", share(more))),
        Some(0) => Remark::Holds(String::new()),
        Some(more) => Remark::Holds(format!("+{}", share(more))),
        None => {
            let less = before - now;
            let hint = match less * 100 > tolerance {
                true => ": its baseline can be lowered",
                false => "",
            };
            Remark::Holds(format!("-{}{hint}", share(less)))
        }
    }
}

/// The file with new counts, below its leading comments.
fn written(before: &str, counted: &Counts) -> String {
    let remarks = before.lines().take_while(|line| line.starts_with('#'));
    let mut text: String = remarks.flat_map(|line| [line, "\n"]).collect();
    for (name, count) in counted {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{name:?} = {count}");
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn counts(all: &[(&str, u64)]) -> Counts {
        all.iter()
            .map(|(name, count)| ((*name).to_owned(), *count))
            .collect()
    }

    fn holds(before: u64, now: u64) -> bool {
        compare(&counts(&[("a", before)]), &counts(&[("a", now)])).holds
    }

    #[test]
    fn a_count_that_grows_by_more_than_5_percent_fails() {
        assert!(holds(1000, 1000) && holds(1000, 1050) && holds(1000, 1));
        assert!(!holds(1000, 1051) && !holds(10, 11) && !holds(0, 1));
        assert!(holds(u64::MAX, u64::MAX) && !holds(1, u64::MAX));
    }

    #[test]
    fn a_count_that_shrinks_is_reported_and_passes() {
        let said = |now| compare(&counts(&[("a", 1000)]), &counts(&[("a", now)])).report;
        assert!(said(949).ends_with("-5.1 %: its baseline can be lowered\n"));
        assert!(said(950).ends_with("-5.0 %\n"));
        assert!(said(1051).ends_with("GREW by 5.1 %\n"));
    }

    #[test]
    fn a_new_or_missing_benchmark_fails() {
        let (one, both) = (counts(&[("a", 1)]), counts(&[("a", 1), ("b", 2)]));
        let (new, gone) = (compare(&one, &both), compare(&both, &one));
        assert!(!new.holds && new.report.contains("has no baseline"));
        assert!(!gone.holds && gone.report.contains("was not counted"));
    }

    #[test]
    fn a_rewritten_baseline_keeps_its_comments_and_can_be_read() {
        let text = written("# one\n# two\n\"a\" = 1\n", &counts(&[("b c", 2)]));
        assert_eq!(text, "# one\n# two\n\"b c\" = 2\n");
        assert_eq!(
            toml::from_str::<Counts>(&text).unwrap(),
            counts(&[("b c", 2)])
        );
    }
}
