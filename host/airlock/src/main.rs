//! Arguments in, exit code out, and where memory comes from. The only place that exits or prints.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// What jemalloc reads as it starts (its manual, section TUNING). One arena: each holds memory of its own, 1 MiB and more,
/// and a thread's cache serves nearly all that is asked for. What is free goes back to the system within seconds, by a thread of
/// jemalloc's own: a gateway that is idle frees nothing, and would keep what its start took.
#[expect(unsafe_code, reason = "jemalloc finds its settings by this name")]
#[unsafe(export_name = "_rjem_malloc_conf")]
static SETTINGS: &u8 = &c"narenas:1,background_thread:true,dirty_decay_ms:3000,muzzy_decay_ms:0"
    .to_bytes_with_nul()[0];

fn main() -> ExitCode {
    airlock::command::run(
        std::env::args_os(),
        &mut std::io::stdout(),
        &mut std::io::stderr(),
    )
}
