//! The engine that compiles and runs policies: sandboxes from a pool, and a clock that preempts them.

mod clock; // the clock

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

pub(super) use self::clock::{Clock, ClockGuard};
use crate::config::SandboxConfig;

/// How often a running policy can be stopped, and so how long one call can hold a worker thread.
pub(super) const TICK: Duration = Duration::from_millis(5);

/// Entries of one table. A table is a policy's list of functions.
pub(super) const TABLE_ELEMENTS: usize = 20_000;

/// How many times its own time a call may take by the clock on the wall, with all that other requests do meanwhile.
/// It also ends a policy that waits, which takes no time of its own.
pub(super) const WALL: u32 = 20;

/// Core instances, memories and tables of one component. A policy that is composed has a memory for each part: five
/// roles and a base.
const CORE_INSTANCES: u32 = 32;
const MEMORIES: u32 = 6;
const TABLES: u32 = 16;

/// Address space of one memory such that no access needs a check: all that 32 bits can reach. It costs no memory.
const WIDE: u64 = 4 << 30;

/// Bytes of a memory, and of a table, that stay in place between two requests: they are set back to what they were by
/// copying, and not given to the system and asked back for, page by page. A small request touches about half of it. So
/// much stays resident for each sandbox that was ever in use at once.
const RESIDENT: usize = 64 << 10;

/// Compiles policies and holds the pool of sandboxes. Clones share it.
#[derive(Clone)]
pub struct Engine {
    pub(super) inner: wasmtime::Engine,
    pub(super) clock: Clock,
    /// Address space of one memory, in bytes. Compiled code depends on it.
    pub(super) reservation: u64,
}

/// The machine cannot run policies as configured.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The engine refused the configuration, or the system refused the address space.
    #[error(
        "cannot make {instances} sandboxes of {memory_bytes} bytes (lower sandbox.instances or sandbox.memory_bytes): {detail}"
    )]
    Refused {
        /// Sandboxes asked for.
        instances: u32,
        /// Bytes of each.
        memory_bytes: usize,
        /// What the engine says.
        detail: String,
    },
    /// The clock that preempts policies has no thread.
    #[error("cannot start the thread that preempts policies")]
    Clock(#[from] std::io::Error),
}

impl Engine {
    /// Reserves the sandboxes and starts the clock.
    ///
    /// # Errors
    /// The system gives neither the address space that is fast nor the one that is just enough.
    pub fn new(sandbox: &SandboxConfig) -> Result<Self, EngineError> {
        let enough = u64::try_from(sandbox.memory_bytes).unwrap_or(u64::MAX);
        // Containers may limit address space: then checks on each access are the price.
        let make = |reservation| {
            wasmtime::Engine::new(&pooled(sandbox, reservation)).map(|inner| (inner, reservation))
        };
        let (inner, reservation) =
            make(WIDE.max(enough))
                .or_else(|_| make(enough))
                .map_err(|error| EngineError::Refused {
                    instances: sandbox.instances,
                    memory_bytes: sandbox.memory_bytes,
                    detail: format!("{error:#}"),
                })?;
        let clock = Clock::start(&inner)?;
        Ok(Self {
            inner,
            clock,
            reservation,
        })
    }

    /// What compiled code must have been made for to run here: 16 hexadecimal digits. Two that differ by chance in
    /// the engine and not in this are told apart when the code is loaded.
    pub(super) fn compatibility(&self) -> String {
        compatibility(&self.inner)
    }
}

/// An engine that only compiles, for an engine with this reservation. It reserves nothing and runs nothing, so it
/// fits under a limit of address space. `parallel`: on every core.
///
/// # Errors
/// The engine's own, when it refuses the configuration.
pub(super) fn compiler(reservation: u64, parallel: bool) -> wasmtime::Result<wasmtime::Engine> {
    let mut config = settings(reservation);
    config.parallel_compilation(parallel);
    wasmtime::Engine::new(&config)
}

fn compatibility(engine: &wasmtime::Engine) -> String {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// What compiled code depends on, the same for whoever compiles and whoever runs.
fn settings(reservation: u64) -> Config {
    let mut config = Config::new();
    config
        .memory_reservation(reservation)
        .memory_init_cow(true)
        .epoch_interruption(true);
    config
}

/// The settings of an engine that runs: with a pool, of which compiled code does not know.
fn pooled(sandbox: &SandboxConfig, reservation: u64) -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(sandbox.instances)
        .total_core_instances(sandbox.instances.saturating_mul(CORE_INSTANCES))
        .total_memories(sandbox.instances.saturating_mul(MEMORIES))
        .total_tables(sandbox.instances.saturating_mul(TABLES))
        .total_stacks(sandbox.instances)
        .max_core_instances_per_component(CORE_INSTANCES)
        .max_memories_per_component(MEMORIES)
        .max_tables_per_component(TABLES)
        .max_memory_size(sandbox.memory_bytes)
        .linear_memory_keep_resident(RESIDENT)
        .table_keep_resident(RESIDENT)
        .pagemap_scan(Enabled::Auto)
        .table_elements(TABLE_ELEMENTS);
    let mut config = settings(reservation);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

#[cfg(test)]
mod tests;
