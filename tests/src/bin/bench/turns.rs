//! What a turn on the real Codex costs: driven directly as it comes, directly with our settings, and through the gateway.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use airlock_tests::direct::AppServer;
use airlock_tests::{CodexHome, Gateway, ModelAnswer, ScriptedModel, process, programs};
use anyhow::{Context, Result, bail, ensure};
use futures_util::future::try_join_all;
use serde_json::{Value, json};

use super::say;
use super::spans::{mebibytes, median};

/// Turns at once, and turns of a round.
const LOADS: [(usize, usize); 3] = [(1, 30), (20, 120), (50, 150)];

/// Rounds of each, the first of which warms up.
const ROUNDS: usize = 6;

/// Turns with recycling on, and threads after which a child is replaced.
const MANY: usize = 1000;
const RECYCLE: usize = 200;

/// What a round told.
#[derive(Default)]
struct Told {
    /// Until the first piece of text, the median of each round.
    first: Vec<Duration>,
    /// For each turn, were they one after the other.
    each: Vec<Duration>,
}

/// Who runs the turns.
struct Party {
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
    let mut parties = vec![
        Party::direct("Codex as it comes", &binary, home.path(), &[], json!({})).await?,
        Party::direct("with our home", &binary, &ours, &[], params.clone()).await?,
        Party::direct("with all our options", &binary, &ours, &set, like).await?,
        Party {
            name: "through Airlock",
            home: gateway.codex_home(),
            runner: Runner::Gateway(Box::new(gateway)),
            turns: 0,
            before: (0, 0),
        },
    ];
    let mut figures = Vec::new();
    for (at_once, turns) in LOADS {
        let mut told: Vec<Told> = parties.iter().map(|_| Told::default()).collect();
        for round in 0..ROUNDS {
            for (party, told) in parties.iter_mut().zip(&mut told) {
                let (first, each) = party.run(at_once, turns).await?;
                if round > 0 {
                    told.first.push(first);
                    told.each.push(each);
                }
            }
        }
        say(&format!(
            "\nthe real Codex, {at_once} at once, {turns} turns, {} rounds",
            ROUNDS - 1
        ));
        let mut load = serde_json::Map::new();
        let base = told.first_mut().context("nobody")?;
        let base = (median(&mut base.first), median(&mut base.each));
        for (party, told) in parties.iter().zip(&mut told) {
            let (first, each) = (median(&mut told.first), median(&mut told.each));
            say(&format!(
                "  {:<20} first token {first:>9.2?} ({:.2} x)   {:>6.1} turns a second ({:.2} x)",
                party.name,
                first.as_secs_f64() / base.0.as_secs_f64(),
                1.0 / each.as_secs_f64(),
                base.1.as_secs_f64() / each.as_secs_f64(),
            ));
            let told = json!({"first_ms": first.as_secs_f64() * 1e3, "turns_per_second": 1.0 / each.as_secs_f64()});
            load.insert(party.name.to_owned(), told);
        }
        let of = |party: &str, figure: &str| load[party][figure].as_f64().unwrap_or(f64::NAN);
        let (defaults, same) = ("Codex as it comes", "with all our options");
        let (ours, rate) = ("through Airlock", "turns_per_second");
        let compared = json!({
            "at_once": at_once,
            "first_over_same_options_ms": of(ours, "first_ms") - of(same, "first_ms"),
            "of_same_options": of(ours, rate) / of(same, rate),
            "of_defaults": of(ours, rate) / of(defaults, rate),
            "medians": load,
        });
        figures.push(compared);
    }
    for party in &parties {
        party.tell_growth().await?;
    }
    Ok(Value::Array(figures))
}

/// Runs many turns with recycling on, and tells how large the children and their files ever were.
pub(super) async fn recycling() -> Result<()> {
    let model = ScriptedModel::start().await?;
    model.otherwise(ModelAnswer::words("a few words to be said"));
    let gateway = Gateway::with()
        .administered()
        .settings(&format!("[fleet]\nrecycle_threads = {RECYCLE}"))
        .over_real(&model)
        .await?;
    let admin = gateway.admin();
    let (mut largest, mut together, mut disk) = (0, 0, 0);
    let began = Instant::now();
    for round in 0..MANY / 50 {
        let asked = (0..50).map(|number| {
            let client = gateway.client().clone();
            async move {
                let text = client.ask(&format!("{round} {number}")).await?;
                ensure!(text == "a few words to be said", "a reply was cut: {text}");
                Ok(())
            }
        });
        try_join_all(asked).await?;
        let fleet = admin.fleet().await?;
        let sizes = children(&fleet).filter_map(|child| process::resident(child).ok());
        let sizes: Vec<u64> = sizes.collect();
        largest = sizes.iter().copied().max().unwrap_or_default().max(largest);
        together = sizes.iter().sum::<u64>().max(together);
        disk = size(&gateway.codex_home())?.max(disk);
    }
    let taken = began.elapsed();
    let fleet = admin.fleet().await?;
    say(&format!(
        "{MANY} turns, 50 at once, children replaced after {RECYCLE} threads: {taken:.1?}, every reply whole, {} children started",
        fleet["started"]
    ));
    say(&format!(
        "  the largest child {}, all of them together {}, Codex's home {}",
        mebibytes(largest),
        mebibytes(together),
        mebibytes(disk)
    ));
    Ok(())
}

impl Party {
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

    /// The median time to the first piece of text, and the time for each turn.
    async fn run(&mut self, at_once: usize, turns: usize) -> Result<(Duration, Duration)> {
        let began = Instant::now();
        let mut first = match &mut self.runner {
            Runner::Direct { server, params } => drive(server, params, at_once, turns).await?,
            Runner::Gateway(gateway) => {
                let each = turns / at_once;
                let all = (0..at_once).map(|_| through(gateway, each));
                try_join_all(all).await?.into_iter().flatten().collect()
            }
        };
        let taken = began.elapsed();
        let run = u32::try_from(first.len())?;
        if self.turns == 0 {
            self.before = (self.resident().await?, size(&self.home)?);
        } else {
            self.turns += first.len();
        }
        self.turns = self.turns.max(1);
        Ok((median(&mut first), taken / run))
    }

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

    #[expect(clippy::cast_precision_loss, reason = "sizes far below 2^52")]
    async fn tell_growth(&self) -> Result<()> {
        let (resident, disk) = (self.resident().await?, size(&self.home)?);
        let turns = self.turns as f64;
        let grown =
            |now: u64, before: u64, turns: f64| (now as f64 - before as f64) / turns / 1048576.0;
        say(&format!(
            "{}: {} after {} turns, {:+.1} MiB for 100 turns; its home {:+.2} MiB for 1,000 turns",
            self.name,
            mebibytes(resident),
            self.turns,
            grown(resident, self.before.0, turns) * 100.0,
            grown(disk, self.before.1, turns) * 1000.0,
        ));
        Ok(())
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

/// Where a call's answer leads.
enum Asked {
    Thread(Instant),
    Turn,
    Rest,
}

/// Runs turns on an app-server, so many at once, each on a thread of its own.
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
    let (mut asked, mut began, mut taken) = (HashMap::new(), HashMap::new(), Vec::new());
    let (mut started, mut ended) = (0, 0);
    while ended < turns {
        while started < turns && started - ended < at_once {
            let now = Instant::now();
            let id = server.request("thread/start", thread.clone()).await?;
            asked.insert(id, Asked::Thread(now));
            started += 1;
        }
        let message = server.next().await?;
        let of = |member: &str| message["params"][member].as_str().map(str::to_owned);
        if let Some(id) = message["id"]
            .as_u64()
            .filter(|_| message.get("method").is_none())
        {
            ensure!(message.get("error").is_none(), "{message}");
            if let Some(Asked::Thread(since)) = asked.remove(&id) {
                let thread = message["result"]["thread"]["id"]
                    .as_str()
                    .context("no thread")?;
                began.insert(thread.to_owned(), Some(since));
                let input = json!([{"type": "text", "text": "hi"}]);
                let params = json!({"threadId": thread, "input": input});
                asked.insert(server.request("turn/start", params).await?, Asked::Turn);
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
                asked.insert(
                    server.request("thread/unsubscribe", params).await?,
                    Asked::Rest,
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

/// What the gateway gives to its Codex besides what every Codex gets here: the certificates that it has put together.
async fn set_by(gateway: &Gateway) -> Result<Vec<(String, String)>> {
    let fleet = gateway.admin().fleet().await?;
    let child = children(&fleet).next().context("no child")?;
    let environment = fs::read_to_string(format!("/proc/{child}/environ"))?;
    let set = environment.split('\0').filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let ours = ["SSL_CERT_FILE", "CODEX_CA_CERTIFICATE"].contains(&name);
        ours.then(|| (name.to_owned(), value.to_owned()))
    });
    Ok(set.collect())
}

/// The catalogue of models that the gateway's threads without tools are given: that which has models in code mode.
pub(super) fn catalogue(home: &Path) -> Result<PathBuf> {
    for entry in fs::read_dir(home)? {
        let file = entry?.path();
        let name = file.file_name().and_then(|name| name.to_str());
        if name.is_some_and(|name| name.starts_with("models-"))
            && fs::read_to_string(&file)?.contains("code_mode")
        {
            return Ok(file);
        }
    }
    bail!("the gateway has made no catalogue")
}

/// The processes of a fleet's children.
fn children(fleet: &Value) -> impl Iterator<Item = u32> {
    let children = fleet["children"].as_array().into_iter().flatten();
    children.filter_map(|child| u32::try_from(child["pid"].as_u64()?).ok())
}

/// Bytes of all files below a folder.
fn size(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // What is gone meanwhile has no size.
        let Ok(about) = entry.path().symlink_metadata() else {
            continue;
        };
        bytes += if about.is_dir() {
            size(&entry.path()).unwrap_or_default()
        } else {
            about.len()
        };
    }
    Ok(bytes)
}
