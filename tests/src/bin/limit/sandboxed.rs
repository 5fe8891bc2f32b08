//! The limit with its policy in the least sandbox: what a sandbox for each request costs before a gateway does anything
//! else. Its allocator is the gateway's, for a sandbox is made of many small things.

#[path = "main.rs"]
mod limit;

use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> anyhow::Result<()> {
    limit::main()
}
