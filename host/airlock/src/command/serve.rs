//! `airlock serve`: opens the gateway, says where, and ends it when told to.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Stop, port};
use crate::config::{Config, Loaded};
use crate::gateway::{Gateway, StartError};
use crate::telemetry;
use airlock_base::descriptors;

/// Serves until a signal says stop.
pub(super) fn run(
    runtime: &Runtime,
    loaded: Loaded,
    out: &mut dyn Write,
) -> Result<ExitCode, Stop> {
    let _writing = telemetry::start(&loaded.config.log)
        .context("cannot start the thread that writes the log")
        .map_err(Stop::Failure)?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    if let Err(error) = descriptors::raise() {
        tracing::warn!(%error, "the soft limit of file descriptors cannot be raised to the hard one");
    }
    runtime
        .block_on(serve(loaded.config, out))
        .map_err(Stop::Failure)?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(config: Config, out: &mut dyn Write) -> anyhow::Result<()> {
    // Before anything starts, so that a signal that comes early is not the system's to answer.
    let mut stop = Stops::listen().context("cannot listen to signals")?;
    let rehearsal = config.server.rehearsal;
    let gateway = tokio::select! {
        gateway = Gateway::start(config.clone()) => gateway,
        () = stop.next() => return Ok(()),
    };
    let gateway = match gateway {
        Ok(gateway) => gateway,
        Err(StartError::Listen { source, .. }) => bail!(port::taken(&config, &source).await),
        Err(error) => return Err(error.into()),
    };
    if rehearsal {
        tracing::warn!("rehearsal: a scripted model answers, not a real one");
    }
    let greeting = writeln!(out, "Airlock listens on http://{}", gateway.address());
    if let Err(error) = greeting.and_then(|()| out.flush()) {
        // It serves all the same.
        tracing::warn!(%error, "the address could not be written to the standard output");
    }
    stop.next().await;
    tracing::info!("stopping: running replies may end; a second signal ends them with an error");
    tokio::select! {
        () = gateway.drain() => {
            tracing::info!("stopped");
            return Ok(());
        }
        () = stop.next() => tracing::warn!("running replies are ended with an error; a third signal cuts them"),
    }
    tokio::select! {
        // Codex dies with this process.
        () = gateway.abort() => tracing::info!("stopped"),
        () = stop.next() => tracing::warn!("cut"),
    }
    Ok(())
}

/// The signals that ask for an end.
pub(super) struct Stops {
    interrupt: Signal,
    terminate: Signal,
}

impl Stops {
    pub(super) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
