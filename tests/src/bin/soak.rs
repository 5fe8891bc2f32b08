//! Runs every kind of load on a gateway for minutes, while children are killed, policies swapped and clients leave. Fails if a
//! request does not end exactly once, or if a resource is left over.
//!
//! `make soak` runs this. `--seconds` and `--clients` make it longer or heavier, `--seed` repeats a run.

use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use airlock_tests::soak::{self, SoakPlan, SoakReport};
use anyhow::{Context, Result, bail, ensure};

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_line(&format!("soak: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    let plan = plan(std::env::args().skip(1))?;
    row("seed", &plan.seed.to_string());
    row("clients", &plan.clients.to_string());
    row("seconds", &plan.time.as_secs().to_string());
    let report = soak::run(plan).await?;
    print_report(&report);
    ensure!(
        report.violations.is_empty(),
        "{} violations; --seed {} repeats the run",
        report.violations.len(),
        plan.seed
    );
    print_line("each request ended once, and nothing is left over");
    Ok(())
}

fn plan(mut arguments: impl Iterator<Item = String>) -> Result<SoakPlan> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let mut plan = SoakPlan {
        time: Duration::from_secs(600),
        seed: u64::from(now.subsec_nanos()),
        clients: 24,
    };
    while let Some(name) = arguments.next() {
        let value = arguments.next();
        let value = value.with_context(|| format!("{name} needs a number"))?;
        let number: u64 = value
            .parse()
            .with_context(|| format!("{name} needs a number, and not {value}"))?;
        match name.as_str() {
            "--seconds" => plan.time = Duration::from_secs(number),
            "--seed" => plan.seed = number,
            "--clients" => plan.clients = usize::try_from(number)?,
            _ => bail!("there is no {name}: --seconds, --seed, --clients"),
        }
    }
    ensure!(plan.clients > 0, "a soak needs clients");
    Ok(plan)
}

fn print_report(report: &SoakReport) {
    row("requests", &report.requests().to_string());
    for ((kind, outcome), count) in &report.outcomes {
        row(&format!("  {kind}: {outcome:?}"), &count.to_string());
    }
    row("children killed", &report.kills.to_string());
    row("policies swapped", &report.swaps.to_string());
    for ((name, before, most), (_, after, _)) in
        report.before.rows().into_iter().zip(report.after.rows())
    {
        row(
            name,
            &format!("{before} before, {after} after (at most {most})"),
        );
    }
    for violation in &report.violations {
        print_line(&format!("VIOLATION {violation}"));
    }
}

fn row(name: &str, value: &str) {
    print_line(&format!("{name:<40}{value}"));
}

#[expect(clippy::print_stdout, reason = "this program is its output")]
fn print_line(line: &str) {
    println!("{line}");
}
