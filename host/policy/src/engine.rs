//! The wasmtime engine that runs policies: sandboxes from a pool, and an epoch clock that preempts them.

mod clock; // the epoch clock

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

pub(super) use self::clock::{Clock, ClockGuard};
use crate::config::SandboxConfig;

/// The interval of the epoch clock, and so the longest time that a call can hold a worker thread.
pub(super) const TICK: Duration = Duration::from_millis(5);

/// The most entries of one table, a policy's list of functions.
pub(super) const TABLE_ELEMENTS: usize = 20_000;

/// The wall-clock limit of a call, as a multiple of its CPU time: other requests run meanwhile. It also ends a policy that
/// waits, which takes no CPU time.
pub(super) const WALL: u32 = 20;

/// The most core instances, memories and tables of one component. A composed policy has a memory for each part: five roles
/// and a base.
const CORE_INSTANCES: u32 = 32;
const MEMORIES: u32 = 6;
const TABLES: u32 = 16;

/// The address space of a memory in which no access needs a bounds check: all that 32 bits can address. It uses no memory.
const WIDE: u64 = 4 << 30;

/// Bytes of a memory, and of a table, that stay resident between two requests: they are reset by copying, which is cheaper
/// than returning pages to the system and faulting them in again. A small request touches about half of it. Each sandbox that
/// was ever in use keeps as much.
const RESIDENT: usize = 64 << 10;

/// Runs policies, with a pool of sandboxes. Clones share it.
#[derive(Clone)]
pub struct Engine {
    pub(super) inner: wasmtime::Engine,
    pub(super) clock: Clock,
    /// The reserved address space of each memory, in bytes. Compiled code depends on it.
    pub(super) reservation: u64,
}

/// Why the machine cannot run policies as configured.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The engine refused the configuration, or the system refused the address space.
    #[error(
        "cannot make {instances} sandboxes of {memory_bytes} bytes (lower sandbox.instances or sandbox.memory_bytes): {detail}"
    )]
    Refused {
        /// The number of sandboxes.
        instances: u32,
        /// Bytes of each sandbox.
        memory_bytes: usize,
        /// The engine's message.
        detail: String,
    },
    /// The system refused the clock's thread.
    #[error("cannot start the thread that preempts policies")]
    Clock(#[from] std::io::Error),
}

impl Engine {
    /// Reserves the sandboxes and starts the clock.
    ///
    /// # Errors
    /// The system refuses the clock's thread, or the address space even without room to spare.
    pub fn new(sandbox: &SandboxConfig) -> Result<Self, EngineError> {
        let enough = u64::try_from(sandbox.memory_bytes).unwrap_or(u64::MAX);
        // Containers may limit address space. With a smaller reservation, each access has a bounds check.
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

    /// A hash of all that compiled code depends on, in 16 hexadecimal digits. Loading detects code of another engine with the
    /// same hash.
    pub(super) fn compatibility(&self) -> String {
        compatibility(&self.inner)
    }
}

/// An engine that only compiles, for an engine with this reservation. It reserves no address space, so it works under a limit.
/// `parallel`: whether it uses every core.
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

/// The settings that compiled code depends on, the same in engines that compile and engines that run.
fn settings(reservation: u64) -> Config {
    let mut config = Config::new();
    config
        .memory_reservation(reservation)
        .memory_init_cow(true)
        .epoch_interruption(true);
    config
}

/// The settings of an engine that runs: with a pool, which compiled code does not depend on.
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
