//! The socket of one connection, between TCP and hyper: it detects clients that have left, and replaces hyper's own error
//! responses.
//!
//! **Clients that leave.** A client that has sent its request may close the sending half of its connection
//! and read on (RFC 9112 §9.6). A client that closes the whole connection, or is killed, sends the same FIN. Its system
//! reveals the difference only when more data comes: it answers with a reset. A keepalive probe has no data, and Linux
//! acknowledges it in either case. So after a FIN the gateway sends data that the client must receive anyway, or may ignore:
//!
//! - before the response has begun, the next byte of `HTTP/1.`, with which each response begins;
//! - in a stream of server-sent events, a comment.
//!
//! A reset ends the connection, and so the request. Probes are repeated, because what lies between may pass on a FIN at once
//! and a reset only when it has failed to deliver (TCP proxies, port forwarding), and because a client that has closed one
//! half may be killed later. All other data of a response acts as a probe too.
//!
//! **Malformed requests.** hyper answers them by itself, without a body. Such a response is held back and replaced
//! (`refused.rs`).

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{Shutdown, shutdown};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::yield_now;
use tokio::time::{Instant, timeout, timeout_at};

use super::refused;

/// The first bytes of every response, of HTTP/1.0 and HTTP/1.1.
const PREFIX: &[u8] = b"HTTP/1.";

/// hyper's interim response, before the final one.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// How many bytes of a refused client are read and discarded, and for how long.
const LINGER_BYTES: usize = 4 << 20;
const LINGER: Duration = Duration::from_secs(1);

/// Milliseconds after a FIN at which the client is probed: at once, soon again for proxies, and later for a client that is
/// killed while it reads. Each probe before a response sends one byte of `PREFIX`.
const PROBES: [u64; PREFIX.len()] = [0, 20, 50, 200, 1_000, 5_000, 30_000];

/// The state that a connection shares with the request that it serves. Clones share it.
#[derive(Clone, Debug, Default)]
pub(in crate::http) struct HttpExchange(Arc<HttpExchangeState>);

#[derive(Debug, Default)]
struct HttpExchangeState {
    phase: AtomicU8,
    /// Bytes of the next response that were sent as probes.
    prefix_sent: AtomicU8,
    /// hyper has written bytes and not flushed since.
    unflushed: AtomicBool,
    /// A probe wants a comment in the stream.
    comment: AtomicBool,
}

/// The phase of an exchange. One task polls a connection and its requests, so relaxed atomics suffice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum ExchangePhase {
    /// No request is served: hyper writes only responses of its own.
    Idle,
    /// A request is served, and nothing of its response was written.
    Called,
    /// A response is being written.
    Responding,
    /// The response is complete, but perhaps not flushed.
    Complete,
    /// The connection has another protocol, to its end.
    Upgraded,
}

impl HttpExchange {
    /// Records that a request has arrived.
    pub(super) fn begin(&self) {
        self.0.comment.store(false, Ordering::Relaxed);
        // Until an earlier response is flushed, no write shows where this response begins, so no prefix is sent.
        self.set(if self.is_flushed() {
            ExchangePhase::Called
        } else {
            ExchangePhase::Responding
        });
    }

    /// Records that the response's body has ended, or was dropped.
    pub(in crate::http) fn complete(&self) {
        self.set(ExchangePhase::Complete);
    }

    /// Whether a probe wants a comment in the stream. The next call returns false.
    pub(in crate::http) fn take_comment(&self) -> bool {
        self.0.comment.load(Ordering::Relaxed) && self.0.comment.swap(false, Ordering::Relaxed)
    }

    fn phase(&self) -> ExchangePhase {
        match self.0.phase.load(Ordering::Relaxed) {
            0 => ExchangePhase::Idle,
            1 => ExchangePhase::Called,
            2 => ExchangePhase::Responding,
            3 => ExchangePhase::Complete,
            _ => ExchangePhase::Upgraded,
        }
    }

    /// Records that the response upgrades the connection.
    pub(super) fn upgrade(&self) {
        self.set(ExchangePhase::Upgraded);
    }

    fn set(&self, phase: ExchangePhase) {
        if self.phase() == ExchangePhase::Upgraded {
            return;
        }
        self.0.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// Records that hyper writes `bytes`, and perhaps more.
    fn writing(&self, bytes: &[u8]) {
        self.0.unflushed.store(true, Ordering::Relaxed);
        // The interim response may be written in parts.
        if self.phase() == ExchangePhase::Called && !CONTINUE.ends_with(bytes) {
            self.set(ExchangePhase::Responding);
        }
    }

    /// Records that hyper has flushed.
    fn flushed(&self) {
        self.0.unflushed.store(false, Ordering::Relaxed);
        if self.phase() == ExchangePhase::Complete {
            self.set(ExchangePhase::Idle);
        }
    }

    fn is_flushed(&self) -> bool {
        !self.0.unflushed.load(Ordering::Relaxed)
    }

    /// How many of the next response's bytes were sent as probes. The next call returns 0.
    fn take_prefix_sent(&self) -> usize {
        match self.0.prefix_sent.load(Ordering::Relaxed) {
            0 => 0,
            _ => self.0.prefix_sent.swap(0, Ordering::Relaxed).into(),
        }
    }

    /// Sends a byte of the response, or has the stream send a comment, so that a closed client answers with a reset.
    fn probe(&self, tcp: &TcpStream) -> io::Result<()> {
        match self.phase() {
            ExchangePhase::Called if self.is_flushed() => {
                let sent = self.0.prefix_sent.load(Ordering::Relaxed);
                let Some(byte) = PREFIX.get(usize::from(sent)) else {
                    return Ok(());
                };
                match tcp.try_write(&[*byte]) {
                    Ok(_) => self.0.prefix_sent.store(sent + 1, Ordering::Relaxed),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            }
            ExchangePhase::Responding => self.0.comment.store(true, Ordering::Relaxed),
            ExchangePhase::Called
            | ExchangePhase::Idle
            | ExchangePhase::Complete
            | ExchangePhase::Upgraded => {}
        }
        Ok(())
    }
}

/// The socket that hyper reads and writes.
pub(super) struct Socket {
    tcp: Arc<TcpStream>,
    exchange: HttpExchange,
    held: HeldResponse,
}

/// A response of hyper's own, held back until hyper closes the connection.
#[derive(Debug)]
enum HeldResponse {
    /// What hyper has written of it. Mostly nothing.
    Held(Vec<u8>),
    /// The response in its place, and how many bytes of that are sent.
    Sending(Vec<u8>, usize),
}

impl Socket {
    pub(super) fn new(tcp: Arc<TcpStream>, exchange: HttpExchange) -> Self {
        Self {
            tcp,
            exchange,
            held: HeldResponse::Held(Vec::new()),
        }
    }

    /// How many of these bytes must not be sent: those that were sent as probes, or all of a response of hyper's own.
    fn withheld(&mut self, bytes: &[u8]) -> Option<usize> {
        if self.exchange.phase() == ExchangePhase::Idle {
            if let HeldResponse::Held(held) = &mut self.held {
                held.extend_from_slice(bytes);
            }
            return Some(bytes.len());
        }
        self.exchange.writing(bytes);
        let sent = self.exchange.take_prefix_sent().min(bytes.len());
        (sent > 0).then_some(sent)
    }

    fn poll_send(
        &self,
        context: &mut Context<'_>,
        send: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.tcp.poll_write_ready(context))?;
            match send(&self.tcp) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                sent => return Poll::Ready(sent),
            }
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.tcp.poll_read_ready(context))?;
            match self.tcp.try_read_buf(buffer) {
                Ok(_) => return Poll::Ready(Ok(())),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.withheld(bytes) {
            Some(withheld) => Poll::Ready(Ok(withheld)),
            None => self.poll_send(context, |tcp| tcp.try_write(bytes)),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = slices.iter().find(|slice| !slice.is_empty());
        match self.withheld(first.map_or(&[][..], |slice| &slice[..])) {
            Some(withheld) => Poll::Ready(Ok(withheld)),
            None => self.poll_send(context, |tcp| tcp.try_write_vectored(slices)),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// hyper flushes once all of its buffer is written (1.12).
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.exchange.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let HeldResponse::Held(held) = &self.held
            && !held.is_empty()
        {
            self.held = HeldResponse::Sending(refused::response(held), 0);
        }
        while let HeldResponse::Sending(response, sent) = &self.held
            && let rest @ [_, ..] = &response[*sent..]
        {
            let more = ready!(self.poll_send(context, |tcp| tcp.try_write(rest)))?;
            if let HeldResponse::Sending(_, sent) = &mut self.held {
                *sent += more;
            }
        }
        match shutdown(&*self.tcp, Shutdown::Write) {
            // The client has closed the connection already.
            Err(Errno::NOTCONN) => Poll::Ready(Ok(())),
            closed => Poll::Ready(closed.map_err(io::Error::from)),
        }
    }
}

/// Completes when the client has left: its system has reset the connection. Cancel safe.
pub(super) async fn left(tcp: &TcpStream, exchange: &HttpExchange) {
    // Priority readiness includes a FIN, also behind unread data. It does not include urgent data: the socket is not
    // registered for that.
    let _ = tcp.ready(Interest::PRIORITY).await;
    let fin = Instant::now();
    for after in PROBES.map(Duration::from_millis) {
        let reset = timeout_at(fin + after, tcp.ready(Interest::ERROR));
        if reset.await.is_ok() || exchange.probe(tcp).is_err() {
            return;
        }
        // Lets the stream be polled for the comment.
        yield_now().await;
    }
    let _ = tcp.ready(Interest::ERROR).await;
}

/// Reads and discards what a refused client still sends, within `LINGER`. Otherwise the system would reset the connection, and
/// the client might never read the response (RFC 9112 §9.6).
pub(super) async fn linger(tcp: &TcpStream) {
    let discard = async {
        let mut buffer = vec![0; LINGER_BYTES / 64];
        let mut left = LINGER_BYTES;
        while left > 0 && tcp.readable().await.is_ok() {
            match tcp.try_read(&mut buffer) {
                Ok(0) => return,
                Ok(length) => left = left.saturating_sub(length),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    };
    let _ = timeout(LINGER, discard).await;
}
