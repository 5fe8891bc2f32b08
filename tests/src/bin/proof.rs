//! Proves the guarantees of swaps, and prints the figures. Fails if a guarantee is broken.
//!
//! `make proof` builds the gateway for release and runs this. `--swaps` and `--streams` make the proof smaller or larger,
//! `--rounds` measures the times more often; 0 leaves them out.

use std::process::ExitCode;
use std::time::Duration;

use airlock_tests::proof::{self, Disturbance, Latency, Ratios, Size, Swaps, median};
use anyhow::{Context, Result, bail, ensure};

/// The allowed growth of resident memory after the mark, as a ratio.
const GROWTH: f64 = 0.05;

/// The largest ratio of a swap's call to a call that does nothing (medians of the same run).
const SWAP: f64 = 12.0;

/// The largest ratio of the time from a swap's call to the new release's first word, to that of a first word without a swap.
const FIRST: f64 = 4.0;

/// The largest ratio of the gaps in running streams while a component is loaded to those without.
const DISTURBANCE: f64 = 1.25;

/// Swaps after which the resident size is compared.
const MARK: usize = 500;

/// Swaps whose time is measured for each round of the disturbance, which takes seconds.
const SWAPS_A_ROUND: usize = 20;

struct Options {
    swaps: usize,
    streams: usize,
    rounds: usize,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_line(&format!("proof: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    let options = parse(std::env::args().skip(1))?;
    let mut broken = Vec::new();
    let mut check = |outcome: Result<()>| {
        if let Err(error) = outcome {
            broken.push(format!("{error:#}"));
        }
    };
    if options.swaps > 0 {
        let size = Size {
            swaps: options.swaps,
            streams: options.streams,
            mark: MARK.min(options.swaps / 2),
        };
        let swaps = proof::swaps(size).await?;
        print_swaps(&size, &swaps);
        check(swaps.holds());
        let growth = swaps.growth() * 100.0;
        let most = GROWTH * 100.0;
        check(within(growth <= most, || {
            format!("the gateway grew by {growth:.1} %, and may by {most} %")
        }));
    }
    if options.rounds > 0 {
        let latency = proof::latency(options.rounds * SWAPS_A_ROUND).await?;
        let ratios = latency.ratios().context("nothing measured")?;
        print_latency(&latency, ratios)?;
        check(within(ratios.swap <= SWAP, || {
            let ratio = ratios.swap;
            format!(
                "a swap takes {ratio:.1} times as long as a call that does nothing, and may take {SWAP} times"
            )
        }));
        check(within(ratios.first <= FIRST, || {
            let ratio = ratios.first;
            format!(
                "a first word after a swap takes {ratio:.1} times as long as one without, and may take {FIRST} times"
            )
        }));
        let disturbance = proof::disturbance(options.rounds).await?;
        let ratio = disturbance.ratio().context("no round")?;
        print_disturbance(&disturbance, ratio);
        check(within(ratio <= DISTURBANCE, || {
            format!("loading makes gaps {ratio:.2} times as long, and may {DISTURBANCE} times")
        }));
    }
    if broken.is_empty() {
        print_line("every promise is kept");
        return Ok(());
    }
    bail!("{}", broken.join("; "))
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Options> {
    let mut options = Options {
        swaps: 10_000,
        streams: 50,
        rounds: 15,
    };
    while let Some(name) = arguments.next() {
        let value = arguments.next();
        let value = value.with_context(|| format!("{name} needs a number"))?;
        let value = value
            .parse()
            .with_context(|| format!("{name} needs a number, and not {value}"))?;
        match name.as_str() {
            "--swaps" => options.swaps = value,
            "--streams" => options.streams = value,
            "--rounds" => options.rounds = value,
            _ => bail!("there is no {name}: --swaps, --streams, --rounds"),
        }
    }
    ensure!(options.streams > 0, "a proof needs streams");
    Ok(options)
}

fn within(holds: bool, otherwise: impl FnOnce() -> String) -> Result<()> {
    if holds { Ok(()) } else { bail!(otherwise()) }
}

fn print_swaps(size: &Size, swaps: &Swaps) {
    let mebibytes = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    row("swaps", &format!("{} in {:.1?}", size.swaps, swaps.taken));
    row("streams at every moment", &size.streams.to_string());
    let crossed = format!("{} ({} saw a swap)", swaps.replies, swaps.crossed);
    row("replies", &crossed);
    for (stamp, replies) in &swaps.served {
        row(&format!("  of {stamp}"), &replies.to_string());
    }
    row("requests that failed", &swaps.failed.len().to_string());
    row("replies of two releases", &swaps.mixed.len().to_string());
    let mark = format!("resident after {} swaps", size.mark);
    row(&mark, &mebibytes(swaps.resident_at_mark));
    row("resident at the end", &mebibytes(swaps.resident_at_end));
    row("growth", &format!("{:+.1} %", swaps.growth() * 100.0));
    row("old releases in memory", &swaps.left.len().to_string());
    row("components mapped", &swaps.mapped.to_string());
}

fn print_latency(latency: &Latency, ratios: Ratios) -> Result<()> {
    let middle = |taken: &[Duration]| median(taken).context("nothing measured");
    let (first, plain) = (middle(&latency.first)?, middle(&latency.plain)?);
    row(
        "a swap's call, median",
        &format!("{:.2?}", middle(&latency.swap)?),
    );
    row(
        "a call that does nothing, median",
        &format!("{:.2?}", middle(&latency.bare)?),
    );
    row(
        "call to the first word on it, median",
        &format!("{first:.2?}"),
    );
    row("first word without a swap, median", &format!("{plain:.2?}"));
    row(
        "ratios of the two pairs",
        &format!("{:.1} and {:.1}", ratios.swap, ratios.first),
    );
    Ok(())
}

fn print_disturbance(disturbance: &Disturbance, ratio: f64) {
    let (without, with): (Vec<_>, Vec<_>) = disturbance.rounds.iter().copied().unzip();
    let middle = |taken: &[Duration]| format!("{:.2?}", median(taken).unwrap_or_default());
    let loads = format!("{} of {} KiB", disturbance.loads, disturbance.size >> 10);
    row("components loaded beside streams", &loads);
    row("p99 of the gaps, alone", &middle(&without));
    row("p99 of the gaps, while loading", &middle(&with));
    row("ratio, median of rounds", &format!("{ratio:.2}"));
}

fn row(name: &str, value: &str) {
    print_line(&format!("{name:<40}{value}"));
}

#[expect(clippy::print_stdout, reason = "this program is its output")]
fn print_line(line: &str) {
    println!("{line}");
}
