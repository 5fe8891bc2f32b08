//! The systems that are compared: the raw pipe, the native limit, the limit with the least sandbox, and Airlock.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use airlock_tests::{Gateway, process, programs, within};
use anyhow::{Context as _, Result};
use futures_util::future::try_join_all;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::http::{Connection, request};
use super::loads::{Kind, Work};
use super::measurement::Measurement;
use super::pipe::CodexPipe;
use super::used::{Used, watch};
use super::{KEY, PATIENCE};

/// Airlock's settings: enough turns and instances for the loads.
const SETTINGS: &str = "[limits]\nturns = 1000\n[sandbox]\ninstances = 1100\n";

/// Names of contenders whose figures are compared.
pub(super) const LIMIT: &str = "native limit";
pub(super) const LEAST: &str = "least sandbox";
pub(super) const AIRLOCK: &str = "Airlock";
pub(super) const OTHER: &str = "other build";

/// The shipped policy as a component.
const POLICY: &str = airlock_tests::components::SHIPPED;

/// A system that is measured.
pub(super) enum Contender {
    Pipe(Box<CodexPipe>),
    Limit(&'static str, Box<Server>),
    Airlock(&'static str, Box<Gateway>),
}

/// A server process.
pub(super) struct Server {
    _child: Child,
    pid: u32,
    address: SocketAddr,
}

impl Contender {
    /// Starts all contenders, each with its own standalone Codex. `against` is another build of Airlock.
    pub(super) async fn all(against: Option<&Path>) -> Result<Vec<Self>> {
        let codex = programs::fake_codex()?;
        let mut all = vec![
            Self::Pipe(Box::new(CodexPipe::start(&codex).await?)),
            Self::Limit(LIMIT, Box::new(Server::limit(&codex, None).await?)),
            Self::Limit(LEAST, Box::new(Server::limit(&codex, Some(POLICY)).await?)),
            Self::Airlock(AIRLOCK, Box::new(airlock(None).await?)),
        ];
        if let Some(other) = against {
            let other = airlock(Some(other)).await?;
            all.push(Self::Airlock(OTHER, Box::new(other)));
        }
        Ok(all)
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Pipe(_) => "raw line",
            Self::Limit(name, _) | Self::Airlock(name, _) => name,
        }
    }

    pub(super) fn is_server(&self) -> bool {
        !matches!(self, Self::Pipe(_))
    }

    /// The process ID and address.
    pub(super) fn server(&self) -> Option<(u32, SocketAddr)> {
        match self {
            Self::Pipe(_) => None,
            Self::Limit(_, server) => Some((server.pid, server.address)),
            Self::Airlock(_, gateway) => Some((gateway.pid(), gateway.address())),
        }
    }

    /// Runs a load once. `None` if the contender does not support it.
    pub(super) async fn run(&mut self, work: &Work) -> Result<Option<Measurement>> {
        if let Self::Pipe(line) = self {
            return line_runs(line, work).await.map(Some);
        }
        if work.kind == Kind::FanOut && matches!(self, Self::Limit(..)) {
            return Ok(None);
        }
        let (pid, address) = self.server().context("no server")?;
        let connections = Connection::many(address, work.at_once).await?;
        let more = match work.kind {
            Kind::Whole => json!({}),
            Kind::Streams => json!({"stream": true}),
            Kind::FanOut => json!({"stream": true, "parallel_calls": work.candidates}),
        };
        let body = request(&work.load.words(), work.history, more);
        let each = work.requests / work.at_once;
        let (before, began) = (Used::by(pid)?, Instant::now());
        let clients = connections.into_iter().map(|mut connection| {
            let body = &body;
            async move {
                let mut measurement = Measurement::default();
                for _ in 0..each {
                    measurement.add(match work.kind {
                        Kind::Whole => connection.whole(body).await?,
                        Kind::Streams => connection.stream(body, false).await?,
                        Kind::FanOut => connection.stream(body, true).await?,
                    });
                }
                anyhow::Ok(measurement)
            }
        });
        let mut most = 0;
        let clients = try_join_all(clients);
        let all = tokio::select! {
            all = clients => all?,
            never = watch(pid, &mut most) => never?,
        };
        let mut measurement = Measurement::default();
        for one in all {
            measurement.add(one);
        }
        measurement.taken = began.elapsed();
        measurement.cpu = Used::at_rest(pid).await?.since(&before);
        measurement.resident = most.max(process::resident(pid)?);
        work.check(&measurement)?;
        Ok(Some(measurement))
    }
}

/// The same turns without a gateway. For a fan-out: its candidates, and then the synthesis.
async fn line_runs(line: &mut CodexPipe, work: &Work) -> Result<Measurement> {
    if work.kind != Kind::FanOut {
        return line.turns(work.load, work.requests, work.at_once).await;
    }
    let began = Instant::now();
    let mut measurement = line
        .turns(work.load, work.candidates, work.candidates)
        .await?;
    measurement.add(line.turns(work.load, 1, 1).await?);
    measurement.taken = began.elapsed();
    measurement.requests = 1;
    Ok(measurement)
}

/// Airlock as it is shipped, with a key, and places enough.
async fn airlock(program: Option<&Path>) -> Result<Gateway> {
    let gateway = Gateway::with()
        .settings(SETTINGS)
        .environment("AIRLOCK_API_KEY", KEY);
    let gateway = match program {
        Some(program) => gateway.program(program),
        None => gateway,
    };
    let gateway = gateway.over(programs::fake_codex()?).await?;
    gateway.logged("codex is ready").await?;
    Ok(gateway)
}

impl Server {
    /// The limit, with this policy in a sandbox or with its own.
    async fn limit(codex: &Path, policy: Option<&str>) -> Result<Self> {
        let program = match policy {
            Some(_) => "least-sandbox",
            None => "limit",
        };
        let program = std::env::current_exe()?.with_file_name(program);
        let mut child = Command::new(program)
            .arg(codex)
            .args(policy)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("starting the native limit")?;
        let mut lines = BufReader::new(child.stdout.take().context("no stdout")?).lines();
        let line = within(PATIENCE, "the limit's address", lines.next_line());
        let line = line.await??.context("the limit ended")?;
        let address = line.rsplit('/').next().context("no address")?.parse()?;
        Ok(Self {
            pid: child.id().context("the limit ended")?,
            _child: child,
            address,
        })
    }
}
