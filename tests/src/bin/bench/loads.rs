//! The loads: rounds in which contenders take turns, in random order; printed tables, and recorded figures.

use std::time::Duration;

use airlock_tests::load::Load;
use anyhow::{Result, ensure};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use serde_json::{Value, json};

use super::contender::{AIRLOCK, Contender, LEAST, LIMIT};
use super::measurement::{Measurement, Sums};
use super::spans::{median, time};
use super::{ROUNDS, print_line};

/// The form of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Streams,
    Whole,
    FanOut,
}

/// A number of equal requests.
#[derive(Clone, Copy, Debug)]
pub(super) struct Work {
    /// The name of its figures in the record.
    key: &'static str,
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) load: Load,
    pub(super) requests: usize,
    pub(super) at_once: usize,
    /// Bytes of the history.
    pub(super) history: usize,
    /// Of a fan-out.
    pub(super) candidates: usize,
}

impl Work {
    fn streams(
        (key, name): (&'static str, &'static str),
        streams: usize,
        deltas: usize,
        every: u64,
    ) -> Self {
        Self {
            key,
            name,
            kind: Kind::Streams,
            load: Load::new(deltas, Duration::from_millis(every)),
            requests: streams,
            at_once: streams,
            history: 0,
            candidates: 0,
        }
    }

    /// Whether everything came that was sent.
    pub(super) fn check(&self, measurement: &Measurement) -> Result<()> {
        let turns = match self.kind {
            Kind::FanOut => self.candidates + 1,
            Kind::Streams | Kind::Whole => 1,
        };
        let sent = self.requests * turns * self.load.deltas;
        ensure!(
            measurement.deltas == sent,
            "{}: {} of {sent} deltas arrived",
            self.name,
            measurement.deltas
        );
        Ok(())
    }
}

fn all() -> Vec<Work> {
    let one = Work::streams(("one", "1 stream x 2,000, no pause"), 1, 2000, 0);
    vec![
        one,
        Work::streams(("fifty", "50 streams x 200, 5 ms"), 50, 200, 5),
        Work::streams(("two_hundred", "200 streams x 50, 20 ms"), 200, 50, 20),
        Work {
            kind: Kind::Whole,
            requests: 3200,
            at_once: 32,
            ..Work::streams(("whole", "whole answers, 32 at once"), 0, 1, 0)
        },
        Work {
            kind: Kind::FanOut,
            candidates: 20,
            ..Work::streams(("fan_out", "fan-out of 20 x 50, 5 ms"), 1, 50, 5)
        },
        Work {
            requests: 10,
            history: 1 << 20,
            ..Work::streams(("history", "history of 1 MiB"), 1, 20, 0)
        },
    ]
}

/// Runs all loads on all contenders, and returns the figures.
pub(super) async fn measure(contenders: &mut [Contender], only: Option<&str>) -> Result<Value> {
    let mut figures = serde_json::Map::new();
    let wanted = |work: &Work| only.is_none_or(|only| work.name.contains(only));
    for work in all().into_iter().filter(wanted) {
        let mut rounds: Vec<Vec<Sums>> = contenders.iter().map(|_| Vec::new()).collect();
        let mut order: Vec<usize> = (0..contenders.len()).collect();
        let mut random = StdRng::seed_from_u64(0);
        for round in 0..=ROUNDS {
            shuffle(&mut order, &mut random);
            for index in order.iter().copied() {
                let measurement = contenders[index].run(&work).await?;
                // The first of each warms up.
                rounds[index].extend(measurement.filter(|_| round > 0).map(Measurement::sum));
            }
        }
        figures.insert(
            work.key.to_owned(),
            print_rounds(&work, contenders, &rounds),
        );
    }
    Ok(Value::Object(figures))
}

/// Shuffles the order of the next round. The last contender of a round is not the first of the next one: two runs in a row
/// find their memory mapped and their caches filled.
fn shuffle(order: &mut [usize], random: &mut StdRng) {
    let last = order.last().copied();
    order.shuffle(random);
    if order.len() > 1 && order.first().copied() == last {
        order.rotate_left(1);
    }
}

fn print_rounds(work: &Work, contenders: &[Contender], rounds: &[Vec<Sums>]) -> Value {
    print_line(&format!("\n{}", work.name));
    print_line(&format!(
        "  {:<13}{:>10}{:>10}{:>10}{:>10}{:>10}{:>9}{:>10}{:>10}{:>8}{:>8}",
        "",
        "first",
        "p99",
        "late",
        "p99",
        "deltas/s",
        "req/s",
        "CPU/delta",
        "CPU/req",
        "frames",
        "MiB"
    ));
    let (mut medians, mut each) = (serde_json::Map::new(), serde_json::Map::new());
    for (contender, rounds) in contenders.iter().zip(rounds) {
        if rounds.is_empty() {
            continue;
        }
        let sums = Sums::medians(rounds);
        let cost = |figure: f64| match contender.is_server() {
            true => format!("{figure:.1}"),
            false => String::new(),
        };
        print_line(&format!(
            "  {:<13}{:>10}{:>10}{:>10}{:>10}{:>10.0}{:>9.0}{:>10}{:>10}{:>8}{:>8}",
            contender.name(),
            time(sums.first_us),
            time(sums.first_p99_us),
            time(sums.late_us),
            time(sums.late_p99_us),
            sums.deltas_per_second,
            sums.requests_per_second,
            cost(sums.cpu_us_per_delta),
            cost(sums.cpu_us_per_request),
            cost(sums.frames_per_delta),
            cost(sums.resident_mib),
        ));
        medians.insert(contender.name().to_owned(), json!(sums));
        each.insert(contender.name().to_owned(), json!(rounds));
    }
    let over = over(contenders, rounds);
    if let Some(over) = &over {
        let words = over.iter().map(|(name, first, last)| {
            format!("{name} {} (p99 {})", signed(*first), signed(*last))
        });
        print_line(&format!(
            "  first word over the raw line: {}",
            words.collect::<Vec<_>>().join(", ")
        ));
    }
    let over = over.map(|over| {
        let over = over.into_iter();
        let over = over.map(|(name, first, last)| {
            let late = json!({"first_us": first, "first_p99_us": last});
            (name.to_owned(), late)
        });
        over.collect::<serde_json::Map<String, Value>>()
    });
    let mut to_limit = serde_json::Map::new();
    let mut over_limit = serde_json::Map::new();
    for name in [LEAST, AIRLOCK] {
        let Some((limit, own)) = of(LIMIT, contenders, rounds).zip(of(name, contenders, rounds))
        else {
            continue;
        };
        let ratios = ratios(limit, own);
        let words = ratios
            .iter()
            .map(|(name, ratio)| format!("{name} {ratio:.2}"));
        let words: Vec<String> = words.collect();
        print_line(&format!("  {name} to the limit: {}", words.join(", ")));
        let ratios = ratios
            .into_iter()
            .map(|(name, ratio)| (name.to_owned(), json!(ratio)));
        to_limit.insert(name.to_owned(), Value::Object(ratios.collect()));
        over_limit.insert(name.to_owned(), json!(later(limit, own)));
    }
    json!({"load": work.name, "requests": work.requests, "at_once": work.at_once, "medians": medians,
        "rounds": each, "over_the_raw_line": over, "first_p99_over_limit_ms": over_limit, "to_limit": to_limit})
}

/// The rounds of a contender.
fn of<'a>(name: &str, contenders: &[Contender], rounds: &'a [Vec<Sums>]) -> Option<&'a [Sums]> {
    let index = contenders
        .iter()
        .position(|contender| contender.name() == name)?;
    let rounds = rounds.get(index).filter(|rounds| !rounds.is_empty())?;
    Some(rounds)
}

/// The 99th percentile of the time to the first word beyond the limit's, in milliseconds.
fn later(limit: &[Sums], own: &[Sums]) -> f64 {
    let pairs = own.iter().zip(limit);
    let over = pairs.map(|(one, other)| one.first_p99_us - other.first_p99_us);
    median(over) / 1e3
}

/// Each server's time to the first word beyond the raw pipe's, median and 99th percentile, in microseconds: the medians
/// over rounds.
fn over(contenders: &[Contender], rounds: &[Vec<Sums>]) -> Option<Vec<(&'static str, f64, f64)>> {
    let line = contenders
        .iter()
        .position(|contender| !contender.is_server())?;
    let line = rounds.get(line)?;
    let servers = contenders.iter().zip(rounds);
    let servers = servers.filter(|(contender, rounds)| contender.is_server() && !rounds.is_empty());
    let over = servers.map(|(contender, rounds)| {
        let of = |figure: fn(&Sums) -> f64| {
            let pairs = rounds.iter().zip(line);
            median(pairs.map(|(one, line)| figure(one) - figure(line)))
        };
        let (first, last) = (of(|sums| sums.first_us), of(|sums| sums.first_p99_us));
        (contender.name(), first, last)
    });
    Some(over.collect())
}

fn signed(micros: f64) -> String {
    let sign = if micros < 0.0 { "-" } else { "+" };
    format!("{sign}{}", time(micros.abs()))
}

/// A figure, and its name.
type Figure = (&'static str, fn(&Sums) -> f64);

/// Figures as multiples of the limit's: the median over rounds, in each of which they follow one another.
fn ratios(limit: &[Sums], own: &[Sums]) -> [(&'static str, f64); 6] {
    let figures: [Figure; 6] = [
        ("CPU/delta", |sums| sums.cpu_us_per_delta),
        ("first", |sums| sums.first_us),
        ("late p50", |sums| sums.late_us),
        ("late p99", |sums| sums.late_p99_us),
        ("deltas/s", |sums| sums.deltas_per_second),
        ("req/s", |sums| sums.requests_per_second),
    ];
    figures.map(|(name, figure)| {
        let pairs = own.iter().zip(limit);
        let ratios = pairs.map(|(one, other)| figure(one) / figure(other));
        (name, median(ratios))
    })
}
