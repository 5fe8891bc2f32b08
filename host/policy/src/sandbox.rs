//! What one request's sandbox may use: memory, time, and nothing of the machine.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rustix::time::{ClockId, clock_gettime};
use tokio::io::AsyncWrite;
use tokio::task::yield_now;
use tracing::Span;
use wasmtime::{ResourceLimiter, StoreContextMut, UpdateDeadline};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::{
    HostMonotonicClock, HostWallClock, ResourceTable, WasiCtx, WasiCtxView, WasiView,
};

use super::config::SandboxConfig;
use super::engine::{TABLE_ELEMENTS, TICK};

/// Resources of WASI that one request's policy may hold. Each costs memory of ours.
const RESOURCES: usize = 256;

/// Bytes that one request's policy may write to the log.
const LOG_BYTES: usize = 16 << 10;

/// Random bytes that a policy may ask for at once.
const RANDOM_BYTES: u64 = 64 << 10;

/// What one policy may use for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SandboxLimits {
    /// Bytes of linear memory.
    pub memory_bytes: usize,
    /// CPU time of one call.
    pub call_time: Duration,
    /// CPU time of all calls of a request together.
    pub request_time: Duration,
    /// Bytes of the frames that one event may become, on an average over those of a call.
    pub event_bytes: usize,
    /// Bytes of all that a request may give out.
    pub output_bytes: usize,
}

impl SandboxLimits {
    /// What the configuration allows a policy of which it says nothing special.
    pub fn of(sandbox: &SandboxConfig) -> Self {
        Self {
            memory_bytes: sandbox.memory_bytes,
            call_time: sandbox.call_timeout,
            request_time: sandbox.request_time,
            event_bytes: sandbox.event_bytes,
            output_bytes: sandbox.output_bytes,
        }
    }
}

/// The host's half of one sandbox.
pub(super) struct Sandbox {
    /// Bytes that all memories together have.
    memory_bytes: usize,
    /// Bytes that they may still grow by.
    memory_left: usize,
    /// True once it asked for more memory or a larger table than it may have.
    pub(super) refused: bool,
    /// CPU time that the call may still take.
    call_left: Duration,
    /// CPU time that all calls together may still take.
    request_left: Duration,
    /// The time of its thread when the call went on after its last tick, in nanoseconds. 0: it has not had one.
    resumed: Arc<AtomicU64>,
    table: ResourceTable,
    /// The request's, for what its policy says.
    span: Span,
    /// Made when first asked for: a policy without imports never does.
    wasi: Option<WasiCtx>,
}

impl Sandbox {
    /// A sandbox that has used nothing yet.
    pub(super) fn new(allowance: &SandboxLimits) -> Self {
        Self {
            memory_bytes: 0,
            memory_left: allowance.memory_bytes,
            refused: false,
            call_left: Duration::ZERO,
            request_left: allowance.request_time,
            resumed: Arc::default(),
            table: {
                let mut table = ResourceTable::new();
                table.set_max_capacity(RESOURCES);
                table
            },
            wasi: None,
            span: Span::current(),
        }
    }

    /// Bytes that all memories together have. It never becomes less, so it is the most that was needed so far.
    pub(super) fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// Gives the coming call its time.
    pub(super) fn begin_call(&mut self, time: Duration) {
        self.call_left = time;
        self.resumed.store(0, Ordering::Relaxed);
    }

    /// A tick passed while the policy ran. It lets other requests run, until its time is used up.
    ///
    /// What counts is the CPU time of the thread while the policy itself runs: on a busy machine nobody is stopped for
    /// having waited. The first tick of a call counts whole, so that calls without one need not look at a clock.
    #[expect(clippy::unnecessary_wraps, reason = "the engine's signature")]
    pub(super) fn tick(mut store: StoreContextMut<'_, Self>) -> wasmtime::Result<UpdateDeadline> {
        let sandbox = store.data_mut();
        let used = match sandbox.resumed.load(Ordering::Relaxed) {
            // A call may take less than a tick. It is told of no more than it has.
            0 => TICK.min(sandbox.call_left),
            resumed => Duration::from_nanos(thread_time().saturating_sub(resumed)),
        };
        let call = sandbox.call_left.checked_sub(used);
        let (Some(call), Some(request)) = (call, sandbox.request_left.checked_sub(used)) else {
            return Ok(UpdateDeadline::Interrupt);
        };
        (sandbox.call_left, sandbox.request_left) = (call, request);
        let resumed = sandbox.resumed.clone();
        let others = async move {
            // The runtime's own way to let others run: it looks after sockets and timers too before it comes back.
            yield_now().await;
            resumed.store(thread_time(), Ordering::Relaxed);
        };
        Ok(UpdateDeadline::YieldCustom(1, Box::pin(others)))
    }
}

/// CPU time that this thread has taken, in nanoseconds.
pub(super) fn thread_time() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let [seconds, nanoseconds] =
        [time.tv_sec, time.tv_nsec].map(|part| u64::try_from(part).unwrap_or_default());
    seconds * 1_000_000_000 + nanoseconds
}

impl ResourceLimiter for Sandbox {
    /// Counts all memories together: a limit for each would let a policy have many.
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let growth = desired.saturating_sub(current);
        let left = self.memory_left.checked_sub(growth);
        self.refused |= left.is_none();
        if let Some(left) = left {
            self.memory_left = left;
            self.memory_bytes += growth;
        }
        Ok(left.is_some())
    }

    fn table_growing(
        &mut self,
        _: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let granted = desired <= TABLE_ELEMENTS;
        self.refused |= !granted;
        Ok(granted)
    }
}

impl WasiView for Sandbox {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: self.wasi.get_or_insert_with(|| nothing_granted(&self.span)),
            table: &mut self.table,
        }
    }
}

/// WASI without files, network, arguments or environment. Its clocks stand still and its random bytes are always the
/// same, so that equal inputs give equal outputs. What is left is a way to the log.
fn nothing_granted(span: &Span) -> WasiCtx {
    let mut context = WasiCtx::builder();
    context
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .wall_clock(Stopped)
        .monotonic_clock(Stopped)
        .secure_random(StdRng::seed_from_u64(0))
        .insecure_random(StdRng::seed_from_u64(0))
        .insecure_random_seed(0)
        .max_random_size(RANDOM_BYTES);
    // One budget, however many streams it asks for.
    let log = Log {
        left: Arc::new(AtomicUsize::new(LOG_BYTES)),
        span: span.clone(),
    };
    context.stdout(log.clone()).stderr(log);
    context.build()
}

/// A clock that stands still: the times that a policy may know are told to it.
struct Stopped;

impl HostWallClock for Stopped {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn now(&self) -> Duration {
        Duration::ZERO
    }
}

impl HostMonotonicClock for Stopped {
    fn resolution(&self) -> u64 {
        1_000_000_000
    }

    fn now(&self) -> u64 {
        0
    }
}

/// A policy's stdout and stderr: lines of the gateway's log.
#[derive(Clone)]
struct Log {
    /// Bytes that may still be said.
    left: Arc<AtomicUsize>,
    span: Span,
}

impl IsTerminal for Log {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Log {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(LogStream {
            left: self.left.clone(),
            span: self.span.clone(),
        })
    }
}

struct LogStream {
    left: Arc<AtomicUsize>,
    span: Span,
}

impl AsyncWrite for LogStream {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let take = |left: usize| Some(left.saturating_sub(bytes.len()));
        let left = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        let _inside = self.span.enter();
        let said = &bytes[..bytes.len().min(left.unwrap_or_default())];
        for line in String::from_utf8_lossy(said)
            .lines()
            .filter(|line| !line.trim().is_empty())
        {
            tracing::info!(target: "airlock::policy", said = line, "the policy says");
        }
        // What is over the bound is taken and forgotten: a policy must not fail for talking.
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
