//! The listener: accepts connections, serves each on a task with deadlines, and drains them when the gateway stops.

mod connections; // the limit of connections, and which is closed for a new one
mod observed; // sockets and bodies that report to their connection's state
mod refused; // requests that hyper refuses
mod socket; // one connection's socket, and whether its client has left

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use futures_util::StreamExt as _;
use futures_util::future::pending;
use futures_util::stream::FuturesUnordered;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustix::net::sockopt::{set_socket_keepalive, set_tcp_keepidle, set_tcp_user_timeout};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use self::connections::{ActiveRequest, ConnectionSlot, ConnectionState, Connections};
use self::observed::{ObservedBody, ObservedSocket};
pub(super) use self::socket::HttpExchange;
use self::socket::{Socket, left, linger};
use airlock_base::task::Tasks;

/// Milliseconds for which sent data may stay unacknowledged or a client's receive window closed (`TCP_USER_TIMEOUT`). Then the
/// system closes the connection: a client that never reads would hold its turn and its sandbox forever.
const UNREAD_MS: u32 = 120_000;

/// The idle time before the first TCP keepalive probe.
const IDLE: Duration = Duration::from_secs(60);

/// How long the rest of a request's head may take once the gateway stops.
const LAST_HEAD: Duration = Duration::from_secs(1);

/// The pause after `accept` failed, mostly for want of a file descriptor.
const PAUSE: Duration = Duration::from_millis(100);

/// A running HTTP server.
pub struct HttpServer {
    address: SocketAddr,
    drain: CancellationToken,
    connections: Arc<Connections>,
}

/// Serves this router until the server is drained, or until the tasks are stopped, which cuts connections. `keep_alive` is how
/// long a connection may be idle and a request's head may take. At most `bound` connections are open at once.
///
/// # Errors
/// The listener has no address.
pub fn serve(
    listener: TcpListener,
    router: Router,
    keep_alive: Duration,
    bound: usize,
    tasks: &Tasks,
) -> io::Result<HttpServer> {
    let server = HttpServer {
        address: listener.local_addr()?,
        drain: CancellationToken::new(),
        connections: Connections::new(bound),
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

impl HttpServer {
    /// The address of the listener, with the actual port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting connections, and waits at most this long for the open ones. True: all have ended.
    pub async fn drain(&self, wait: Duration) -> bool {
        self.drain.cancel();
        self.connections.ended(wait).await
    }
}

async fn accept(
    listener: TcpListener,
    router: Router,
    keep_alive: Duration,
    tasks: Tasks,
    drain: CancellationToken,
    connections: Arc<Connections>,
) {
    loop {
        let next = async {
            match listener.accept().await {
                Ok((socket, _)) => Ok((socket, connections.admit().await)),
                Err(error) => Err(error),
            }
        };
        let accepted = tokio::select! {
            accepted = next => accepted,
            () = drain.cancelled() => return,
            () = tasks.stopping() => return,
        };
        match accepted {
            Ok((socket, Some(slot))) => {
                let socket = Arc::new(socket);
                slot.state.serve(&socket);
                let (router, stopping, drain) = (router.clone(), tasks.clone(), drain.clone());
                let serve = connection(socket, router, keep_alive, stopping, drain, slot);
                tasks.spawn("connection", serve);
            }
            Ok((_, None)) => return,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                // This frees a file descriptor.
                connections.close_idle();
                sleep(PAUSE).await;
            }
        }
    }
}

/// The connection of a request, which a protocol that the request upgrades to takes over. Its slot is released with the last
/// clone.
#[derive(Clone)]
pub(super) struct UpgradeContext {
    tcp: Arc<TcpStream>,
    slot: Arc<ConnectionSlot>,
    exchange: HttpExchange,
    drain: CancellationToken,
}

/// The connection of another protocol, which is not idle until this is dropped.
pub(super) struct UpgradedConnection {
    tcp: Arc<TcpStream>,
    _slot: Arc<ConnectionSlot>,
    _active: ActiveRequest,
    drain: CancellationToken,
}

impl UpgradeContext {
    /// Announces that the response upgrades the connection: what is written after it is not hyper's.
    pub(super) fn upgrade(&self) {
        self.exchange.upgrade();
    }

    /// Takes the connection over, once hyper has left it. None: it is closed for another.
    pub(super) fn upgraded(self) -> Option<UpgradedConnection> {
        Some(UpgradedConnection {
            _active: self.slot.state.begin()?,
            _slot: self.slot,
            tcp: self.tcp,
            drain: self.drain,
        })
    }
}

impl UpgradedConnection {
    /// Completes when the server is drained: no further request may begin. Cancel safe.
    pub(super) async fn draining(&self) {
        self.drain.cancelled().await;
    }

    /// Reads what the client still sends for a moment, so that it receives what was written last.
    pub(super) async fn linger(&self) {
        linger(&self.tcp).await;
    }
}

/// A signal to a connection's task.
enum ConnectionSignal {
    /// The server is drained.
    Drain,
    /// Time to check whether the connection has drained.
    CheckDrain,
    /// The gateway stops.
    Stop,
    /// The client has left.
    Left,
    /// The connection is closed for a new one.
    Close,
}

type SignalFuture = Pin<Box<dyn Future<Output = ConnectionSignal> + Send>>;

/// Serves one connection in its slot.
async fn connection(
    tcp: Arc<TcpStream>,
    router: Router,
    keep_alive: Duration,
    tasks: Tasks,
    drain: CancellationToken,
    slot: ConnectionSlot,
) {
    if let Err(error) = set_options(&tcp) {
        tracing::debug!(%error, "a connection ended before its first request");
        return;
    }
    let exchange = HttpExchange::default();
    let slot = Arc::new(slot);
    let upgrade = UpgradeContext {
        tcp: Arc::clone(&tcp),
        slot: Arc::clone(&slot),
        exchange: exchange.clone(),
        drain: drain.clone(),
    };
    let socket = ObservedSocket {
        socket: Socket::new(Arc::clone(&tcp), exchange.clone()),
        state: Arc::clone(&slot.state),
    };
    let service = service(router, upgrade, Arc::clone(&slot.state));
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(keep_alive)
        // A FIN alone does not end a request: see `socket.rs`.
        .half_close(true)
        .serve_connection(TokioIo::new(socket), service)
        .with_upgrades();
    let mut serving = std::pin::pin!(serving);
    let mut signals = signals(Arc::clone(&tcp), exchange, tasks, drain, &slot);
    let outcome = loop {
        tokio::select! {
            biased;
            outcome = &mut serving => break outcome,
            Some(signal) = signals.next() => match signal {
                // The running response ends, and no other begins on this connection.
                ConnectionSignal::Drain => {
                    serving.as_mut().graceful_shutdown();
                    signals.push(drain_check());
                }
                // hyper waits for the rest of a head that has begun, and for a client to receive all of a response.
                ConnectionSignal::CheckDrain if slot.state.close_if_unused() => return,
                ConnectionSignal::CheckDrain => signals.push(drain_check()),
                ConnectionSignal::Stop | ConnectionSignal::Left | ConnectionSignal::Close => return,
            },
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "a connection broke");
        if error.is_parse() {
            // While it lingers, the connection counts as active: its slot is free in a moment.
            let _active = slot.state.begin();
            linger(&tcp).await;
        }
    }
}

/// hyper's service for one connection: the router, whose responses are observed.
fn service(
    router: Router,
    upgrade: UpgradeContext,
    state: Arc<ConnectionState>,
) -> impl Service<Request<Incoming>, Response = Response<ObservedBody>, Error = Infallible, Future: Send>
+ Send {
    let router = TowerToHyperService::new(router);
    service_fn(move |mut request: Request<Incoming>| {
        upgrade.exchange.begin();
        let extensions = request.extensions_mut();
        extensions.insert(upgrade.exchange.clone());
        extensions.insert(upgrade.clone());
        let active = state.begin();
        let response = router.call(request);
        async move {
            let Some(active) = active else {
                // The connection is about to be closed for another.
                return pending().await;
            };
            let response = response.await?;
            Ok::<_, Infallible>(response.map(|body| ObservedBody {
                body,
                _active: active,
            }))
        }
    })
}

/// Schedules the next check of a draining connection.
fn drain_check() -> SignalFuture {
    Box::pin(async {
        sleep(LAST_HEAD).await;
        ConnectionSignal::CheckDrain
    })
}

/// The signals to a connection. `FuturesUnordered` polls only woken futures, so they cost next to nothing for each piece of a
/// stream.
fn signals(
    tcp: Arc<TcpStream>,
    exchange: HttpExchange,
    tasks: Tasks,
    drain: CancellationToken,
    slot: &ConnectionSlot,
) -> FuturesUnordered<SignalFuture> {
    let drains: SignalFuture = Box::pin(async move {
        drain.cancelled().await;
        ConnectionSignal::Drain
    });
    let stopped: SignalFuture = Box::pin(async move {
        tasks.stopping().await;
        ConnectionSignal::Stop
    });
    let gone: SignalFuture = Box::pin(async move {
        left(&tcp, &exchange).await;
        ConnectionSignal::Left
    });
    let state = Arc::clone(&slot.state);
    let closed: SignalFuture = Box::pin(async move {
        state.closed().await;
        ConnectionSignal::Close
    });
    FuturesUnordered::from_iter([drains, stopped, gone, closed])
}

/// Sets the socket's options.
fn set_options(socket: &TcpStream) -> io::Result<()> {
    // Pieces of a stream are small and must not wait for the next (Nagle's algorithm).
    socket.set_nodelay(true)?;
    set_tcp_user_timeout(socket, UNREAD_MS)?;
    // While a turn is silent, only keepalive probes detect a client's machine that is gone.
    set_tcp_keepidle(socket, IDLE)?;
    set_socket_keepalive(socket, true)?;
    Ok(())
}

#[cfg(test)]
mod tests;
