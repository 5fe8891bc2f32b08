//! The shipped policy in its sandbox, for `cargo bench`. The gateway itself needs none of it.

use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use airlock_base::environment::Environment;
use airlock_kit::bench;
use airlock_policy::config::{PolicyConfig, SandboxConfig};
use airlock_policy::{EMBEDDED, Engine, Release, ReleaseOptions, SHIPPED};

/// Sandboxes at once, of which one is used.
const INSTANCES: u32 = 4;

/// Events of a round that feeds.
pub const EVENTS: usize = bench::EVENTS;

/// The shipped policy, compiled.
pub struct Shipped {
    runtime: Runtime,
    release: Release,
}

impl Shipped {
    /// Compiles it.
    ///
    /// # Errors
    /// The machine has no room for it.
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

    /// The time that so many rounds take which start a sandbox.
    ///
    /// # Errors
    /// What the policy fails on.
    pub fn instantiate(&self, rounds: u64) -> anyhow::Result<Duration> {
        self.timed(rounds, async || bench::instantiated(&self.release).await)
    }

    /// The same for rounds which render a request of about so many bytes.
    ///
    /// # Errors
    /// What the policy fails on.
    pub fn render(&self, bytes: usize, rounds: u64) -> anyhow::Result<Duration> {
        self.timed(rounds, async || bench::rendered(&self.release, bytes).await)
    }

    /// The same for rounds which feed `EVENTS` events, so many at once.
    ///
    /// # Errors
    /// What the policy fails on.
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
