//! Prints what a store's operations cost their caller, over a file in a folder that is given or temporary:
//!
//!     cargo run --release -p airlock-store --example figures [FOLDER]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a program that measures"
)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use airlock_store::config::{StoreConfig, StoreMode};
use airlock_store::{NewObject, ObjectChange, Owner, SqliteStore, Store, StoredItem};
use futures_util::future::join_all;

/// Replies that are put and ended one after the other.
const REPLIES: usize = 5000;

/// Objects of the chain that is loaded.
const CHAIN: usize = 1000;

/// A response's body, and the text of one of its two items.
const HEAD: usize = 3000;
const ITEM: usize = 600;

fn key(number: usize) -> String {
    format!("resp_{number:032x}")
}

fn items(number: usize, name: &str) -> Vec<StoredItem> {
    vec![StoredItem {
        id: format!("{name}_{number:032x}"),
        text: "x".repeat(ITEM),
    }]
}

fn put(number: usize, continues: bool) -> ObjectChange {
    ObjectChange::Put(NewObject {
        key: key(number),
        format: "airlock.responses.1".to_owned(),
        base: (continues && number > 0).then(|| key(number - 1)),
        head: "x".repeat(HEAD / 2),
        items: items(number, "in"),
        is_running: true,
    })
}

fn end(number: usize) -> ObjectChange {
    ObjectChange::End {
        key: key(number),
        head: "x".repeat(HEAD),
        items: items(number, "out"),
    }
}

fn report(name: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |share: usize| times[(times.len() - 1) * share / 1000];
    println!(
        "{name:<44} p50 {:>9.1?}   p90 {:>9.1?}   p99 {:>9.1?}   max {:>9.1?}   of {}",
        at(500),
        at(900),
        at(990),
        at(1000),
        times.len()
    );
}

async fn timed(future: impl Future) -> Duration {
    let begin = Instant::now();
    future.await;
    begin.elapsed()
}

async fn measure(folder: &Path, mode: StoreMode) {
    let config = StoreConfig {
        mode,
        ..StoreConfig::default()
    };
    let store = SqliteStore::open(folder, &config).unwrap().unwrap();
    let owner = Owner::new("default");
    println!("{mode:?}");

    for number in 0..CHAIN {
        let changes = vec![put(number, true), end(number)];
        store.write(&owner, changes).await.unwrap();
    }
    let mut loads = Vec::new();
    for _ in 0..50 {
        let begin = Instant::now();
        let loaded = store.load(&owner, vec![key(CHAIN - 1)]).await.unwrap();
        loads.push(begin.elapsed());
        assert_eq!(loaded[0].items.len(), 2 * CHAIN);
    }
    report("load a chain of 1,000 objects, 2,000 items", loads);

    let (mut puts, mut ends) = (Vec::new(), Vec::new());
    for number in CHAIN..CHAIN + REPLIES {
        puts.push(timed(store.write(&owner, vec![put(number, false)])).await);
        ends.push(timed(store.write(&owner, vec![end(number)])).await);
    }
    report("put, one after the other", puts);
    report("end, one after the other", ends);

    let mut together = Vec::new();
    let numbers: Vec<usize> = (CHAIN + REPLIES..CHAIN + 2 * REPLIES - 1008).collect();
    for group in numbers.chunks(16) {
        let puts = group.iter().map(|&number| put(number, false));
        store.write(&owner, puts.collect()).await.unwrap();
        let ends = group
            .iter()
            .map(|&number| timed(store.write(&owner, vec![end(number)])));
        together.extend(join_all(ends).await);
    }
    report("end, 16 at once", together);

    let mut lookups = Vec::new();
    for number in 0..CHAIN {
        let id = items(number, "out").remove(0).id;
        lookups.push(timed(store.load_items(&owner, vec![id])).await);
    }
    report("load an item by its identifier", lookups);

    let usage = store.usage().await.unwrap();
    println!(
        "{} objects, {:.1} MiB of {:.0} MiB, {} bytes for each of {} bytes of text\n",
        usage.objects,
        usage.bytes as f64 / f64::from(1 << 20),
        usage.capacity as f64 / f64::from(1 << 20),
        usage.bytes / usage.objects,
        HEAD + 2 * ITEM
    );
    store.close().await.unwrap();
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = std::env::args_os().nth(1).map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| temporary.path().to_owned());
    for mode in [StoreMode::Disk, StoreMode::Memory] {
        measure(&folder, mode).await;
    }
}
