//! The socket: accepts connections, gives each its deadlines, and lets running ones end when the gateway stops.

mod refused; // what the parser refuses
mod socket; // one connection's socket, and whether its client is there

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustix::net::sockopt::{set_socket_keepalive, set_tcp_keepidle, set_tcp_user_timeout};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tower::util::MapRequest;

pub(super) use self::socket::Exchange;
use self::socket::{Socket, left, linger};
use crate::task::Tasks;

/// Connections at once. More wait in the system's own queue.
const CONNECTIONS: usize = 4096;

/// Milliseconds for which a client may leave what was sent unread. Then the system closes the connection: a client
/// that never reads would else hold its turn and its sandbox for ever.
const UNREAD_MS: u32 = 120_000;

/// Silence after which the system asks whether the client's machine is still there.
const IDLE: Duration = Duration::from_secs(60);

/// How long to wait when the system has no file left for another connection.
const PAUSE: Duration = Duration::from_millis(100);

/// A socket that is served.
pub(crate) struct Server {
    address: SocketAddr,
    drain: CancellationToken,
    connections: Arc<Semaphore>,
}

/// Serves this router on this socket until the server is drained or the tasks are stopped. The latter cuts connections.
/// `keep_alive` is how long a connection may be idle, and how long a request's head may take.
pub(crate) fn serve(
    listener: TcpListener,
    router: Router,
    keep_alive: Duration,
    tasks: &Tasks,
) -> io::Result<Server> {
    let server = Server {
        address: listener.local_addr()?,
        drain: CancellationToken::new(),
        connections: Arc::new(Semaphore::new(CONNECTIONS)),
    };
    let accept = accept(
        listener,
        router,
        keep_alive,
        tasks.clone(),
        server.drain.clone(),
        Arc::clone(&server.connections),
    );
    tasks.spawn("accept", accept);
    Ok(server)
}

impl Server {
    /// Where it listens: with the port that the system chose, if it was asked to.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts nothing more, and waits at most this long for what is running. True when all of it has ended.
    pub(crate) async fn drain(&self, wait: Duration) -> bool {
        self.drain.cancel();
        let all = u32::try_from(CONNECTIONS).unwrap_or(u32::MAX);
        timeout(wait, self.connections.acquire_many(all))
            .await
            .is_ok()
    }
}

async fn accept(
    listener: TcpListener,
    router: Router,
    keep_alive: Duration,
    tasks: Tasks,
    drain: CancellationToken,
    connections: Arc<Semaphore>,
) {
    loop {
        let next = async {
            let permit = Arc::clone(&connections).acquire_owned().await.ok()?;
            Some((listener.accept().await, permit))
        };
        let accepted = tokio::select! {
            accepted = next => accepted,
            () = drain.cancelled() => return,
            () = tasks.stopping() => return,
        };
        match accepted {
            Some((Ok((socket, _)), permit)) => {
                let (router, stopping, drain) = (router.clone(), tasks.clone(), drain.clone());
                let serve = connection(socket, router, keep_alive, stopping, drain, permit);
                tasks.spawn("connection", serve);
            }
            Some((Err(error), _)) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(PAUSE).await;
            }
            None => return,
        }
    }
}

/// What a connection is told from outside.
enum Told {
    Drain,
    Stop,
    /// Its client has left.
    Left,
}

type Signal = Pin<Box<dyn Future<Output = Told> + Send>>;

/// Serves one connection. `_permit` is its place among the connections.
async fn connection(
    tcp: TcpStream,
    router: Router,
    keep_alive: Duration,
    tasks: Tasks,
    drain: CancellationToken,
    _permit: OwnedSemaphorePermit,
) {
    if let Err(error) = prepare(&tcp) {
        tracing::debug!(%error, "a connection ended before its first request");
        return;
    }
    let (tcp, exchange) = (Arc::new(tcp), Exchange::default());
    let begun = exchange.clone();
    let service = MapRequest::new(router, move |mut request: Request<Incoming>| {
        begun.begin();
        request.extensions_mut().insert(begun.clone());
        request
    });
    let socket = Socket::new(Arc::clone(&tcp), exchange.clone());
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(keep_alive)
        // A FIN alone ends no request: `left` knows more.
        .half_close(true)
        .serve_connection(TokioIo::new(socket), TowerToHyperService::new(service));
    let mut serving = std::pin::pin!(serving);
    // A set looks only at who has something to say, and so costs next to nothing for each piece of a stream.
    let drained: Signal = Box::pin(async move {
        drain.cancelled().await;
        Told::Drain
    });
    let stopped: Signal = Box::pin(async move {
        tasks.stopping().await;
        Told::Stop
    });
    let watched = Arc::clone(&tcp);
    let gone: Signal = Box::pin(async move {
        left(&watched, &exchange).await;
        Told::Left
    });
    let mut signals = FuturesUnordered::from_iter([drained, stopped, gone]);
    let outcome = loop {
        tokio::select! {
            biased;
            outcome = &mut serving => break outcome,
            Some(told) = signals.next() => match told {
                // The running reply ends, and no other begins on this connection.
                Told::Drain => serving.as_mut().graceful_shutdown(),
                Told::Stop | Told::Left => return,
            },
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "a connection broke");
        if error.is_parse() {
            linger(&tcp).await;
        }
    }
}

fn prepare(socket: &TcpStream) -> io::Result<()> {
    // A chunk of an answer is small and must not wait for the next.
    socket.set_nodelay(true)?;
    set_tcp_user_timeout(socket, UNREAD_MS)?;
    // A machine that vanished while a turn was silent is noticed only by asking.
    set_tcp_keepidle(socket, IDLE)?;
    set_socket_keepalive(socket, true)?;
    Ok(())
}

#[cfg(test)]
mod tests;
