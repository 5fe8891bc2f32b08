//! One running gateway: everything started in order, and stopped in order.

use std::error::Error;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::codex::Codex;
use crate::codex::launch::Launch;
use crate::config::Config;
use crate::flow::Flow;
use crate::http::{self, Server};
use crate::policy::{self, Engine, Release};
use crate::rehearsal;
use crate::task::Tasks;

/// How long Codex and our own tasks may take to end. A Codex that heeds nothing is killed well before.
const STOP: Duration = Duration::from_secs(20);

/// A gateway that serves. Dropping it stops nothing: `drain` does.
pub struct Gateway {
    server: Server,
    tasks: Tasks,
    drain: Duration,
}

/// Why a gateway did not start. The sources have the details.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The machine cannot run policies as configured.
    #[error("cannot start the sandbox")]
    Sandbox(#[source] Box<dyn Error + Send + Sync>),
    /// The policy's file cannot be read.
    #[error("cannot read the policy {}", path.display())]
    PolicyFile {
        /// Where it was looked for.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The policy cannot serve.
    #[error("cannot load the policy")]
    Policy(#[source] Box<dyn Error + Send + Sync>),
    /// The address is taken, or is not one of this machine.
    #[error("cannot listen on {address}")]
    Listen {
        /// As configured.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The scripted model has no port.
    #[error("cannot start the rehearsal's model")]
    Rehearsal(#[source] io::Error),
    /// Codex's home cannot be written.
    #[error("cannot prepare Codex's home")]
    Home(#[source] Box<dyn Error + Send + Sync>),
}

impl Gateway {
    /// Starts a gateway. When this returns, it answers; whether Codex does yet, `/readyz` says.
    ///
    /// # Errors
    /// What a person must put right before a start can succeed. A missing Codex is none of these.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        // Compiling takes long, so it comes before there is a socket for clients to wait on.
        let release = load(&config)?;
        let accepted = release.accepts(&config.for_policy()).await;
        accepted.map_err(|error| StartError::Policy(error.into()))?;
        let listen = |source| StartError::Listen {
            address: config.listen,
            source,
        };
        let listener = TcpListener::bind(config.listen).await.map_err(listen)?;
        let tasks = Tasks::default();
        match serve(&config, release, listener, &tasks).await {
            Ok(server) => Ok(Self {
                server,
                tasks,
                drain: config.limits.drain,
            }),
            Err(error) => {
                stop(&tasks).await;
                Err(error)
            }
        }
    }

    /// Where it listens: with the port that the system chose, if it was asked to.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Stops the gateway: accepts nothing more, lets running replies end as long as `limits.drain` allows, then ends
    /// Codex.
    pub async fn drain(self) {
        if !self.server.drain(self.drain).await {
            tracing::warn!("replies that had not ended in time are cut");
        }
        stop(&self.tasks).await;
    }
}

/// The policy that this gateway serves with.
fn load(config: &Config) -> Result<Release, StartError> {
    let engine = Engine::new(&config.sandbox).map_err(|error| StartError::Sandbox(error.into()))?;
    let loaded = match &config.policy {
        None => Release::load(&engine, "embedded", policy::EMBEDDED),
        Some(path) => {
            let bytes = fs::read(path).map_err(|source| StartError::PolicyFile {
                path: path.clone(),
                source,
            })?;
            let name = path
                .file_name()
                .unwrap_or(path.as_os_str())
                .to_string_lossy();
            Release::load(&engine, &name, &bytes)
        }
    };
    let release = loaded.map_err(|error| StartError::Policy(error.into()))?;
    tracing::info!(
        name = release.name(),
        digest = release.digest(),
        "policy loaded"
    );
    Ok(release)
}

/// From the model outwards to the socket.
async fn serve(
    config: &Config,
    release: Release,
    listener: TcpListener,
    tasks: &Tasks,
) -> Result<Server, StartError> {
    let model = match config.rehearsal {
        true => Some(
            rehearsal::start(tasks)
                .await
                .map_err(StartError::Rehearsal)?,
        ),
        false => None,
    };
    let launch = Launch::prepare(config, model.as_ref().map(|model| model.base_url.as_str()))
        .map_err(|error| StartError::Home(error.into()))?;
    let codex = Codex::start(&config.limits, launch, tasks);
    let router = http::router(config, Flow::new(config, release, codex, tasks));
    let listen = |source| StartError::Listen {
        address: config.listen,
        source,
    };
    http::serve(listener, router, tasks).map_err(listen)
}

async fn stop(tasks: &Tasks) {
    if timeout(STOP, tasks.stop()).await.is_err() {
        tracing::warn!("some tasks did not end in time");
    }
}
