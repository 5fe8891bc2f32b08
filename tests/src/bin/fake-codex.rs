//! `fake-codex`: a `codex` that a test drives over a socket, or that answers every turn by itself.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use airlock_tests::fake::{Protocol, relay, standalone};
use serde_json::json;

/// The program's own options, which precede those of the gateway.
#[derive(Default)]
struct Options {
    /// The test's socket. Without it, every turn plays the load in its input.
    control: Option<PathBuf>,
    version: Option<String>,
    stubborn: bool,
    no_bundled_models: bool,
    /// The file to export as the protocol's schema, in place of the tested one.
    schema: Option<PathBuf>,
    no_schema: bool,
    arguments: Vec<String>,
}

fn main() -> ExitCode {
    match run(parse(std::env::args().skip(1))) {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        Err(error) => {
            // The usual cause is a gateway that has exited, and then nobody reads this.
            let _ = writeln!(io::stderr(), "fake-codex: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut words: impl Iterator<Item = String>) -> Options {
    let mut options = Options::default();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--control" => options.control = words.next().map(PathBuf::from),
            "--print-version" => options.version = words.next(),
            "--stubborn" => options.stubborn = true,
            "--no-bundled-models" => options.no_bundled_models = true,
            "--schema" => options.schema = words.next().map(PathBuf::from),
            "--no-schema" => options.no_schema = true,
            _ => {
                options.arguments.push(word);
                options.arguments.extend(words);
                break;
            }
        }
    }
    options
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
        // The gateway changes the catalogue and passes it back. The fake does not use it.
        let models = json!([
            {"slug": "gpt-6.1-sol", "visibility": "list", "tool_mode": "code_mode_only"},
            {"slug": "gpt-5.5", "visibility": "list"},
        ]);
        writeln!(io::stdout(), "{}", json!({ "models": models }))?;
        return Ok(0);
    }
    if options
        .arguments
        .iter()
        .any(|word| word == "generate-json-schema")
    {
        return write_schema(&options);
    }
    if !options.arguments.iter().any(|word| word == "app-server") {
        return Err(io::Error::other(
            "only `app-server`, `app-server generate-json-schema`, `debug models` and `--version` are known",
        ));
    }
    match options.control {
        Some(socket) => relay::run(&socket, options.arguments, options.stubborn),
        None => standalone::run(),
    }
}

/// `generate-json-schema --out DIR`: writes the one of Codex's files that contains the whole schema.
fn write_schema(options: &Options) -> io::Result<i32> {
    let mut words = options.arguments.iter().skip_while(|word| *word != "--out");
    let folder = words
        .nth(1)
        .ok_or_else(|| io::Error::other("--out is missing"))?;
    if options.no_schema {
        return Err(io::Error::other("no such command: generate-json-schema"));
    }
    let schema = match &options.schema {
        Some(file) => fs::read_to_string(file)?,
        None => Protocol::tested().schema().to_string(),
    };
    let file = Path::new(folder).join("codex_app_server_protocol.schemas.json");
    fs::write(file, schema)?;
    Ok(0)
}
