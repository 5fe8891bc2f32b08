//! The engine that compiles and runs policies: sandboxes from a pool, and a clock that preempts them.

use std::thread;
use std::time::Duration;

use wasmtime::{Config, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::sandbox::TABLE_ELEMENTS;
use crate::config::Sandbox;

/// How often a running policy can be stopped, and so how long one call can hold a worker thread.
const TICK: Duration = Duration::from_millis(5);

/// How many times its own time a call may take by the clock on the wall, with all that other requests do meanwhile.
/// It also ends a policy that waits, which takes no time of its own.
const WALL: u32 = 20;

/// Core instances, memories and tables of one component. A policy made of several parts has several.
const CORE_INSTANCES: u32 = 32;
const MEMORIES: u32 = 4;
const TABLES: u32 = 16;

/// Address space of one memory such that no access needs a check: all that 32 bits can reach. It costs no memory.
const WIDE: u64 = 4 << 30;

/// Compiles policies and holds the pool of sandboxes. Clones share it.
#[derive(Clone)]
pub(crate) struct Engine {
    pub(super) inner: wasmtime::Engine,
    pub(super) memory_bytes: usize,
    pub(super) ticks: u64,
    pub(super) wall: Duration,
}

/// The machine cannot run policies as configured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineError {
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
    pub(crate) fn new(sandbox: &Sandbox) -> Result<Self, EngineError> {
        let enough = u64::try_from(sandbox.memory_bytes).unwrap_or(u64::MAX);
        // Containers may limit address space: then checks on each access are the price.
        let inner = wasmtime::Engine::new(&settings(sandbox, WIDE.max(enough)))
            .or_else(|_| wasmtime::Engine::new(&settings(sandbox, enough)))
            .map_err(|error| EngineError::Refused {
                instances: sandbox.instances,
                memory_bytes: sandbox.memory_bytes,
                detail: format!("{error:#}"),
            })?;
        tick(&inner)?;
        let ticks = sandbox.call_timeout.as_nanos().div_ceil(TICK.as_nanos());
        Ok(Self {
            inner,
            memory_bytes: sandbox.memory_bytes,
            ticks: u64::try_from(ticks).unwrap_or(u64::MAX),
            wall: sandbox.call_timeout.saturating_mul(WALL),
        })
    }
}

fn settings(sandbox: &Sandbox, reservation: u64) -> Config {
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
        .table_elements(TABLE_ELEMENTS);
    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .memory_reservation(reservation)
        .memory_init_cow(true)
        .epoch_interruption(true);
    config
}

/// Runs the engine's clock for as long as anything uses the engine.
fn tick(engine: &wasmtime::Engine) -> std::io::Result<()> {
    let engine = engine.weak();
    #[expect(
        clippy::disallowed_methods,
        reason = "a clock waits for nothing but time"
    )]
    let clock = move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            thread::sleep(TICK);
        }
    };
    // A thread of its own: a runtime whose workers all run policies would not get to a task.
    thread::Builder::new()
        .name("policy-clock".to_owned())
        .spawn(clock)
        .map(drop)
}
