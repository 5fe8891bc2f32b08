//! Tests of reading bodies: their limits of size, time and memory. Time is their subject, and tokio's clock is paused: a sleep
//! moves that clock, and waits for nothing.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use axum::response::IntoResponse as _;
use futures_util::StreamExt as _;
use futures_util::stream::{once, pending};

use super::*;
use airlock_base::memory::COPIES;

const LIMIT: usize = 16;

/// A split in KiB.
fn memory(common: usize, small: usize) -> BodyMemory {
    BodyMemory { common, small }
}

/// A reader of a gateway that does not stop.
fn within(memory: BodyMemory, limit: usize) -> BodyReader {
    BodyReader::within(memory, limit, &Tasks::default())
}

async fn read(headers: &[(&str, &str)], body: impl Into<Body>) -> Result<String, u16> {
    let mut request = Request::post("/");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let bodies = within(memory(1, 0), LIMIT);
    let text = bodies
        .read_json_text(request.body(body.into()).unwrap())
        .await;
    text.map(|(text, _)| text).map_err(status)
}

fn status(error: HttpError) -> u16 {
    error.into_response().status().as_u16()
}

#[tokio::test]
async fn json_is_read_whatever_its_parameters() {
    for claimed in [
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON",
        "application/vnd.x+json",
    ] {
        assert_eq!(
            read(&[("content-type", claimed)], "{}").await,
            Ok("{}".to_owned()),
            "{claimed}"
        );
    }
    assert_eq!(read(&[], "{}").await, Ok("{}".to_owned()));
}

#[tokio::test]
async fn media_types_of_forms_are_refused() {
    for claimed in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=json",
        "json",
        "",
    ] {
        assert_eq!(
            read(&[("content-type", claimed)], "{}").await,
            Err(400),
            "{claimed}"
        );
    }
    assert_eq!(read(&[("content-encoding", "gzip")], "{}").await, Err(400));
    assert_eq!(read(&[], vec![b'"', 0xff, b'"']).await, Err(400));
}

#[tokio::test]
async fn size_has_a_limit_announced_or_not() {
    let fits = "x".repeat(LIMIT);
    assert_eq!(read(&[], fits.clone()).await, Ok(fits));
    let large = "x".repeat(LIMIT + 1);
    assert_eq!(read(&[], large.clone()).await, Err(413));
    assert_eq!(
        read(&[("content-length", "17")], large.clone()).await,
        Err(413)
    );
    assert_eq!(
        read(
            &[("content-length", "17"), ("expect", "100-continue")],
            large
        )
        .await,
        Err(413)
    );
}

const KIB: usize = 1 << 10;
const LARGE: usize = 300 * KIB;

/// Reads a body of `length` bytes that arrive at once.
async fn read_large(bodies: &BodyReader, length: usize) -> Result<(String, MemoryShare), u16> {
    let request = Request::post("/").body(Body::from("x".repeat(length)));
    bodies
        .read_json_text(request.unwrap())
        .await
        .map_err(status)
}

/// A body of which `length` bytes arrive at each interval, without end.
fn endless(length: usize, every: Duration) -> Body {
    let piece = Bytes::from("x".repeat(length));
    let pieces = futures_util::stream::repeat(piece).then(move |piece| async move {
        tokio::time::sleep(every).await;
        Ok::<_, std::io::Error>(piece)
    });
    Body::from_stream(pieces)
}

/// A body of which `length` bytes arrive at once, and then nothing.
fn stalled(length: usize) -> Body {
    let piece = Bytes::from("x".repeat(length));
    Body::from_stream(once(async { Ok::<_, std::io::Error>(piece) }).chain(pending()))
}

#[tokio::test(start_paused = true)]
async fn all_bodies_together_have_a_limit_that_counts_their_copies() {
    let bodies = within(memory(COPIES * 600, 0), 600 * KIB);
    let held = read_large(&bodies, LARGE).await.unwrap();
    let other = read_large(&bodies, LARGE).await.unwrap();
    assert_eq!(read_large(&bodies, 1).await.map(|_| ()), Err(503));
    drop(held);
    assert!(read_large(&bodies, LARGE).await.is_ok());
    drop(other);
}

#[tokio::test(start_paused = true)]
async fn a_body_waits_a_moment_for_memory() {
    let bodies = within(memory(COPIES * 300, 0), LARGE);
    let held = read_large(&bodies, LARGE).await.unwrap();
    let leaves = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop(held);
    };
    let (requested, ()) = tokio::join!(read_large(&bodies, LARGE), leaves);
    assert!(requested.is_ok());
}

#[tokio::test(start_paused = true)]
async fn small_bodies_have_memory_that_large_ones_never_take() {
    let bodies = within(memory(COPIES * 300, COPIES * 2), LARGE);
    let large = read_large(&bodies, LARGE).await.unwrap();
    let small = read_large(&bodies, KIB).await.unwrap();
    assert!(read_large(&bodies, KIB).await.is_ok());
    assert_eq!(read_large(&bodies, LARGE).await.map(|_| ()), Err(503));
    drop(large);
    // They may use the common memory too.
    let mut many = vec![small];
    for _ in 0..301 {
        many.push(read_large(&bodies, KIB).await.unwrap());
    }
    assert_eq!(read_large(&bodies, KIB).await.map(|_| ()), Err(503));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stops_or_trickles_is_a_408_within_two_windows() {
    let bodies = within(memory(COPIES * 1000, 0), 1000 * KIB);
    for body in [
        stalled(LARGE),
        stalled(1),
        endless(100, Duration::from_secs(1)),
    ] {
        let began = Instant::now();
        let refused = bodies
            .read_json_text(Request::post("/").body(body).unwrap())
            .await;
        assert_eq!(refused.map(|_| ()).map_err(status), Err(408));
        assert!(began.elapsed() <= 2 * WINDOW, "{:?}", began.elapsed());
    }
    // A body at the lowest rate may take the whole time.
    let began = Instant::now();
    let steady = endless(2 * KIB, Duration::from_secs(1));
    let refused = bodies
        .read_json_text(Request::post("/").body(steady).unwrap())
        .await;
    assert_eq!(refused.map(|_| ()).map_err(status), Err(408));
    assert_eq!(began.elapsed().as_secs(), ARRIVAL.as_secs());
}

#[tokio::test(start_paused = true)]
async fn when_memory_is_short_the_slowest_body_is_evicted() {
    let bodies = within(memory(COPIES * 600, 0), 600 * KIB);
    let order = parking_lot::Mutex::new(Vec::new());
    let arrive = async |name, body| {
        let arrived = bodies
            .read_json_text(Request::post("/").body(body).unwrap())
            .await;
        let status = arrived.map_err(status).err();
        order.lock().push((name, status));
    };
    let requests = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        // 300 KiB of the silent one, and 100 of the slow one.
        let first = read_large(&bodies, 250 * KIB).await;
        order.lock().push(("first", first.as_ref().err().copied()));
        // The silent body is gone.
        let second = read_large(&bodies, 300 * KIB).await;
        order
            .lock()
            .push(("second", second.as_ref().err().copied()));
    };
    let slow = arrive("slow", endless(5 * KIB, Duration::from_millis(100)));
    let silent = arrive("silent", stalled(LARGE));
    tokio::join!(slow, silent, requests);
    let order = order.into_inner();
    let expected = [
        ("silent", Some(408)),
        ("first", None),
        ("slow", Some(408)),
        ("second", None),
    ];
    assert_eq!(order, expected);
}

#[tokio::test(start_paused = true)]
async fn a_fast_body_is_not_evicted() {
    let bodies = within(memory(COPIES * 600, 0), 600 * KIB);
    let fast = bodies.read_json_text(
        Request::post("/")
            .body(endless(20 * KIB, Duration::from_millis(100)))
            .unwrap(),
    );
    let requests = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        read_large(&bodies, 400 * KIB).await.map(|_| ())
    };
    // It has 400 KiB by then.
    tokio::select! {
        _ = fast => panic!("it gave its memory up"),
        requested = requests => assert_eq!(requested, Err(503)),
    }
}

#[tokio::test(start_paused = true)]
async fn of_large_bodies_that_have_no_room_together_the_first_is_read() {
    let bodies = within(memory(COPIES * 700, 0), 600 * KIB);
    let arrive = async |every| {
        let piece = Bytes::from("x".repeat(100 * KIB));
        let pieces = futures_util::stream::iter(0..6).then(move |_| {
            let piece = piece.clone();
            async move {
                tokio::time::sleep(Duration::from_millis(every)).await;
                Ok::<_, std::io::Error>(piece)
            }
        });
        let body = Body::from_stream(pieces);
        let arrived = bodies
            .read_json_text(Request::post("/").body(body).unwrap())
            .await;
        arrived.map(|_| ()).map_err(status)
    };
    let arrived = tokio::join!(arrive(100), arrive(101), arrive(102), arrive(103));
    assert_eq!(arrived, (Ok(()), Err(503), Err(503), Err(503)));
}

#[tokio::test(start_paused = true)]
async fn the_beginning_of_a_large_body_takes_no_memory_of_small_ones() {
    let bodies = within(memory(COPIES * 300, COPIES * 100), LARGE);
    let mut large = [(); 4].map(|()| bodies.budget.reserve(LARGE));
    for body in &mut large {
        // The last one finds no memory.
        let _ = tokio::time::timeout(Duration::from_millis(1), body.grow(100 * KIB)).await;
    }
    let small = read_large(&bodies, 90 * KIB);
    let now = tokio::time::timeout(Duration::from_millis(1), small);
    assert!(now.await.is_ok_and(|small| small.is_ok()));
}

#[tokio::test(start_paused = true)]
async fn no_further_body_is_evicted_before_the_memory_of_one_is_back() {
    let bodies = within(memory(COPIES * 600, 0), 600 * KIB);
    let [mut first, mut second] = [(); 2].map(|()| bodies.budget.reserve(0));
    first.grow(LARGE).await.unwrap();
    second.grow(LARGE).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let leaves = async {
        first.evicted().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop(first);
    };
    let mut next = bodies.budget.reserve(0);
    let (taken, ()) = tokio::join!(next.grow(LARGE), leaves);
    assert!(taken.is_ok());
    let evicted = tokio::time::timeout(Duration::from_secs(5), second.evicted());
    assert!(evicted.await.is_err(), "one was enough");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_holds_no_memory_waits_beside_others_that_wait() {
    let bodies = within(memory(COPIES * 600, 0), 600 * KIB);
    let held = read_large(&bodies, 600 * KIB).await.unwrap();
    let leaves = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop(held);
    };
    let (first, second, ()) = tokio::join!(
        read_large(&bodies, LARGE),
        read_large(&bodies, LARGE),
        leaves
    );
    assert!(first.is_ok() && second.is_ok());
}

#[tokio::test(start_paused = true)]
async fn bodies_that_have_not_arrived_when_the_gateway_stops_are_refused() {
    let tasks = Tasks::default();
    let bodies = BodyReader::within(memory(COPIES * 300, 0), LARGE, &tasks);
    let held = read_large(&bodies, 200 * KIB).await.unwrap();
    let code = async |body| {
        let refused = bodies
            .read_json_text(Request::post("/").body(body).unwrap())
            .await;
        let response = refused.map(|_| ()).unwrap_err().into_response();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        body["error"]["code"].clone()
    };
    // One waits for more bytes, and one for memory.
    let arriving = code(stalled(100 * KIB));
    let waiting = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let began = Instant::now();
        let code = code(Body::from("x".repeat(150 * KIB))).await;
        (code, began.elapsed())
    };
    let stops = async {
        tokio::time::sleep(Duration::from_millis(800)).await;
        tasks.abort_requests();
    };
    let (arriving, (waiting, waited), ()) = tokio::join!(arriving, waiting, stops);
    assert_eq!(arriving, "gateway_stopping");
    assert_eq!(waiting, "gateway_stopping");
    assert!(waited < Duration::from_millis(350), "{waited:?}");
    drop(held);
}
