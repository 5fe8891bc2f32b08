//! The native cost of the hot functions, in instructions. `make counts` compares it with the baseline.
//!
//! Each function is run once, under Callgrind. Making its arguments and dropping its results are not counted.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    missing_docs,
    reason = "what fails must not be counted, and the harness is generated"
)]

mod inputs;

use std::hint::black_box;

use airlock_shipped_policy::bindings::airlock::policy::types::Request;
use airlock_shipped_policy::bindings::exports::airlock::policy::prompt::Plan;
use airlock_shipped_policy::bindings::exports::airlock::policy::translate::Output;
use airlock_shipped_policy::translate::ReplyTranslator;
use airlock_wire::decode::RpcMessage;
use gungraun::Callgrind;
use gungraun::prelude::*;

#[library_benchmark]
#[bench::delta(inputs::DELTA)]
#[bench::completed_turn(inputs::COMPLETED)]
fn decode(line: &'static [u8]) -> RpcMessage<'static> {
    airlock_wire::decode::line(black_box(line)).unwrap()
}

#[library_benchmark]
#[bench::one_frame(&[inputs::FRAME])]
#[bench::sixteen_frames(&[inputs::FRAME; 16])]
fn encode(frames: &[&str]) -> String {
    inputs::encode(black_box(frames))
}

#[library_benchmark]
#[bench::one_piece(inputs::AROUND)]
fn relay(around: [&'static str; 2]) -> String {
    inputs::relay(black_box(around))
}

#[library_benchmark]
#[bench::four_kib(inputs::request(4 << 10))]
#[bench::one_mib(inputs::request(1 << 20))]
fn render(request: Request) -> (Plan, Request) {
    let plan = inputs::plan(black_box(&request));
    (plan, request)
}

#[library_benchmark]
#[bench::one_event(inputs::reply(1))]
#[bench::sixteen_events(inputs::reply(16))]
#[bench::sixty_four_events(inputs::reply(64))]
fn feed((mut reply, events): inputs::Begun) -> (Output, Box<ReplyTranslator>) {
    let output = reply.feed(black_box(events));
    (output, reply)
}

library_benchmark_group!(
    name = pieces,
    benchmarks = [decode, encode, relay, render, feed]
);

main!(
    // Caches are not simulated: unlike instructions, misses vary between machines.
    config = LibraryBenchmarkConfig::default().tool(Callgrind::with_args(["--cache-sim=no"])),
    library_benchmark_groups = pieces
);
