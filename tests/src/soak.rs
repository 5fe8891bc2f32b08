//! The soak: requests of every kind for minutes, while children are killed, policies swapped and clients leave. Each
//! request ends exactly once, and nothing is left over: `make soak`.

mod disturbance; // what is killed and swapped
mod request; // one request of each kind, and how it must end
mod resources; // what the gateway has open

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::task::JoinSet;
use tokio::time::timeout;

use self::disturbance::{Events, builds, killing, swapping};
use self::request::Kind;
pub use self::request::Outcome;
pub use self::resources::Resources;
use crate::{Client, FakeCodex, Gateway};

/// Time under load before resources are measured first: a gateway that has served nothing yet still grows by itself.
const WARM: Duration = Duration::from_secs(15);

/// Violations after which the soak ends early.
const VIOLATIONS: usize = 20;

/// What the soak does, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How long it puts load on the gateway, after it has warmed up.
    pub time: Duration,
    /// What everything random is derived from.
    pub seed: u64,
    /// Clients, each with one request at a time.
    pub clients: usize,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How often each kind of request had each outcome.
    pub outcomes: BTreeMap<(&'static str, Outcome), usize>,
    /// Children that were killed.
    pub kills: usize,
    /// Policies that were activated.
    pub swaps: usize,
    /// What the gateway had after the warm-up, idle.
    pub before: Resources,
    /// The same at the end.
    pub after: Resources,
    /// What must not be, each with what it was.
    pub violations: Vec<String>,
}

impl Report {
    /// Requests in all.
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

/// What all clients share.
#[derive(Debug)]
struct Shared {
    over: AtomicBool,
    events: Events,
}

/// Puts load on a gateway over the scripted Codex. An error where the soak itself fails; what the gateway did wrong is in
/// the report.
pub async fn run(plan: Plan) -> Result<Report> {
    let fake = FakeCodex::start(request::script())?;
    fake.forget();
    let mut gateway = Gateway::with()
        .administered()
        .environment("AIRLOCK_FLEET_SPARE", "true")
        .environment("AIRLOCK_FLEET_THREADS_AHEAD", "4")
        .settings("[log]\nfilter = \"error\"\n[limits]\nturns = 200\npark_time = \"10s\"");
    let builds = builds()?;
    for (name, component) in &builds {
        gateway = gateway.policy_file(&format!("{name}.wasm"), component.clone());
    }
    let gateway = gateway.over_fake(&fake).await?;
    for (name, _) in &builds {
        gateway.admin().activate(name, None).await?;
    }
    // The same load with the same disturbances, so that all that is kept from one request to the next is there.
    let warm = Plan { time: WARM, ..plan };
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

/// Clients, kills and swaps for as long as the plan says.
async fn load(plan: Plan, gateway: &Gateway) -> Result<Report> {
    let shared = Arc::new(Shared {
        over: AtomicBool::new(false),
        events: Events::default(),
    });
    let mut seeds = StdRng::seed_from_u64(plan.seed);
    // Its connections end with it.
    let asks = Client::new(gateway.address())?;
    let mut clients = JoinSet::new();
    for number in 0..plan.clients {
        let random = StdRng::seed_from_u64(seeds.random());
        clients.spawn(client(asks.clone(), number, random, shared.clone()));
    }
    let disturbed = async {
        let random = StdRng::seed_from_u64(seeds.random());
        tokio::try_join!(
            killing(gateway, &shared.events, random),
            swapping(gateway, &shared.events)
        )
    };
    let mut report = Report::default();
    let time = async {
        // A gateway that fails at everything is not asked for ten minutes.
        let _ = timeout(plan.time, shared.events.violations_reach(VIOLATIONS)).await;
    };
    tokio::select! {
        // It ends only where it fails.
        disturbed = disturbed => { disturbed?; }
        () = time => {}
    }
    shared.over.store(true, Ordering::Relaxed);
    while let Some(ended) = clients.join_next().await {
        report.add(ended?);
    }
    report.kills = shared.events.kills();
    report.swaps = shared.events.swaps();
    Ok(report)
}

/// One request after the other, until it is over.
async fn client(client: Client, number: usize, mut random: StdRng, shared: Arc<Shared>) -> Report {
    let mut report = Report::default();
    let mut count = 0;
    while !shared.over.load(Ordering::Relaxed) {
        count += 1;
        let kind = Kind::draw(&mut random);
        let name = format!("soak-{number}-{count}");
        let began = Instant::now();
        let outcome = request::send(&client, kind, &name, &mut random).await;
        let outcome = outcome.and_then(|outcome| {
            // Nothing else may fail a request.
            if outcome == Outcome::Failed && !shared.events.was_killed_since(began) {
                bail!("it failed, and no child was killed meanwhile");
            }
            Ok(outcome)
        });
        match outcome {
            Ok(outcome) => *report.outcomes.entry((kind.name(), outcome)).or_default() += 1,
            Err(error) => {
                shared.events.violated();
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
