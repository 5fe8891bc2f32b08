//! The whole command line, put together from those of the commands.

use clap::Command;

use super::{account, arguments, codex, compile_policy, doctor, exec_codex, policy, serve, tape};

/// The version, with the commit that the build script found: `0.1.0 (1a2b3c4d5e6f)`.
const VERSION: &str = env!("AIRLOCK_VERSION");

const ABOUT: &str = "A gateway between OpenAI's HTTP dialects and the Codex CLI";

const LONG_ABOUT: &str = "\
A gateway between OpenAI's HTTP dialects and the Codex CLI. It runs `codex app-server` as its child, \
answers OpenAI's SDKs over HTTP, and lets a sandboxed WebAssembly policy choose every word in between.";

const EXAMPLES: &str = "\
Examples:
  airlock serve --rehearsal            try it: no account, no network, no cost
  airlock serve                        with the login of your own Codex
  airlock codex install                the Codex that airlock is tested with, into its data directory
  airlock login                        sign in to ChatGPT with a code, while it serves or not
  airlock status                       is Codex there, who is signed in, what is used of the plan
  airlock doctor                       what is missing, and how to get it
  airlock config > airlock.toml        every setting with its unit and default, to start a file from
  airlock policy new brief             a policy of your own to start from
  airlock policy check my-policy.wasm  is it fit to serve?
  airlock tape record                  requests of a running gateway, to play again

A request:
  curl http://127.0.0.1:8787/v1/chat/completions -H 'content-type: application/json' \\
    -d '{\"model\": \"gpt-5.5\", \"stream\": true, \"messages\": [{\"role\": \"user\", \"content\": \"Listener\"}]}'

Environment:
  AIRLOCK_CONFIG                       the configuration file, as --config
  AIRLOCK_LISTEN, AIRLOCK_API_KEY, AIRLOCK_LIMITS_TURNS, ...
                                       any setting of `airlock config`: AIRLOCK_ and its name, dots as underscores;
                                       lists with commas: AIRLOCK_ALLOWED_HOSTS=box.example,other.example
  CODEX_BIN                            the Codex binary, as --codex-bin
  RUST_LOG                             what is logged to stderr

A flag outweighs the environment, the environment the file, the file the default.";

const CONFIG: &str = "\
Prints the effective configuration as TOML: every key with what it is for, its unit, its default, and whether the
value comes from the file, the environment or a flag. Secrets are masked. The output is a valid configuration file.";

/// The whole command line.
pub(super) fn command() -> Command {
    Command::new("airlock")
        .version(VERSION)
        .about(ABOUT)
        .long_about(LONG_ABOUT)
        .after_help(EXAMPLES)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(serve::command())
        .subcommand(config())
        .subcommand(doctor::command())
        .subcommand(codex::command())
        .subcommands(account::commands())
        .subcommand(policy::command())
        .subcommand(tape::command())
        .subcommand(exec_codex::command())
        .subcommand(compile_policy::command())
}

fn config() -> Command {
    let config = Command::new("config")
        .about("Prints the effective configuration")
        .after_help(CONFIG);
    arguments::options(config)
}
