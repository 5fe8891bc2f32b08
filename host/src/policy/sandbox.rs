//! What one request's sandbox may use: memory, time, and nothing of the machine.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio::io::AsyncWrite;
use tokio::task::yield_now;
use tracing::Span;
use wasmtime::{ResourceLimiter, StoreContextMut, UpdateDeadline};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::{
    HostMonotonicClock, HostWallClock, ResourceTable, WasiCtx, WasiCtxView, WasiView,
};

use super::engine::TICK;
use crate::config;

/// Entries of one table. A table is a policy's list of functions.
pub(super) const TABLE_ELEMENTS: usize = 20_000;

/// Resources of WASI that one request's policy may hold. Each costs memory of ours.
const RESOURCES: usize = 256;

/// Bytes that one request's policy may write to the log.
const LOG_BYTES: usize = 16 << 10;

/// Random bytes that a policy may ask for at once.
const RANDOM_BYTES: u64 = 64 << 10;

/// What one policy may use for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Allowance {
    /// Bytes of linear memory.
    pub(crate) memory_bytes: usize,
    /// CPU time of one call.
    pub(crate) call_time: Duration,
    /// CPU time of all calls of a request together.
    pub(crate) request_time: Duration,
    /// Bytes of the frames that one event may become, on an average over those of a call.
    pub(crate) event_bytes: usize,
    /// Bytes of all that a request may give out.
    pub(crate) output_bytes: usize,
}

impl Allowance {
    /// What the configuration allows a policy of which it says nothing special.
    pub(crate) fn of(sandbox: &config::Sandbox) -> Self {
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
    /// Ticks of the engine that the call may still run for.
    call_ticks: u64,
    /// Ticks that all calls together may still run for.
    request_ticks: u64,
    table: ResourceTable,
    /// The request's, for what its policy says.
    span: Span,
    /// Made when first asked for: a policy without imports never does.
    wasi: Option<WasiCtx>,
}

impl Sandbox {
    /// A sandbox that has used nothing yet.
    pub(super) fn new(allowance: &Allowance) -> Self {
        Self {
            memory_bytes: 0,
            memory_left: allowance.memory_bytes,
            refused: false,
            call_ticks: 0,
            request_ticks: ticks(allowance.request_time),
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
        self.call_ticks = ticks(time);
    }

    /// A tick passed while the policy ran. It lets other requests run, until its time is used up.
    ///
    /// Ticks count only while the policy itself runs, so a call's time is nearly its own CPU time: on a busy machine
    /// nobody is stopped for having waited.
    #[expect(clippy::unnecessary_wraps, reason = "the engine's signature")]
    pub(super) fn tick(mut store: StoreContextMut<'_, Self>) -> wasmtime::Result<UpdateDeadline> {
        let sandbox = store.data_mut();
        let call = sandbox.call_ticks.checked_sub(1);
        let (Some(call), Some(request)) = (call, sandbox.request_ticks.checked_sub(1)) else {
            return Ok(UpdateDeadline::Interrupt);
        };
        (sandbox.call_ticks, sandbox.request_ticks) = (call, request);
        // The runtime's own way to let others run: it looks after sockets and timers too before it comes back.
        Ok(UpdateDeadline::YieldCustom(1, Box::pin(yield_now())))
    }
}

/// As many ticks of the engine as this time has, begun ones counted.
fn ticks(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(TICK.as_nanos())).unwrap_or(u64::MAX)
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
