//! What the shipped policy costs in its sandbox, in time: `cargo bench -p airlock`.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "what fails must not be measured, and the harness is generated"
)]

use airlock::bench_support::{EVENTS, ShippedPolicy};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

fn sandbox(criterion: &mut Criterion) {
    let shipped = ShippedPolicy::load().unwrap();
    let mut group = criterion.benchmark_group("sandbox");
    group.bench_function("instantiate", |bencher| {
        bencher.iter_custom(|rounds| shipped.instantiate(rounds).unwrap());
    });
    for (name, bytes) in [("4 KiB", 4 << 10), ("1 MiB", 1 << 20)] {
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(BenchmarkId::new("render", name), |bencher| {
            bencher.iter_custom(|rounds| shipped.render(bytes, rounds).unwrap());
        });
    }
    for batch in [1, 16, 64] {
        group.throughput(Throughput::Elements(EVENTS as u64));
        let name = format!("feed {EVENTS} events by");
        group.bench_function(BenchmarkId::new(name, batch), |bencher| {
            bencher.iter_custom(|rounds| shipped.feed(batch, rounds).unwrap());
        });
    }
    group.finish();
}

criterion_group!(benches, sandbox);
criterion_main!(benches);
