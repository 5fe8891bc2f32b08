//! The cost of a turn on the real Codex: driven directly with its defaults, with our settings, and through the gateway.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use airlock_tests::direct::AppServer;
use airlock_tests::{CodexHome, Gateway, ModelAnswer, ScriptedModel, process, programs};
use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::codex::{catalogue, children, set_by, size};
use super::print_line;
use super::spans::{median, mib, micros, percentile, time};
use super::used::{Used, watch};

/// Turns at once, and turns of a round.
const LOADS: [(usize, usize); 3] = [(1, 30), (20, 120), (50, 150)];

/// Rounds of each besides the first, which warms up.
const ROUNDS: usize = 5;

/// The rounds of a variant.
#[derive(Default)]
struct ContenderRounds {
    rounds: Vec<RoundFigures>,
    /// The time to the first piece of text of each turn, of all rounds.
    first: Vec<Duration>,
}

/// The figures of a round, or the medians of several.
#[derive(Clone, Copy, Serialize)]
struct RoundFigures {
    /// The median over its turns.
    first_ms: f64,
    turns_per_second: f64,
    /// The gateway's own usage, without Codex. NaN without a gateway, which is recorded as null.
    gateway_cpu_us_per_turn: f64,
    gateway_resident_mib: f64,
}

impl RoundFigures {
    fn medians(rounds: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> f64| median(rounds.iter().map(figure));
        Self {
            first_ms: of(|sums| sums.first_ms),
            turns_per_second: of(|sums| sums.turns_per_second),
            gateway_cpu_us_per_turn: of(|sums| sums.gateway_cpu_us_per_turn),
            gateway_resident_mib: of(|sums| sums.gateway_resident_mib),
        }
    }
}

/// A way to run the turns.
struct Variant {
    name: &'static str,
    runner: Runner,
    home: PathBuf,
    turns: usize,
    before: (u64, u64),
}

enum Runner {
    Direct {
        server: Box<AppServer>,
        params: Value,
    },
    Gateway(Box<Gateway>),
}

/// Measures all of it.
pub(super) async fn measure() -> Result<Value> {
    let model = ScriptedModel::start().await?;
    let words = (0..5).fold(ModelAnswer::new(), |answer, _| answer.text("word "));
    model.otherwise(words);
    let binary = programs::real_codex()?;
    let home = CodexHome::new(&model, 0, "")?;
    let gateway = Gateway::with().administered().over_real(&model).await?;
    gateway.logged("codex is ready").await?;
    let ours = gateway.codex_home();
    let params = json!({"approvalPolicy": "never", "sandbox": "read-only", "environments": [], "baseInstructions": ""});
    let mut like = params.clone();
    like["config"] = json!({"model_catalog_json": catalogue(&ours)?});
    let set = set_by(&gateway).await?;
    let mut variants = [
        Variant::direct("Codex as it comes", &binary, home.path(), &[], json!({})).await?,
        Variant::direct("with our home", &binary, &ours, &[], params.clone()).await?,
        Variant::direct("with all our options", &binary, &ours, &set, like).await?,
        Variant {
            name: "through Airlock",
            home: gateway.codex_home(),
            runner: Runner::Gateway(Box::new(gateway)),
            turns: 0,
            before: (0, 0),
        },
    ];
    let mut figures = Map::new();
    for (at_once, turns) in LOADS {
        let mut results: [ContenderRounds; 4] = Default::default();
        for round in 0..=ROUNDS {
            for (variant, results) in variants.iter_mut().zip(&mut results) {
                let (first, sums) = variant.run(at_once, turns).await?;
                if round > 0 {
                    results.first.extend(first);
                    results.rounds.push(sums);
                }
            }
        }
        print_line(&format!(
            "\nthe real Codex, {at_once} at once, {turns} turns, {ROUNDS} rounds"
        ));
        figures.insert(at_once.to_string(), print_results(&variants, &mut results));
    }
    print_line("");
    let mut growth = Map::new();
    for variant in &variants {
        growth.insert(variant.name.to_owned(), variant.print_growth().await?);
    }
    figures.insert("growth".to_owned(), Value::Object(growth));
    Ok(Value::Object(figures))
}

fn print_results(variants: &[Variant; 4], results: &mut [ContenderRounds; 4]) -> Value {
    print_line(&format!(
        "  {:<20}{:>12}{:>10}{:>12}{:>10}{:>10}{:>12}{:>8}",
        "", "first token", "", "p99", "turns/s", "", "CPU/turn", "MiB"
    ));
    let (mut medians, mut rounds) = (Map::new(), Map::new());
    let defaults = results[0].rounds.clone();
    let times = |ratio: f64| format!("({ratio:.2} x)");
    for (variant, results) in variants.iter().zip(results.iter_mut()) {
        let sums = RoundFigures::medians(&results.rounds);
        results.first.sort_unstable();
        let last = percentile(&results.first, 99);
        let first = ratio(&results.rounds, &defaults, |sums| sums.first_ms);
        let rate = ratio(&results.rounds, &defaults, |sums| sums.turns_per_second);
        let (cpu, resident) = match variant.runner {
            Runner::Direct { .. } => ("-".to_owned(), "-".to_owned()),
            Runner::Gateway(_) => (
                time(sums.gateway_cpu_us_per_turn),
                format!("{:.1}", sums.gateway_resident_mib),
            ),
        };
        print_line(&format!(
            "  {:<20}{:>12}{:>10}{:>12}{:>10.1}{:>10}{cpu:>12}{resident:>8}",
            variant.name,
            time(sums.first_ms * 1e3),
            times(first),
            time(micros(last)),
            sums.turns_per_second,
            times(rate),
        ));
        let mut summary = json!(sums);
        summary["first_p99_ms"] = json!(micros(last) / 1e3);
        medians.insert(variant.name.to_owned(), summary);
        rounds.insert(variant.name.to_owned(), json!(results.rounds));
    }
    let [defaults, _, same, ours] = &*results;
    let later = ours.rounds.iter().zip(&same.rounds);
    let later = median(later.map(|(ours, same)| ours.first_ms - same.first_ms));
    let rate =
        |than: &ContenderRounds| ratio(&ours.rounds, &than.rounds, |sums| sums.turns_per_second);
    json!({"first_over_same_options_ms": later, "of_same_options": rate(same), "of_defaults": rate(defaults),
        "medians": medians, "rounds": rounds})
}

/// A figure as a multiple of another's: the median over rounds, in each of which they follow one another.
fn ratio(one: &[RoundFigures], other: &[RoundFigures], figure: fn(&RoundFigures) -> f64) -> f64 {
    let pairs = one.iter().zip(other);
    median(pairs.map(|(one, other)| figure(one) / figure(other)))
}

impl Variant {
    async fn direct(
        name: &'static str,
        binary: &Path,
        home: &Path,
        environment: &[(String, String)],
        params: Value,
    ) -> Result<Self> {
        let server = AppServer::start_in(binary, home, environment).await?;
        Ok(Self {
            name,
            runner: Runner::Direct {
                server: Box::new(server),
                params,
            },
            home: home.to_owned(),
            turns: 0,
            before: (0, 0),
        })
    }

    /// Runs a round. Returns the time to the first piece of text of each turn, and the figures.
    async fn run(&mut self, at_once: usize, turns: usize) -> Result<(Vec<Duration>, RoundFigures)> {
        let (mut first, taken, cpu, resident) = match &mut self.runner {
            Runner::Direct { server, params } => {
                let began = Instant::now();
                let first = drive(server, params, at_once, turns).await?;
                (first, began.elapsed(), f64::NAN, f64::NAN)
            }
            Runner::Gateway(gateway) => {
                let gateway: &Gateway = gateway;
                let pid = gateway.pid();
                let (before, mut most, began) = (Used::by(pid)?, 0, Instant::now());
                let all = try_join_all((0..at_once).map(|_| through(gateway, turns / at_once)));
                let all = tokio::select! {
                    all = all => all?,
                    never = watch(pid, &mut most) => never?,
                };
                let taken = began.elapsed();
                let used = Used::at_rest(pid).await?.since(&before);
                let most = most.max(process::resident(pid)?);
                let first: Vec<Duration> = all.into_iter().flatten().collect();
                (first, taken, micros(used), mib(most))
            }
        };
        if self.turns == 0 {
            self.before = (self.resident().await?, size(&self.home)?);
        } else {
            self.turns += first.len();
        }
        self.turns = self.turns.max(1);
        first.sort_unstable();
        let run = f64::from(u32::try_from(first.len())?);
        let sums = RoundFigures {
            first_ms: micros(percentile(&first, 50)) / 1e3,
            turns_per_second: run / taken.as_secs_f64(),
            gateway_cpu_us_per_turn: cpu / run,
            gateway_resident_mib: resident,
        };
        Ok((first, sums))
    }

    /// The resident memory of the app-server, or of the gateway's largest one.
    async fn resident(&self) -> Result<u64> {
        match &self.runner {
            Runner::Direct { server, .. } => process::resident(server.pid().context("it ended")?),
            Runner::Gateway(gateway) => {
                let fleet = gateway.admin().fleet().await?;
                let busy = children(&fleet).filter_map(|child| process::resident(child).ok());
                Ok(busy.max().unwrap_or_default())
            }
        }
    }

    async fn print_growth(&self) -> Result<Value> {
        let (resident, disk) = (mib(self.resident().await?), mib(size(&self.home)?));
        let turns = f64::from(u32::try_from(self.turns)?);
        let held = (resident - mib(self.before.0)) / turns * 100.0;
        let written = (disk - mib(self.before.1)) / turns * 1000.0;
        print_line(&format!(
            "{}: {resident:.1} MiB after {} turns, {held:+.1} MiB for 100 turns; its home {written:+.2} MiB for 1,000 turns",
            self.name, self.turns,
        ));
        let growth = json!({"turns": self.turns, "codex_resident_mib": resident, "mib_per_100_turns": held,
            "home_mib_per_1000_turns": written});
        Ok(growth)
    }
}

async fn through(gateway: &Gateway, turns: usize) -> Result<Vec<Duration>> {
    let mut taken = Vec::new();
    for _ in 0..turns {
        let began = Instant::now();
        let mut stream = gateway.client().stream(json!({})).await?;
        stream.next_text().await?;
        taken.push(began.elapsed());
        stream.frames().await?;
    }
    Ok(taken)
}

/// A request without a response yet.
enum PendingCall {
    Thread(Instant),
    Turn,
    Rest,
}

/// Runs turns on an app-server, `at_once` of them concurrently, each on a thread of its own.
async fn drive(
    server: &mut AppServer,
    params: &Value,
    at_once: usize,
    turns: usize,
) -> Result<Vec<Duration>> {
    let mut thread = json!({"model": "gpt-5.5", "ephemeral": true});
    if let (Some(thread), Some(params)) = (thread.as_object_mut(), params.as_object()) {
        thread.extend(params.clone());
    }
    let (mut pending, mut began, mut taken) = (HashMap::new(), HashMap::new(), Vec::new());
    let (mut started, mut ended) = (0, 0);
    while ended < turns {
        while started < turns && started - ended < at_once {
            let now = Instant::now();
            let id = server.request("thread/start", thread.clone()).await?;
            pending.insert(id, PendingCall::Thread(now));
            started += 1;
        }
        let message = server.next().await?;
        let of = |member: &str| message["params"][member].as_str().map(str::to_owned);
        if let Some(id) = message["id"]
            .as_u64()
            .filter(|_| message.get("method").is_none())
        {
            ensure!(message.get("error").is_none(), "{message}");
            if let Some(PendingCall::Thread(since)) = pending.remove(&id) {
                let thread = message["result"]["thread"]["id"]
                    .as_str()
                    .context("no thread")?;
                began.insert(thread.to_owned(), Some(since));
                let input = json!([{"type": "text", "text": "hi"}]);
                let params = json!({"threadId": thread, "input": input});
                pending.insert(
                    server.request("turn/start", params).await?,
                    PendingCall::Turn,
                );
            }
            continue;
        }
        match message["method"].as_str() {
            Some("item/agentMessage/delta") => {
                let since = of("threadId").and_then(|thread| began.get_mut(&thread)?.take());
                taken.extend(since.map(|since| since.elapsed()));
            }
            Some("turn/completed") => {
                let thread = of("threadId").context("no thread")?;
                began.remove(&thread);
                let params = json!({ "threadId": thread });
                pending.insert(
                    server.request("thread/unsubscribe", params).await?,
                    PendingCall::Rest,
                );
                ended += 1;
            }
            _ => {}
        }
    }
    ensure!(
        taken.len() == turns,
        "{} of {turns} turns spoke",
        taken.len()
    );
    Ok(taken)
}
