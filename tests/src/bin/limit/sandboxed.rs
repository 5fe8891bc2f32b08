//! The limit with its policy in the least sandbox: the cost of a sandbox for each request, without a gateway. Its allocator is
//! the gateway's, because a sandbox consists of many small allocations.

#[path = "main.rs"]
mod limit;

use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> anyhow::Result<()> {
    limit::main()
}
