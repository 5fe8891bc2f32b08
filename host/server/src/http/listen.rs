//! The socket: accepts connections, gives each its deadlines, and lets running ones end when the gateway stops.

mod connections; // how many, and which one is closed for another
mod observed; // what they report
mod refused; // what the parser refuses
mod socket; // one connection's socket, and whether its client is there

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
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustix::net::sockopt::{set_socket_keepalive, set_tcp_keepidle, set_tcp_user_timeout};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use self::connections::{Connections, Slot};
use self::observed::{ObservedBody, ObservedSocket};
pub(super) use self::socket::Exchange;
use self::socket::{Socket, left, linger};
use airlock_base::task::Tasks;

/// Milliseconds for which a client may leave what was sent unread. Then the system closes the connection: a client
/// that never reads would else hold its turn and its sandbox for ever.
const UNREAD_MS: u32 = 120_000;

/// Silence after which the system asks whether the client's machine is still there.
const IDLE: Duration = Duration::from_secs(60);

/// How long the rest of a request's head may take once the gateway stops.
const LAST_HEAD: Duration = Duration::from_secs(1);

/// How long to wait when the system has no file left for another connection.
const PAUSE: Duration = Duration::from_millis(100);

/// A socket that is served.
pub struct Server {
    address: SocketAddr,
    drain: CancellationToken,
    connections: Arc<Connections>,
}

/// Serves this router on this socket until the server is drained or the tasks are stopped. The latter cuts connections.
/// `keep_alive` is how long a connection may be idle, and how long a request's head may take. There are at most `bound`
/// connections at once.
pub fn serve(
    listener: TcpListener,
    router: Router,
    keep_alive: Duration,
    bound: usize,
    tasks: &Tasks,
) -> io::Result<Server> {
    let server = Server {
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

impl Server {
    /// Where it listens: with the port that the system chose, if it was asked to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts nothing more, and waits at most this long for what is running. True when all of it has ended.
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
                // It may be for want of a descriptor.
                connections.close_idle();
                sleep(PAUSE).await;
            }
        }
    }
}

/// What a connection receives from outside.
enum ConnectionSignal {
    Drain,
    /// It was to drain a moment ago.
    Drained,
    Stop,
    /// Its client has left.
    Left,
    /// Its slot is given to another connection.
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
    slot: Slot,
) {
    if let Err(error) = prepare(&tcp) {
        tracing::debug!(%error, "a connection ended before its first request");
        return;
    }
    let exchange = Exchange::default();
    let state = Arc::clone(&slot.state);
    let socket = ObservedSocket {
        socket: Socket::new(Arc::clone(&tcp), exchange.clone()),
        state: Arc::clone(&state),
    };
    let router = TowerToHyperService::new(router);
    let begun = exchange.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        begun.begin();
        request.extensions_mut().insert(begun.clone());
        let active = state.begin();
        let response = router.call(request);
        async move {
            let Some(active) = active else {
                // The connection is about to be closed.
                return pending().await;
            };
            let response = response.await?;
            Ok::<_, Infallible>(response.map(|body| ObservedBody {
                body,
                _active: active,
            }))
        }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(keep_alive)
        // A FIN alone ends no request: `left` knows more.
        .half_close(true)
        .serve_connection(TokioIo::new(socket), service);
    let mut serving = std::pin::pin!(serving);
    let mut signals = signals(Arc::clone(&tcp), exchange, tasks, drain, &slot);
    let outcome = loop {
        tokio::select! {
            biased;
            outcome = &mut serving => break outcome,
            Some(signal) = signals.next() => match signal {
                // The running reply ends, and no other begins on this connection.
                ConnectionSignal::Drain => {
                    serving.as_mut().graceful_shutdown();
                    signals.push(drained());
                }
                // hyper waits for the rest of a head that has begun, and for a client to take all of a response.
                ConnectionSignal::Drained if slot.state.close_if_unused() => return,
                ConnectionSignal::Drained => signals.push(drained()),
                ConnectionSignal::Stop | ConnectionSignal::Left | ConnectionSignal::Close => return,
            },
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "a connection broke");
        if error.is_parse() {
            // Nobody waits for a slot that is free in a moment.
            let _active = slot.state.begin();
            linger(&tcp).await;
        }
    }
}

/// Looks at a connection that is to drain, after a moment.
fn drained() -> SignalFuture {
    Box::pin(async {
        sleep(LAST_HEAD).await;
        ConnectionSignal::Drained
    })
}

/// What may end or drain a connection. A set polls only the futures that were woken, and so costs next to nothing for each
/// piece of a stream.
fn signals(
    tcp: Arc<TcpStream>,
    exchange: Exchange,
    tasks: Tasks,
    drain: CancellationToken,
    slot: &Slot,
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
