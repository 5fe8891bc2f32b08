//! `airlock serve`: starts the gateway, prints its address, and stops it on a signal.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Command;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::arguments::options;
use super::error::CommandError;
use super::port;
use crate::config::{Config, LoadedConfig};
use crate::gateway::{Gateway, StartError};
use crate::telemetry;
use airlock_base::descriptors;

const SERVE: &str = "\
Examples:
  airlock serve --rehearsal
  airlock serve --codex-home ~/.codex --listen 127.0.0.1:9000
  AIRLOCK_API_KEY=$(openssl rand -hex 24) airlock serve --listen 0.0.0.0:8787
  airlock serve --policy my-policy.wasm --strict

Once the socket is open, one line on stdout says where: `Airlock listens on http://…`. The log goes to stderr.
SIGTERM or Ctrl-C lets running replies end (limits.drain); a second one cuts them.
Without Codex it serves all the same: /readyz and every completion answer 503 and say what to do.";

/// The command line.
pub(super) fn command() -> Command {
    let serve = Command::new("serve")
        .about("Serves until SIGTERM or SIGINT")
        .after_help(SERVE);
    options(serve)
}

/// Serves until a signal stops it.
pub(super) fn run(
    runtime: &Runtime,
    loaded: LoadedConfig,
    out: &mut dyn Write,
) -> Result<ExitCode, CommandError> {
    let _flush = telemetry::init(&loaded.config.log)
        .context("cannot start the thread that writes the log")
        .map_err(CommandError::Failure)?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    if let Err(error) = descriptors::raise_soft_limit() {
        tracing::warn!(%error, "the soft limit of file descriptors cannot be raised to the hard one");
    }
    runtime
        .block_on(serve(loaded.config, out))
        .map_err(CommandError::Failure)?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(config: Config, out: &mut dyn Write) -> anyhow::Result<()> {
    // Before anything starts: until then, a signal kills the process.
    let mut stop = StopSignals::listen().context("cannot listen to signals")?;
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

/// SIGINT and SIGTERM.
pub(super) struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignals {
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
