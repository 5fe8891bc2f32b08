//! The soak test (`make soak`): requests of every kind for minutes, while children are killed, policies swapped and
//! clients disconnect. Each request must end exactly once, and no resource may leak.

mod disturbance; // kills and swaps
mod request; // kinds of requests, and checks of their responses
mod resources; // resources that the gateway holds

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::task::JoinSet;
use tokio::time::timeout;

use self::disturbance::{DisturbanceLog, builds, killing, swapping};
pub use self::request::Outcome;
use self::request::RequestKind;
pub use self::resources::Resources;
use crate::{Client, FakeCodex, Gateway};

/// Time under load before resources are measured first: a gateway grows with its first requests.
const WARM: Duration = Duration::from_secs(15);

/// Violations after which the run ends early.
const VIOLATIONS: usize = 20;

/// The parameters of a run.
#[derive(Clone, Copy, Debug)]
pub struct SoakPlan {
    /// The time under load, after the warm-up.
    pub time: Duration,
    /// The seed of all random numbers.
    pub seed: u64,
    /// The number of clients, each with one request at a time.
    pub clients: usize,
}

/// The result of a run.
#[derive(Clone, Debug, Default)]
pub struct SoakReport {
    /// The number of requests by kind and outcome.
    pub outcomes: BTreeMap<(&'static str, Outcome), usize>,
    /// Children that were killed.
    pub kills: usize,
    /// Policies that were activated.
    pub swaps: usize,
    /// Resources of the idle gateway after the warm-up.
    pub before: Resources,
    /// Resources of the idle gateway at the end.
    pub after: Resources,
    /// Descriptions of all violations.
    pub violations: Vec<String>,
}

impl SoakReport {
    /// The number of all requests.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.outcomes.values().sum()
    }

    fn add(&mut self, other: Self) {
        for (outcome, count) in other.outcomes {
            *self.outcomes.entry(outcome).or_default() += count;
        }
        self.violations.extend(other.violations);
    }
}

/// State that all clients share.
#[derive(Debug)]
struct SoakState {
    over: AtomicBool,
    events: DisturbanceLog,
}

/// Runs the soak test on a gateway over the scripted Codex. Violations are in the report.
///
/// # Errors
/// The test itself fails.
pub async fn run(plan: SoakPlan) -> Result<SoakReport> {
    let fake = FakeCodex::start(request::script())?;
    fake.forget();
    let mut gateway = Gateway::with()
        .administered()
        .environment("AIRLOCK_FLEET_SPARE", "true")
        .environment("AIRLOCK_FLEET_WARM_THREADS", "4")
        .settings("[log]\nfilter = \"error\"\n[limits]\nturns = 200\npark_time = \"10s\"");
    let builds = builds()?;
    for (name, component) in &builds {
        gateway = gateway.policy_file(&format!("{name}.wasm"), component.clone());
    }
    let gateway = gateway.over_fake(&fake).await?;
    for (name, _) in &builds {
        gateway.admin().activate(name, None).await?;
    }
    // The warm-up has the same load and disturbances, so that everything that is cached between requests is allocated.
    let warm = SoakPlan { time: WARM, ..plan };
    let warmed = load(warm, &gateway).await?;
    if let Some(violation) = warmed.violations.first() {
        bail!("while warming up: {violation}");
    }
    let before = resources::settled(&gateway, None).await?;
    let mut report = load(plan, &gateway).await?;
    let after = resources::settled(&gateway, Some(&before)).await?;
    report.violations.extend(before.exceeded(&after));
    report
        .violations
        .extend(resources::left_over(&gateway).await?);
    (report.before, report.after) = (before, after);
    Ok(report)
}

/// Runs clients, kills and swaps for the plan's time.
async fn load(plan: SoakPlan, gateway: &Gateway) -> Result<SoakReport> {
    let state = Arc::new(SoakState {
        over: AtomicBool::new(false),
        events: DisturbanceLog::default(),
    });
    let mut seeds = StdRng::seed_from_u64(plan.seed);
    // Dropping it closes its connections.
    let connections = Client::new(gateway.address())?;
    let mut clients = JoinSet::new();
    for number in 0..plan.clients {
        let random = StdRng::seed_from_u64(seeds.random());
        clients.spawn(client(connections.clone(), number, random, state.clone()));
    }
    let disturbed = async {
        let random = StdRng::seed_from_u64(seeds.random());
        tokio::try_join!(
            killing(gateway, &state.events, random),
            swapping(gateway, &state.events)
        )
    };
    let mut report = SoakReport::default();
    let time = async {
        // A gateway that fails every request ends the run early.
        let _ = timeout(plan.time, state.events.violations_reach(VIOLATIONS)).await;
    };
    tokio::select! {
        // It ends only on an error.
        disturbed = disturbed => { disturbed?; }
        () = time => {}
    }
    state.over.store(true, Ordering::Relaxed);
    while let Some(ended) = clients.join_next().await {
        report.add(ended?);
    }
    report.kills = state.events.kills();
    report.swaps = state.events.swaps();
    Ok(report)
}

/// Sends one request after the other until the time is over.
async fn client(
    client: Client,
    number: usize,
    mut random: StdRng,
    state: Arc<SoakState>,
) -> SoakReport {
    let mut report = SoakReport::default();
    let mut count = 0;
    while !state.over.load(Ordering::Relaxed) {
        count += 1;
        let kind = RequestKind::draw(&mut random);
        let name = format!("soak-{number}-{count}");
        let began = Instant::now();
        let outcome = request::send(&client, kind, &name, &mut random).await;
        let outcome = outcome.and_then(|outcome| {
            // Only a killed child may fail a request.
            if outcome == Outcome::Failed && !state.events.was_killed_since(began) {
                bail!("it failed, and no child was killed meanwhile");
            }
            Ok(outcome)
        });
        match outcome {
            Ok(outcome) => *report.outcomes.entry((kind.name(), outcome)).or_default() += 1,
            Err(error) => {
                state.events.violated();
                let after = began.elapsed();
                report.violations.push(format!(
                    "{} {name}, after {after:.1?}: {error:#}",
                    kind.name()
                ));
            }
        }
    }
    report
}
