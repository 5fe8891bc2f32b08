//! The shipped policy in its sandbox, for `cargo bench`.

use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use airlock_base::environment::Environment;
use airlock_kit::bench;
use airlock_policy::config::{PolicyConfig, SandboxConfig};
use airlock_policy::{EMBEDDED, Engine, Release, ReleaseOptions, SHIPPED};

/// The sandbox's limit of concurrent instances.
const INSTANCES: u32 = 4;

/// The number of events of a round of `feed`.
pub const EVENTS: usize = bench::EVENTS;

/// The shipped policy, compiled.
pub struct ShippedPolicy {
    runtime: Runtime,
    release: Release,
}

impl ShippedPolicy {
    /// Compiles the policy.
    ///
    /// # Errors
    /// The sandbox cannot be created, or the policy not be loaded.
    pub fn load() -> anyhow::Result<Self> {
        let config = PolicyConfig {
            sandbox: SandboxConfig {
                instances: INSTANCES,
                ..SandboxConfig::default()
            },
            ..PolicyConfig::defaults(Environment::of_process().data_dir())
        };
        let engine = Engine::new(&config.sandbox)?;
        Ok(Self {
            runtime: Builder::new_current_thread().enable_all().build()?,
            release: Release::load(&engine, SHIPPED, EMBEDDED, ReleaseOptions::of(&config))?,
        })
    }

    /// Starts so many sandboxes, and returns the time that they took.
    ///
    /// # Errors
    /// The policy's fault.
    pub fn instantiate(&self, rounds: u64) -> anyhow::Result<Duration> {
        self.timed(rounds, async || bench::instantiated(&self.release).await)
    }

    /// Renders so many requests of about `bytes` bytes, and returns the time that they took.
    ///
    /// # Errors
    /// The policy's fault.
    pub fn render(&self, bytes: usize, rounds: u64) -> anyhow::Result<Duration> {
        self.timed(rounds, async || bench::rendered(&self.release, bytes).await)
    }

    /// Feeds so many rounds of `EVENTS` events in batches of `batch`, and returns the time that they took.
    ///
    /// # Errors
    /// The policy's fault.
    pub fn feed(&self, batch: usize, rounds: u64) -> anyhow::Result<Duration> {
        self.timed(rounds, async || bench::fed(&self.release, batch).await)
    }

    fn timed(
        &self,
        rounds: u64,
        round: impl AsyncFn() -> Result<Duration, String>,
    ) -> anyhow::Result<Duration> {
        self.runtime.block_on(async {
            let mut all = Duration::ZERO;
            for _ in 0..rounds {
                all += round().await.map_err(anyhow::Error::msg)?;
            }
            Ok(all)
        })
    }
}
