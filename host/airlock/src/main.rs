//! The entry point of the binary.

#[cfg(feature = "jemalloc")]
mod allocator;

use std::process::ExitCode;

fn main() -> ExitCode {
    airlock::command::run(
        std::env::args_os(),
        &mut std::io::stdout(),
        &mut std::io::stderr(),
    )
}
