//! What one request's sandbox may use: memory, time, and nothing of the machine.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;
use wasmtime::{ResourceLimiter, StoreContextMut, UpdateDeadline};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::{ResourceTable, WasiCtx, WasiCtxView, WasiView};

/// Entries of one table. A table is a policy's list of functions.
pub(super) const TABLE_ELEMENTS: usize = 20_000;

/// Bytes that one request's policy may write to the log.
const LOG_BYTES: usize = 16 << 10;

/// Random bytes that a policy may ask for at once.
const RANDOM_BYTES: u64 = 64 << 10;

/// The host's half of one sandbox.
pub(super) struct Sandbox {
    /// Bytes that all memories together may still grow by.
    memory_left: usize,
    /// True once it asked for more memory or a larger table than it may have.
    pub(super) refused: bool,
    /// Ticks of the engine that the call may still run for.
    pub(super) ticks_left: u64,
    table: ResourceTable,
    /// Made when first asked for: a policy without imports never does.
    wasi: Option<WasiCtx>,
}

impl Sandbox {
    /// A sandbox with this much linear memory, in bytes.
    pub(super) fn new(memory_bytes: usize) -> Self {
        Self {
            memory_left: memory_bytes,
            refused: false,
            ticks_left: 0,
            table: ResourceTable::new(),
            wasi: None,
        }
    }

    /// A tick passed while the policy ran. It lets other requests run, until its time is used up.
    ///
    /// Ticks count only while the policy itself runs, so a call's time is nearly its own CPU time: on a busy machine
    /// nobody is stopped for having waited.
    #[expect(clippy::unnecessary_wraps, reason = "the engine's signature")]
    pub(super) fn tick(mut store: StoreContextMut<'_, Self>) -> wasmtime::Result<UpdateDeadline> {
        let sandbox = store.data_mut();
        let Some(left) = sandbox.ticks_left.checked_sub(1) else {
            return Ok(UpdateDeadline::Interrupt);
        };
        sandbox.ticks_left = left;
        Ok(UpdateDeadline::Yield(1))
    }
}

impl ResourceLimiter for Sandbox {
    /// Counts all memories together: a limit for each would let a policy have many.
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let left = self
            .memory_left
            .checked_sub(desired.saturating_sub(current));
        self.refused |= left.is_none();
        self.memory_left = left.unwrap_or(self.memory_left);
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
            ctx: self.wasi.get_or_insert_with(nothing_granted),
            table: &mut self.table,
        }
    }
}

/// WASI without files, network, arguments or environment. What is left are clocks, random bytes, and a way to the log.
fn nothing_granted() -> WasiCtx {
    let mut context = WasiCtx::builder();
    context
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .max_random_size(RANDOM_BYTES);
    context.stdout(Log).stderr(Log);
    context.build()
}

/// A policy's stdout and stderr: lines of the gateway's log.
struct Log;

impl IsTerminal for Log {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Log {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(LogStream { left: LOG_BYTES })
    }
}

struct LogStream {
    left: usize,
}

impl AsyncWrite for LogStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let said = &bytes[..bytes.len().min(self.left)];
        for line in String::from_utf8_lossy(said)
            .lines()
            .filter(|line| !line.trim().is_empty())
        {
            tracing::info!(target: "airlock::policy", said = line, "the policy says");
        }
        self.left -= said.len();
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
