//! The allocator of the binary: jemalloc, and its options.

use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// The options that jemalloc reads as it starts (its manual, section TUNING). One arena, because each holds 1 MiB or more of
/// its own and the threads' caches serve nearly all allocations. A background thread returns free memory to the system
/// within seconds, because an idle gateway calls nothing that would, and would keep the memory of its start.
#[expect(unsafe_code, reason = "jemalloc finds its options by this name")]
#[unsafe(export_name = "_rjem_malloc_conf")]
static JEMALLOC_OPTIONS: &u8 =
    &c"narenas:1,background_thread:true,dirty_decay_ms:3000,muzzy_decay_ms:0".to_bytes_with_nul()
        [0];
