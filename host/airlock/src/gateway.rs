//! A running gateway: starts policies, Codex and the HTTP server in order, and stops them in order.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::config::Config;
use crate::preflight;
use crate::telemetry;
use airlock_base::descriptors::{self, DescriptorReserve};
use airlock_base::storage;
use airlock_base::task::Tasks;
use airlock_codex::Codex;
use airlock_codex::account::Account;
use airlock_codex::launch::Launch;
use airlock_metrics::Metrics;
use airlock_policy::Registry;
use airlock_rehearsal as rehearsal;
use airlock_server::config::ServerTurnLimits;
use airlock_server::flow::{Flow, Objects};
use airlock_server::http::{self, HttpServer};
use airlock_store::{SqliteStore, Store};

/// How long all tasks may take to end. A Codex that does not react is killed well before.
const STOP: Duration = Duration::from_secs(20);

/// The time between removals of expired objects. They are absent to clients before.
const EXPIRY: Duration = Duration::from_secs(60);

/// How long aborted responses may take to reach their clients.
const ABORT: Duration = Duration::from_secs(5);

/// A gateway that serves until [`Gateway::drain`]. Dropping it does not stop it.
pub struct Gateway {
    server: HttpServer,
    account: Account,
    objects: Objects,
    /// None: nothing is stored.
    store: Option<SqliteStore>,
    tasks: Tasks,
    drain: Duration,
}

/// Why a gateway did not start. The sources of the error have the details.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder cannot be used.
    #[error(transparent)]
    Data(Box<dyn Error + Send + Sync>),
    /// The policy cannot serve.
    #[error("cannot load the policy")]
    Policy(#[source] Box<dyn Error + Send + Sync>),
    /// The address is in use, or not one of this machine.
    #[error("cannot listen on {address}")]
    Listen {
        /// The configured address.
        address: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// The rehearsal's model cannot listen.
    #[error("cannot start the rehearsal's model")]
    Rehearsal(#[source] io::Error),
    /// Codex's home cannot be prepared.
    #[error(transparent)]
    Home(Box<dyn Error + Send + Sync>),
}

impl Gateway {
    /// Starts a gateway. When this returns, it accepts requests; `/readyz` reports whether Codex is ready.
    ///
    /// # Errors
    /// What the operator must correct first. A missing Codex is not an error.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let free =
            storage::prepare(&config.data_dir).map_err(|error| StartError::Data(error.into()))?;
        if storage::is_low(free) {
            tracing::warn!(
                mebibytes = free >> 20,
                "the data folder's disk is nearly full"
            );
        }
        let store = SqliteStore::open(&config.data_dir, &config.store)
            .map_err(|error| StartError::Data(error.into()))?;
        let objects = {
            let store = store.clone().map(|store| Arc::new(store) as Arc<dyn Store>);
            Objects::new(store, config.frame_logs.clone())
        };
        let tasks = Tasks::default();
        expire(objects.clone(), &tasks);
        let metrics = Metrics::default();
        // Compiling the policy takes long, so it precedes the socket on which clients would wait.
        let registry = match Registry::open(&config.policy, &metrics, &tasks).await {
            Ok(registry) => registry,
            Err(error) => {
                stop(&tasks).await;
                return Err(StartError::Policy(error));
            }
        };
        let listen = |source| StartError::Listen {
            address: config.server.listen,
            source,
        };
        let started = match TcpListener::bind(config.server.listen).await {
            Ok(listener) => {
                let shared = (objects.clone(), metrics);
                serve(&config, registry, shared, listener, &tasks).await
            }
            Err(error) => Err(listen(error)),
        };
        match started {
            Ok((server, account)) => Ok(Self {
                server,
                account,
                objects,
                store,
                tasks,
                drain: config.server.limits.drain,
            }),
            Err(error) => {
                stop(&tasks).await;
                Err(error)
            }
        }
    }

    /// The address on which the gateway listens, with the port that the system chose for port 0.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Stops the gateway: accepts no more connections, lets running responses end within `limits.drain`, ends the others with
    /// an error, and then ends Codex.
    pub async fn drain(&self) {
        // A sign-in may take minutes, so it is stopped at once.
        let (drained, ()) = tokio::join!(self.drained(), self.account.stop());
        if !drained {
            tracing::warn!("replies that had not ended in time are ended with an error");
            self.abort().await;
        }
        stop(&self.tasks).await;
        if let Some(store) = &self.store
            && let Err(error) = store.close().await
        {
            tracing::warn!(%error, "cannot close the store");
        }
    }

    /// Waits at most `limits.drain` for the running responses. True: all have ended.
    async fn drained(&self) -> bool {
        let until = Instant::now() + self.drain;
        if !self.server.drain(self.drain).await {
            return false;
        }
        // The last requests may have begun some.
        timeout_at(until, self.objects.background_ended())
            .await
            .is_ok()
    }

    /// Ends all running responses now: a stream by an error frame, another request by a 503, both with the code
    /// `gateway_stopping`. Returns when all connections are closed, or after 5 s, when clients that do not read are cut off.
    pub async fn abort(&self) {
        self.tasks.abort_requests();
        let background = timeout(ABORT, self.objects.background_ended());
        let (drained, _) = tokio::join!(self.server.drain(ABORT), background);
        if !drained {
            tracing::warn!("connections whose clients do not read are closed without an ending");
        }
    }
}

/// Spawns the task that removes stored objects and frame logs whose time is over.
fn expire(objects: Objects, tasks: &Tasks) {
    let stopping = tasks.clone();
    tasks.spawn("expiry", async move {
        loop {
            tokio::select! {
                () = sleep(EXPIRY) => objects.expire().await,
                () = stopping.stopping() => return,
            }
        }
    });
}

/// Starts the rehearsal's model, Codex and the HTTP server.
async fn serve(
    config: &Config,
    registry: Registry,
    (objects, metrics): (Objects, Metrics),
    listener: TcpListener,
    tasks: &Tasks,
) -> Result<(HttpServer, Account), StartError> {
    let model = match config.server.rehearsal {
        true => Some(
            rehearsal::start(tasks)
                .await
                .map_err(StartError::Rehearsal)?,
        ),
        false => None,
    };
    let launch = Launch::prepare(
        &config.codex,
        config.command("login"),
        model.as_ref().map(|model| model.base_url.as_str()),
    )
    .map_err(|error| StartError::Home(error.into()))?;
    preflight::log(config, &launch);
    let codex = Codex::start(&config.codex, launch, tasks);
    let account = codex.account().clone();
    let router = {
        let flow = Flow::new(
            &config.server,
            turn_limits(config),
            registry.rollout(),
            codex.clone(),
            objects,
            tasks,
        );
        http::router(
            &config.server,
            flow,
            codex,
            registry,
            metrics,
            telemetry::lost_lines,
            tasks,
        )
    };
    let listen = |source| StartError::Listen {
        address: config.server.listen,
        source,
    };
    let keep_alive = config.server.limits.keep_alive_timeout;
    let bound =
        descriptors::connection_limit(config.server.limits.connections, descriptor_reserve(config));
    let server = http::serve(listener, router, keep_alive, bound, tasks).map_err(listen)?;
    Ok((server, account))
}

/// The limits of turns among Codex's settings that the server applies too.
fn turn_limits(config: &Config) -> ServerTurnLimits {
    let limits = &config.codex.limits;
    ServerTurnLimits {
        turns: limits.turns,
        turn_timeout: limits.turn_timeout,
        call_timeout: limits.call_timeout,
        model_requests: limits.model_requests,
        turn_buffer_bytes: limits.turn_buffer_bytes,
    }
}

/// The file descriptors that are not for connections: of the children, and of the rehearsal's own turns.
fn descriptor_reserve(config: &Config) -> DescriptorReserve {
    DescriptorReserve {
        children: config.codex.fleet.children,
        own_turns: if config.server.rehearsal {
            config.codex.limits.turns
        } else {
            0
        },
    }
}

/// Stops the tasks, and waits for their end at most [`STOP`].
async fn stop(tasks: &Tasks) {
    if timeout(STOP, tasks.stop()).await.is_err() {
        tracing::warn!("some tasks did not end in time");
    }
}
