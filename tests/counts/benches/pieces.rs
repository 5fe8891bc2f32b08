//! The native cost of the hot functions, in time: `cargo bench -p airlock-counts`.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "what fails must not be measured, and the harness is generated"
)]

mod inputs;

use std::hint::black_box;

use airlock_shipped_policy::bindings::airlock::policy::types::Event;
use airlock_shipped_policy::translate::ReplyTranslator;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

/// Calls of a reply in one round, so that its beginning does not count.
const CALLS: usize = 60;

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    for (name, line) in [
        ("delta", inputs::DELTA),
        ("completed turn", inputs::COMPLETED),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| airlock_wire::decode::line(black_box(line)).unwrap());
        });
    }
}

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    let frames = [inputs::FRAME; 16];
    for count in [1, 16] {
        group.bench_function(BenchmarkId::new("frames", count), |bencher| {
            bencher.iter(|| inputs::encode(black_box(&frames[..count])));
        });
    }
}

fn relay(criterion: &mut Criterion) {
    criterion.bench_function("relay/piece", |bencher| {
        bencher.iter(|| inputs::relay(black_box(inputs::AROUND)));
    });
}

fn render(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("render");
    for (name, bytes) in [("4 KiB", 4 << 10), ("1 MiB", 1 << 20)] {
        let request = inputs::request(bytes);
        group.throughput(Throughput::Bytes(request.body.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| airlock_shipped_policy::prompt::render(black_box(&request)).unwrap());
        });
    }
}

fn feed(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("feed");
    for count in [1, 16, 64] {
        group.throughput(Throughput::Elements((count * CALLS) as u64));
        let name = format!("{CALLS} calls by {count} events");
        group.bench_function(name, |bencher| {
            let setup = || {
                let (reply, events) = inputs::reply(count);
                (reply, vec![events; CALLS])
            };
            let routine = |(reply, batches): &mut (Box<ReplyTranslator>, Vec<Vec<Event>>)| {
                for events in batches.drain(..) {
                    black_box(reply.feed(events));
                }
            };
            bencher.iter_batched_ref(setup, routine, BatchSize::SmallInput);
        });
    }
}

criterion_group!(pieces, decode, encode, relay, render, feed);
criterion_main!(pieces);
