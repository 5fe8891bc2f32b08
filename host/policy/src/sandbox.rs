//! The limits of one request's sandbox: memory and CPU time. WASI grants it nothing but a way to the log.

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

/// The most WASI resources that a sandbox may hold. Each uses memory of the host.
const RESOURCES: usize = 256;

/// The most bytes that a sandbox may write to the log.
const LOG_BYTES: usize = 16 << 10;

/// The most random bytes of one call.
const RANDOM_BYTES: u64 = 64 << 10;

/// The limits of one request's sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SandboxLimits {
    /// Bytes of all linear memories together.
    pub memory_bytes: usize,
    /// CPU time of one call.
    pub call_time: Duration,
    /// CPU time of all calls of a request together.
    pub request_time: Duration,
    /// Bytes of frames for each event, on average over the events of a call.
    pub event_bytes: usize,
    /// Bytes of all frames and bodies of a request.
    pub output_bytes: usize,
}

impl SandboxLimits {
    /// The limits of the configuration.
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

/// The host's state of one sandbox: what it has used, and its WASI context.
pub(super) struct Sandbox {
    /// Bytes of all memories together.
    memory_bytes: usize,
    /// Bytes by which the memories may still grow.
    memory_left: usize,
    /// Whether more memory or a larger table than allowed was requested.
    pub(super) refused: bool,
    /// CPU time left to the call.
    call_left: Duration,
    /// CPU time left to all calls together.
    request_left: Duration,
    /// The CPU time of the thread when the call continued after its last tick, in nanoseconds. 0 before the first tick.
    resumed: Arc<AtomicU64>,
    table: ResourceTable,
    /// The span of the request, for the policy's log lines.
    span: Span,
    /// Created at the first use. A policy without imports never needs it.
    wasi: Option<WasiCtx>,
}

impl Sandbox {
    /// A new sandbox with these limits.
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

    /// Bytes of all memories together. Memories never shrink, so this is also the most so far.
    pub(super) fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// Resets the CPU time for the next call.
    pub(super) fn begin_call(&mut self, time: Duration) {
        self.call_left = time;
        self.resumed.store(0, Ordering::Relaxed);
    }

    /// Handles a tick of the epoch clock during a call: yields to other requests, or interrupts the call once its time is
    /// used up.
    ///
    /// Only the thread's CPU time during the call counts, so waiting on a busy machine costs a policy nothing. The first tick
    /// of a call counts as a whole tick, so that calls without a tick never read the clock.
    #[expect(clippy::unnecessary_wraps, reason = "the engine's signature")]
    pub(super) fn tick(mut store: StoreContextMut<'_, Self>) -> wasmtime::Result<UpdateDeadline> {
        let sandbox = store.data_mut();
        let used = match sandbox.resumed.load(Ordering::Relaxed) {
            // A call's time may be less than a tick.
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
            // Tokio also polls sockets and timers before it resumes the task.
            yield_now().await;
            resumed.store(thread_time(), Ordering::Relaxed);
        };
        Ok(UpdateDeadline::YieldCustom(1, Box::pin(others)))
    }
}

/// The CPU time of this thread, in nanoseconds.
pub(super) fn thread_time() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let [seconds, nanoseconds] =
        [time.tv_sec, time.tv_nsec].map(|part| u64::try_from(part).unwrap_or_default());
    seconds * 1_000_000_000 + nanoseconds
}

impl ResourceLimiter for Sandbox {
    /// Limits the sum of all memories, because the number of memories is the policy's choice.
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
/// same, so that equal inputs give equal outputs. Output goes to the log.
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
    // Both streams share one budget.
    let log = Log {
        left: Arc::new(AtomicUsize::new(LOG_BYTES)),
        span: span.clone(),
    };
    context.stdout(log.clone()).stderr(log);
    context.build()
}

/// A clock that stands still. Policies receive times as arguments.
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
    /// Bytes that may still be written.
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
        let written = &bytes[..bytes.len().min(left.unwrap_or_default())];
        for line in String::from_utf8_lossy(written)
            .lines()
            .filter(|line| !line.trim().is_empty())
        {
            tracing::info!(target: "airlock_policy::log", line, "log line of the policy");
        }
        // Bytes beyond the bound are dropped without an error, so that no policy fails because it logs.
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
