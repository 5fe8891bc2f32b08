//! Arguments in, exit code out. The only place that exits or prints.

use std::process::ExitCode;

fn main() -> ExitCode {
    airlock::command::run(
        std::env::args_os(),
        &mut std::io::stdout(),
        &mut std::io::stderr(),
    )
}
