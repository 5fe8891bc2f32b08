//! Requests and faults of a release.

use super::*;
use airlock_types::wit::Transport;

fn lately(requests: u64, faults: u64, clients: u64) -> RecentCounts {
    RecentCounts {
        requests,
        faults,
        clients,
    }
}

fn request(bytes: usize) -> Request {
    Request {
        id: String::new(),
        arrived: 0,
        dialect: String::new(),
        body: "x".repeat(bytes),
        attachments: Vec::new(),
        settings: String::new(),
        nested: false,
        route: "POST /v1/chat/completions".to_owned(),
        path_parameters: Vec::new(),
        query: Vec::new(),
        seed: String::new(),
        transport: Transport::Http,
        has_store: true,
        loaded: None,
    }
}

#[tokio::test(start_paused = true)]
async fn only_what_is_lately_counts_for_lately() {
    let health = Health::new(Arc::default());
    let anybody = Client::default();
    health.met(None, anybody);
    health.failed(&Fault::TimedOut, anybody, None);
    health.count(anybody);
    tokio::time::advance(Duration::from_secs(40)).await;
    health.met(Some(&Fault::OutOfMemory), anybody);
    health.count(anybody);
    health.met(Some(&Fault::Exhausted(String::new())), anybody);
    assert_eq!(health.lately(Duration::from_secs(60)), lately(2, 2, 2));
    assert_eq!(health.lately(Duration::from_secs(30)), lately(1, 1, 1));
    tokio::time::advance(Duration::from_secs(40)).await;
    assert_eq!(health.lately(Duration::from_secs(60)), lately(1, 1, 1));
    health.forget_lately();
    assert_eq!(health.lately(Duration::from_secs(60)), lately(0, 0, 0));
    let counts = health.counts();
    assert_eq!(counts.requests, 2);
    assert_eq!(counts.faults, [("memory", 1), ("timeout", 1)].into());
}

#[tokio::test(start_paused = true)]
async fn a_fault_counts_once_it_was_examined_and_once_for_each_key() {
    let health = Health::new(Arc::default());
    let [one, other] = [Client::of_key(b"one"), Client::of_key(b"other")];
    for client in [one, one, other] {
        health.failed(&Fault::TimedOut, client, None);
    }
    let window = Duration::from_secs(60);
    assert_eq!(health.lately(window), lately(0, 0, 0));
    let suspects = health.take_suspects();
    assert_eq!(suspects.len(), 3);
    assert!(health.take_suspects().is_empty());
    for suspect in suspects {
        health.count(suspect.client);
        tokio::time::advance(PART).await;
    }
    assert_eq!(health.lately(window), lately(0, 3, 2));
    health.overtaxed(&Fault::OutOfMemory);
    assert_eq!(health.lately(window), lately(0, 3, 2));
    assert_eq!(
        health.counts().faults,
        [("memory", 1), ("timeout", 3)].into()
    );
}

#[test]
fn one_client_leaves_room_for_the_faults_of_others() {
    let [one, other] = [Client::of_key(b"one"), Client::of_key(b"other")];
    for request in [
        None,
        Some(request(1)),
        Some(request(SUSPECT_BYTES / CLIENT_SHARE)),
    ] {
        let health = Health::new(Arc::default());
        let fail = |client| health.failed(&Fault::TimedOut, client, request.as_ref());
        (0..2 * COUNTED).for_each(|_| fail(one));
        fail(other);
        let suspects = health.take_suspects();
        let of = |client| suspects.iter().filter(|it| it.client == client).count();
        let most = match &request {
            None => COUNTED / CLIENT_SHARE,
            Some(request) if request.body.len() == 1 => SUSPECTS / CLIENT_SHARE,
            Some(_) => 1,
        };
        assert_eq!((of(one), of(other)), (most, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn the_record_is_bounded() {
    let health = Health::new(Arc::default());
    for _ in 0..2 * MOMENTS {
        health.met(None, Client::default());
        tokio::time::advance(PART).await;
    }
    assert_eq!(health.lock().recent.len(), MOMENTS);
    assert_eq!(health.counts().requests, 2 * MOMENTS as u64);
    let fail = |bytes| {
        let request = request(bytes);
        health.failed(&Fault::TimedOut, Client::default(), Some(&request));
    };
    fail(SUSPECT_BYTES);
    fail(1);
    assert_eq!(health.take_suspects().len(), 1);
    (0..2 * SUSPECTS).for_each(|_| fail(1));
    assert_eq!(health.take_suspects().len(), SUSPECTS);
}
