//! `fake-codex`: a `codex` that a test plays over a socket, or that answers every turn by itself.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use airlock_tests::fake::{Script, relay, standalone};

/// Its own options come before those that the gateway gives.
#[derive(Default)]
struct Options {
    /// The test's socket. Without it every turn is a burst.
    control: Option<PathBuf>,
    version: Option<String>,
    stubborn: bool,
    no_bundled_models: bool,
    deltas: usize,
    delta_bytes: usize,
    arguments: Vec<String>,
}

fn main() -> ExitCode {
    match run(parse(std::env::args().skip(1))) {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        Err(error) => {
            // A gateway that is gone is the usual cause, and nobody reads this then.
            let _ = writeln!(io::stderr(), "fake-codex: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut words: impl Iterator<Item = String>) -> Options {
    let mut options = Options {
        deltas: 20,
        delta_bytes: 5,
        ..Options::default()
    };
    while let Some(word) = words.next() {
        match word.as_str() {
            "--control" => options.control = words.next().map(PathBuf::from),
            "--print-version" => options.version = words.next(),
            "--stubborn" => options.stubborn = true,
            "--no-bundled-models" => options.no_bundled_models = true,
            "--deltas" => options.deltas = number(words.next(), options.deltas),
            "--delta-bytes" => options.delta_bytes = number(words.next(), options.delta_bytes),
            _ => {
                options.arguments.push(word);
                options.arguments.extend(words);
                break;
            }
        }
    }
    options
}

fn number(word: Option<String>, otherwise: usize) -> usize {
    word.and_then(|word| word.parse().ok()).unwrap_or(otherwise)
}

fn run(options: Options) -> io::Result<i32> {
    if options
        .arguments
        .iter()
        .any(|word| word == "--version" || word == "-V")
    {
        let version = options
            .version
            .unwrap_or_else(|| "codex-cli 0.169.0".to_owned());
        writeln!(io::stdout(), "{version}")?;
        return Ok(0);
    }
    if options.arguments.starts_with(&["debug".to_owned()]) {
        if options.no_bundled_models {
            return Err(io::Error::other("no such command: debug models"));
        }
        // The gateway changes it and gives it back. The fake itself has no use for it.
        writeln!(io::stdout(), r#"{{"models":[{{"slug":"gpt-5.5"}}]}}"#)?;
        return Ok(0);
    }
    if !options.arguments.iter().any(|word| word == "app-server") {
        return Err(io::Error::other(
            "only `app-server`, `debug models` and `--version` are known",
        ));
    }
    match options.control {
        Some(socket) => relay::run(&socket, options.arguments, options.stubborn),
        None => {
            let script =
                Script::new().every_turn(|turn| turn.burst(options.deltas, options.delta_bytes));
            standalone::run(script)
        }
    }
}
