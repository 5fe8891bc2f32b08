//! The socket of one connection, between TCP and hyper, and what HTTP/1 needs beside hyper.
//!
//! **Whether the client is still there.** A client that has sent its request may close the sending half of its connection
//! and read on (RFC 9112 §9.6). A client that closes the whole connection, or is killed, sends the same FIN. Its system
//! reveals the difference only when more data comes: it answers with a reset. A keepalive probe has no data, and Linux
//! acknowledges it in either case. So after a FIN the gateway sends data that the client must receive anyway, or may ignore:
//!
//! - before the response has begun, the next byte of `HTTP/1.`, with which each response begins;
//! - in a stream of server-sent events, a comment.
//!
//! A reset ends the connection, and so the request. Probes are repeated, because what lies between may pass on a FIN at once
//! and a reset only when it has failed to deliver (TCP proxies, port forwarding), and because a client that has closed one
//! half may be killed later. Any other data that a response brings is a probe too.
//!
//! **What the parser refuses.** hyper answers a malformed request by itself, without a body. Such a response is held back
//! and becomes an error envelope (`refused.rs`).

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

/// What every response begins with, of HTTP/1.0 and of HTTP/1.1.
const PREFIX: &[u8] = b"HTTP/1.";

/// hyper's interim response, which a response follows.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// How much is read and discarded of what a refused client still sends, in bytes, and for how long.
const LINGER_BYTES: usize = 4 << 20;
const LINGER: Duration = Duration::from_secs(1);

/// Milliseconds after a FIN at which the client is probed: at once, soon for what lies between, and later for a client that
/// is killed while it reads. `PREFIX` has a byte for each.
const PROBES: [u64; PREFIX.len()] = [0, 20, 50, 200, 1_000, 5_000, 30_000];

/// What a connection and the request that it serves know of each other. Clones share it.
#[derive(Clone, Debug, Default)]
pub(in crate::http) struct Exchange(Arc<ExchangeState>);

#[derive(Debug, Default)]
struct ExchangeState {
    phase: AtomicU8,
    /// Bytes of the next response that are sent already.
    prefix_sent: AtomicU8,
    /// hyper has written more than the system has taken.
    unflushed: AtomicBool,
    /// A comment is wanted in the stream.
    comment: AtomicBool,
}

/// Where an exchange stands. One task drives a connection and all of its requests, so each sees the other's changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Phase {
    /// No request is served: what hyper writes now is its own.
    Idle,
    /// A request is served, and nothing of its response is written.
    Called,
    /// The response is being written.
    Responding,
    /// The response is complete, but perhaps not flushed.
    Complete,
}

impl Exchange {
    /// A request has come.
    pub(super) fn begin(&self) {
        self.0.comment.store(false, Ordering::Relaxed);
        // While an earlier response is not flushed, no write shows where this one begins: then nothing is sent ahead.
        self.set(if self.is_flushed() {
            Phase::Called
        } else {
            Phase::Responding
        });
    }

    /// The response's body has been written to its end, or never will be.
    pub(in crate::http) fn complete(&self) {
        self.set(Phase::Complete);
    }

    /// Whether a comment is wanted in a stream that has nothing else to send. The next call returns false.
    pub(in crate::http) fn take_comment(&self) -> bool {
        self.0.comment.load(Ordering::Relaxed) && self.0.comment.swap(false, Ordering::Relaxed)
    }

    fn phase(&self) -> Phase {
        match self.0.phase.load(Ordering::Relaxed) {
            0 => Phase::Idle,
            1 => Phase::Called,
            2 => Phase::Responding,
            _ => Phase::Complete,
        }
    }

    fn set(&self, phase: Phase) {
        self.0.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// hyper writes `bytes`, and perhaps more.
    fn writing(&self, bytes: &[u8]) {
        self.0.unflushed.store(true, Ordering::Relaxed);
        // The interim response may be written in parts.
        if self.phase() == Phase::Called && !CONTINUE.ends_with(bytes) {
            self.set(Phase::Responding);
        }
    }

    /// The system has taken all that hyper wrote.
    fn flushed(&self) {
        self.0.unflushed.store(false, Ordering::Relaxed);
        if self.phase() == Phase::Complete {
            self.set(Phase::Idle);
        }
    }

    fn is_flushed(&self) -> bool {
        !self.0.unflushed.load(Ordering::Relaxed)
    }

    /// Bytes of what hyper writes next that are sent already. The next call returns 0.
    fn take_prefix_sent(&self) -> usize {
        match self.0.prefix_sent.load(Ordering::Relaxed) {
            0 => 0,
            _ => self.0.prefix_sent.swap(0, Ordering::Relaxed).into(),
        }
    }

    /// Sends, or has a stream send, what shows whether the client still receives.
    fn probe(&self, tcp: &TcpStream) -> io::Result<()> {
        match self.phase() {
            Phase::Called if self.is_flushed() => {
                let ahead = self.0.prefix_sent.load(Ordering::Relaxed);
                let Some(byte) = PREFIX.get(usize::from(ahead)) else {
                    return Ok(());
                };
                match tcp.try_write(&[*byte]) {
                    Ok(_) => self.0.prefix_sent.store(ahead + 1, Ordering::Relaxed),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            }
            Phase::Responding => self.0.comment.store(true, Ordering::Relaxed),
            Phase::Called | Phase::Idle | Phase::Complete => {}
        }
        Ok(())
    }
}

/// The socket as hyper has it.
pub(super) struct Socket {
    tcp: Arc<TcpStream>,
    exchange: Exchange,
    refusal: Refusal,
}

/// A response of hyper's own, held back until the connection is closed.
#[derive(Debug)]
enum Refusal {
    /// What hyper has written of it. Mostly nothing.
    Held(Vec<u8>),
    /// What is sent in its place, and how much of that is sent.
    Sending(Vec<u8>, usize),
}

impl Socket {
    pub(super) fn new(tcp: Arc<TcpStream>, exchange: Exchange) -> Self {
        Self {
            tcp,
            exchange,
            refusal: Refusal::Held(Vec::new()),
        }
    }

    /// How many of these bytes need not be sent: some that were sent ahead, or all of a response of hyper's own.
    fn spared(&mut self, bytes: &[u8]) -> Option<usize> {
        if self.exchange.phase() == Phase::Idle {
            if let Refusal::Held(held) = &mut self.refusal {
                held.extend_from_slice(bytes);
            }
            return Some(bytes.len());
        }
        self.exchange.writing(bytes);
        let ahead = self.exchange.take_prefix_sent().min(bytes.len());
        (ahead > 0).then_some(ahead)
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
        match self.spared(bytes) {
            Some(spared) => Poll::Ready(Ok(spared)),
            None => self.poll_send(context, |tcp| tcp.try_write(bytes)),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = slices.iter().find(|slice| !slice.is_empty());
        match self.spared(first.map_or(&[][..], |slice| &slice[..])) {
            Some(spared) => Poll::Ready(Ok(spared)),
            None => self.poll_send(context, |tcp| tcp.try_write_vectored(slices)),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// hyper flushes once all that it had is written (1.12).
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.exchange.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Refusal::Held(held) = &self.refusal
            && !held.is_empty()
        {
            self.refusal = Refusal::Sending(refused::response(held), 0);
        }
        while let Refusal::Sending(response, sent) = &self.refusal
            && let rest @ [_, ..] = &response[*sent..]
        {
            let more = ready!(self.poll_send(context, |tcp| tcp.try_write(rest)))?;
            if let Refusal::Sending(_, sent) = &mut self.refusal {
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

/// Returns once the client has left: its system has reset the connection. Dropping it is harmless.
pub(super) async fn left(tcp: &TcpStream, exchange: &Exchange) {
    // This also waits for urgent data, but the socket is not registered for that. What is unread hides no FIN.
    let _ = tcp.ready(Interest::PRIORITY).await;
    let fin = Instant::now();
    for after in PROBES.map(Duration::from_millis) {
        let reset = timeout_at(fin + after, tcp.ready(Interest::ERROR));
        if reset.await.is_ok() || exchange.probe(tcp).is_err() {
            return;
        }
        // The stream is polled for the comment.
        yield_now().await;
    }
    let _ = tcp.ready(Interest::ERROR).await;
}

/// Reads and discards what a refused client still sends, for a moment: the system would reset the connection at once, and
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
