//! The clock that preempts policies. It stands still while none runs: a thread that wakes 200 times a second costs as much
//! as hundreds of events, and keeps a laptop awake.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::thread::{self, Thread};

use super::TICK;

/// Ticks without a call after which the clock stops. It continues between calls that follow one another, because waking it
/// takes longer than most calls. A call that wakes it is charged nothing for up to a tick.
const REST: u32 = 20;

/// A handle of the clock. Its thread ends after the last handle is dropped.
#[derive(Clone)]
pub(crate) struct Clock(Arc<Handle>);

/// The order of the fields matters: the state is dropped before the thread is woken to see that.
struct Handle {
    shared: Arc<ClockState>,
    thread: Sleeper,
}

/// The clock's thread. Dropping this wakes it, so that it ends.
struct Sleeper(Thread);

#[derive(Default)]
struct ClockState {
    /// Calls that run.
    running: AtomicU64,
    /// Calls that have begun so far.
    begun: AtomicU64,
    /// Whether the thread sleeps, or is about to.
    rests: AtomicBool,
}

/// A call that runs. The clock ticks until this is dropped.
pub(crate) struct ClockGuard<'a>(&'a ClockState);

impl Clock {
    /// Starts the clock of this engine.
    ///
    /// # Errors
    /// The system refuses the thread.
    pub(super) fn start(engine: &wasmtime::Engine) -> std::io::Result<Self> {
        let engine = engine.weak();
        let shared = Arc::new(ClockState::default());
        let watched = Arc::downgrade(&shared);
        let tick = move || match engine.upgrade() {
            Some(engine) => {
                engine.increment_epoch();
                true
            }
            None => false,
        };
        // A thread, because a runtime whose workers all run policies would not poll a task.
        let thread = thread::Builder::new()
            .name("policy-clock".to_owned())
            .spawn(move || run(&watched, tick))?;
        let thread = Sleeper(thread.thread().clone());
        Ok(Self(Arc::new(Handle { shared, thread })))
    }

    /// Begins a call.
    pub(crate) fn run(&self) -> ClockGuard<'_> {
        let Handle { shared, thread } = &*self.0;
        shared.running.fetch_add(1, Ordering::SeqCst);
        shared.begun.fetch_add(1, Ordering::SeqCst);
        if shared.rests.load(Ordering::SeqCst) && shared.rests.swap(false, Ordering::SeqCst) {
            thread.0.unpark();
        }
        ClockGuard(shared)
    }

    #[cfg(test)]
    pub(super) fn rests(&self) -> bool {
        self.0.shared.rests.load(Ordering::SeqCst)
    }
}

impl Drop for ClockGuard<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.0.unpark();
    }
}

/// Ticks while calls run and for [`REST`] ticks after them, then sleeps. Ends after the last handle is dropped.
fn run(watched: &Weak<ClockState>, tick: impl Fn() -> bool) {
    let (mut last, mut idle) = (0, 0);
    while let Some(shared) = watched.upgrade() {
        let begun = shared.begun.load(Ordering::SeqCst);
        let busy = begun != last || shared.running.load(Ordering::SeqCst) > 0;
        (last, idle) = (begun, if busy { 0 } else { idle + 1 });
        if idle < REST {
            drop(shared);
            // Before the tick, so that a call that has just begun has a whole tick.
            #[expect(
                clippy::disallowed_methods,
                reason = "a clock waits for nothing but time"
            )]
            thread::sleep(TICK);
            if !tick() {
                return;
            }
            continue;
        }
        shared.rests.store(true, Ordering::SeqCst);
        // A call that has begun meanwhile may have read `rests` before.
        if shared.begun.load(Ordering::SeqCst) != last {
            shared.rests.store(false, Ordering::SeqCst);
            continue;
        }
        drop(shared);
        rest(watched);
        idle = 0;
    }
}

/// Sleeps until a call begins or the last handle is dropped.
fn rest(watched: &Weak<ClockState>) {
    while watched
        .upgrade()
        .is_some_and(|shared| shared.rests.load(Ordering::SeqCst))
    {
        thread::park();
    }
}

#[cfg(test)]
mod tests;
