//! Tests of which connection is closed for a new one, and when.

#![allow(clippy::unwrap_used, reason = "tests")]

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use super::*;

/// Connections of a server that was started a while ago.
fn started(bound: usize) -> Arc<Connections> {
    let mut connections = Connections::new(bound);
    let inner = Arc::get_mut(&mut connections).unwrap();
    inner.started = inner.started.checked_sub(STALLED).unwrap();
    connections
}

/// Moves the last change of a connection back by this time.
fn age(slot: &ConnectionSlot, time: Duration) {
    let micros = u64::try_from(time.as_micros()).unwrap();
    slot.state.packed.fetch_sub(micros, Ordering::Relaxed);
}

/// Whether a connection has been closed for another.
fn is_closed(slot: &ConnectionSlot) -> bool {
    slot.state.packed.load(Ordering::Relaxed) == CLOSED
}

/// Serves a request on a connection, whose response is written completely.
fn serve(slot: &ConnectionSlot) {
    drop(slot.state.begin().unwrap());
    slot.state.flushed();
}

#[tokio::test]
async fn the_longest_keep_alive_goes_first_and_then_the_longest_without_a_head() {
    let connections = started(5);
    let mut slots = Vec::new();
    for _ in 0..5 {
        slots.push(connections.admit().await.unwrap());
    }
    assert!(!connections.close_idle(), "they are new");
    slots.iter().for_each(|slot| age(slot, FIRST_BYTE));
    let active = slots[0].state.begin().unwrap();
    serve(&slots[4]);
    // The packed times are in microseconds.
    let then = connections.now();
    while connections.now() == then {}
    serve(&slots[3]);
    // Equal ones are closed in order of arrival.
    for expected in [4, 3, 1, 2] {
        assert!(connections.close_idle());
        let closed: Vec<usize> = (0..5).filter(|number| is_closed(&slots[*number])).collect();
        assert!(closed.contains(&expected), "{expected} not in {closed:?}");
    }
    assert!(!connections.close_idle(), "the active one is never closed");
    drop(active);
    assert!(!connections.close_idle(), "its response may not be written");
    slots[0].state.flushed();
    assert!(connections.close_idle());
}

#[tokio::test]
async fn a_connection_whose_next_request_is_there_is_not_closed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Connections::new(2);
    let mut ends = Vec::new();
    for _ in 0..2 {
        let client = TcpStream::connect(address).await.unwrap();
        let server = Arc::new(listener.accept().await.unwrap().0);
        let slot = connections.admit().await.unwrap();
        slot.state.serve(&server);
        serve(&slot);
        ends.push((client, server, slot));
    }
    let [(mut client, server, first), (_client, _server, second)] =
        <[_; 2]>::try_from(ends).unwrap();
    client.write_all(b"G").await.unwrap();
    server.readable().await.unwrap();
    // The first has been idle longest.
    assert!(connections.close_idle() && is_closed(&second));
    assert!(!connections.close_idle() && !is_closed(&first));
    assert_eq!(server.try_read(&mut [0; 8]).unwrap(), 1);
    assert!(connections.close_idle() && is_closed(&first));
}

#[test]
fn a_response_stalls_when_its_client_receives_nothing_for_a_while() {
    let micros = u64::try_from(STALLED.as_micros()).unwrap();
    assert!(has_stalled(FLUSHING | 5, 5 + micros));
    assert!(!has_stalled(FLUSHING | 6, 5 + micros));
    for word in [KEEP_ALIVE | 5, AWAITING_HEAD | 5, ACTIVE | 5, CLOSED] {
        assert!(!has_stalled(word, TIME), "{word:x}");
    }
}

#[tokio::test]
async fn a_write_postpones_the_stall_of_a_response() {
    let connections = Connections::new(1);
    let slot = connections.admit().await.unwrap();
    drop(slot.state.begin().unwrap());
    let before = slot.state.packed.load(Ordering::Relaxed);
    while connections.now() == before & TIME {}
    slot.state.written();
    let after = slot.state.packed.load(Ordering::Relaxed);
    assert!(is_flushing(after) && after > before);
    // An active connection is not idle, and a closed one stays closed.
    assert!(!slot.state.close_if_unused());
    slot.state.flushed();
    assert!(slot.state.close_if_unused() && is_closed(&slot));
    slot.state.written();
    assert!(is_closed(&slot));
}

#[tokio::test]
async fn a_stalled_response_is_closed_for_a_new_connection() {
    let connections = started(1);
    let slot = connections.admit().await.unwrap();
    drop(slot.state.begin().unwrap());
    assert!(!slot.state.close_if_unused() && !connections.close_idle());
    age(&slot, STALLED);
    assert!(connections.close_idle() && is_closed(&slot));
}

#[tokio::test]
async fn at_the_bound_a_new_connection_waits_until_another_is_idle_or_ends() {
    let connections = Connections::new(1);
    let first = connections.admit().await.unwrap();
    let active = first.state.begin().unwrap();
    let state = Arc::clone(&first.state);
    let ends = async {
        drop(active);
        state.flushed();
        state.closed().await;
        assert!(state.begin().is_none(), "a request that comes too late");
        drop(first);
    };
    let (second, ()) = tokio::join!(connections.admit(), ends);
    let second = second.unwrap();
    let busy = second.state.begin().unwrap();
    let (third, ()) = tokio::join!(connections.admit(), async {
        drop(busy);
        drop(second);
    });
    assert!(third.is_some());
    assert!(!connections.ended(Duration::from_millis(1)).await);
    drop(third);
    assert!(connections.ended(Duration::from_secs(20)).await);
}
