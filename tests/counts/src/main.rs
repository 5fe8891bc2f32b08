//! `make counts`: compares the instruction counts on standard input with their baseline.

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use airlock_counts::{Counts, hold};
use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

/// The summary of one function, as Gungraun 0.20 reports it.
#[derive(Deserialize)]
struct Summary {
    function_name: String,
    id: Option<String>,
    profiles: Vec<Profile>,
}

#[derive(Deserialize)]
struct Profile {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    total: Total,
}

#[derive(Deserialize)]
struct Total {
    metrics: Metrics,
}

#[derive(Deserialize)]
struct Metrics {
    #[serde(rename = "Ir")]
    instructions: Metric,
}

#[derive(Deserialize)]
struct Metric {
    values: Values,
}

#[derive(Deserialize)]
struct Values {
    new: u64,
}

fn main() -> io::Result<ExitCode> {
    match held() {
        Ok(report) => {
            io::stdout().write_all(report.as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            writeln!(io::stderr(), "{error:#}")?;
            Ok(ExitCode::FAILURE)
        }
    }
}

fn held() -> Result<String> {
    let summaries = io::read_to_string(io::stdin()).context("nothing was counted")?;
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("baseline.toml");
    hold(&file, &counts(&summaries)?)
}

/// Parses concatenated summaries.
fn counts(summaries: &str) -> Result<Counts> {
    let mut counts = Counts::new();
    for summary in serde_json::Deserializer::from_str(summaries).into_iter() {
        let summary: Summary = summary.context("this is no summary of Gungraun 0.20")?;
        let of = summary.id.as_deref().unwrap_or_default();
        let name = format!("{} {of}", summary.function_name).replace('_', " ");
        let profile = summary.profiles.first();
        let profile = profile.with_context(|| format!("{name} was not counted"))?;
        let count = profile.data.total.metrics.instructions.values.new;
        ensure!(
            counts.insert(name.clone(), count).is_none(),
            "{name} was counted twice"
        );
    }
    ensure!(!counts.is_empty(), "nothing was counted");
    Ok(counts)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn summary(name: &str, new: u64) -> String {
        format!(
            r#"{{"function_name":"{name}","id":"four_kib","kind":"LibraryBenchmark","profiles":[{{"data":{{"parts":[],"total":{{"metrics":{{"Ir":{{"values":{{"new":{new},"old":1}}}}}}}}}}}}],"version":"7"}}"#
        )
    }

    #[test]
    fn each_summary_is_a_count() {
        let both = format!("{}\n{}\n", summary("render", 7), summary("feed", 8));
        let expected = [("feed four kib", 8), ("render four kib", 7)];
        let expected = expected.map(|(name, count)| (name.to_owned(), count));
        assert_eq!(counts(&both).unwrap(), Counts::from(expected));
    }

    #[test]
    fn a_run_without_counts_fails() {
        assert!(counts("").is_err());
        assert!(counts("error: no valgrind").is_err());
        let twice = summary("render", 7).repeat(2);
        assert!(counts(&twice).is_err());
        let empty = summary("render", 7).replace("Ir", "Dr");
        assert!(counts(&empty).is_err());
    }
}
