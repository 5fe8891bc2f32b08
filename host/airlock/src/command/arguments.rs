//! The command line, as clap sees it. Flags of settings come from the table of settings.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use toml::Value;

use super::{account, codex, policy, tape};
use crate::config::{Config, Flags, SETTINGS, Slot};
use airlock_base::environment::Environment;
use airlock_codex::launch::LAUNCH;
use airlock_policy::compile::child;

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
    -d '{\"model\": \"gpt-5.5\", \"stream\": true, \"messages\": [{\"role\": \"user\", \"content\": \"Hello\"}]}'

Environment:
  AIRLOCK_CONFIG                       the configuration file, as --config
  AIRLOCK_LISTEN, AIRLOCK_API_KEY, AIRLOCK_LIMITS_TURNS, ...
                                       any setting of `airlock config`: AIRLOCK_ and its name, dots as underscores;
                                       lists with commas: AIRLOCK_ALLOWED_HOSTS=box.example,other.example
  CODEX_BIN                            the Codex binary, as --codex-bin
  RUST_LOG                             what is logged to stderr

A flag outweighs the environment, the environment the file, the file the default.";

const SERVE: &str = "\
Examples:
  airlock serve --rehearsal
  airlock serve --codex-home ~/.codex --listen 127.0.0.1:9000
  AIRLOCK_API_KEY=$(openssl rand -hex 24) airlock serve --listen 0.0.0.0:8787
  airlock serve --policy my-policy.wasm --strict

Once the socket is open, one line on stdout says where: `Airlock listens on http://…`. The log goes to stderr.
SIGTERM or Ctrl-C lets running replies end (limits.drain); a second one cuts them.
Without Codex it serves all the same: /readyz and every completion answer 503 and say what to do.";

const CONFIG: &str = "\
Prints the effective configuration as TOML: every key with what it is for, its unit, its default, and whether the
value comes from the file, the environment or a flag. Secrets are masked. The output is a valid configuration file.";

const DOCTOR: &str = "\
Checks what a gateway needs, one line each: ok, warn or fail, and the way out of each fault; the last line counts them.
It starts Codex once and asks for its models, but runs no turn. It connects to the model's server once, and sends it
nothing. A gateway that runs with the same data folder is no fault. The exit code is 1 if any check fails, else 0.

Examples:
  airlock doctor
  airlock doctor --json             {\"ready\", \"ok\", \"warn\", \"fail\", \"checks\": [{\"check\", \"status\", \"message\"}]}
  airlock doctor --protocol         what the installed Codex says of each method and notification that airlock uses
  airlock doctor --protocol --json  the same for programs

With --protocol, one line for each that is as tested, and one for each difference:
  ok        as tested
  added     the tested Codex does not have it, which does no harm
  missing   a method, a field or a value is gone
  retyped   a field is something else
  required  Codex demands a field that airlock does not send
An airlock starts no Codex with a line of the last three; `airlock codex install` installs one that fits.";

/// The whole command line.
pub(super) fn command() -> Command {
    Command::new("airlock")
        .version(env!("CARGO_PKG_VERSION"))
        .about(ABOUT)
        .long_about(LONG_ABOUT)
        .after_help(EXAMPLES)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(options(
            Command::new("serve")
                .about("Serves until it is told to stop")
                .after_help(SERVE),
        ))
        .subcommand(options(
            Command::new("config")
                .about("Prints the effective configuration")
                .after_help(CONFIG),
        ))
        .subcommand(options(
            Command::new("doctor")
                .about("Checks what a gateway needs")
                .arg(
                    Arg::new("protocol")
                        .long("protocol")
                        .action(ArgAction::SetTrue)
                        .help("Compares the installed Codex's protocol with the tested one, and nothing else"),
                )
                .arg(
                    Arg::new("json")
                        .long("json")
                        .action(ArgAction::SetTrue)
                        .help("Prints JSON"),
                )
                .after_help(DOCTOR),
        ))
        .subcommand(codex::command())
        .subcommands(account::commands())
        .subcommand(policy::command())
        .subcommand(tape::command())
        .subcommand(
            Command::new(LAUNCH)
                .hide(true)
                .about("Becomes Codex, and dies with its parent. Only airlock itself uses it")
                .arg(
                    Arg::new("parent")
                        .required(true)
                        .value_parser(value_parser!(i32)),
                )
                .arg(
                    Arg::new("descriptors")
                        .required(true)
                        .value_parser(value_parser!(u64)),
                )
                .arg(
                    Arg::new("command")
                        .required(true)
                        .num_args(1..)
                        .trailing_var_arg(true)
                        .allow_hyphen_values(true)
                        .value_parser(value_parser!(std::ffi::OsString)),
                ),
        )
        .subcommand(compile_policy())
}

fn compile_policy() -> Command {
    let argument = |name: &'static str| Arg::new(name).required(true);
    let number = |name| argument(name).value_parser(value_parser!(u64));
    Command::new(child::COMMAND)
        .hide(true)
        .about("Compiles a policy within limits, and dies with its parent. Only airlock itself uses it")
        .arg(argument("parent").value_parser(value_parser!(i32)))
        .args(["reservation", "memory", "seconds", "nice"].map(number))
}

/// What the flags say.
pub(super) fn flags(matches: &ArgMatches) -> Flags {
    let mut values = Vec::new();
    for setting in SETTINGS.iter().filter(|setting| setting.flag.is_some()) {
        // A switch that is not given has a value too, clap's default, which must not outweigh the file.
        let given =
            matches.value_source(setting.key) == Some(clap::parser::ValueSource::CommandLine);
        let raw = matches.get_raw(setting.key).and_then(|mut raw| raw.next());
        if given {
            let value = raw.map_or_else(
                || "true".to_owned(),
                |raw| raw.to_string_lossy().into_owned(),
            );
            values.push((setting.key, value));
        }
    }
    Flags {
        config: matches.get_one::<PathBuf>("config").cloned(),
        values,
    }
}

/// The flags that all commands share, so that `config` and `doctor` tell of the very `serve` that is meant.
pub(super) fn options(mut command: Command) -> Command {
    // Folders below the user's are shown as people write them.
    let mut sample = Config::defaults(Environment::from_iter([("HOME", "~")]));
    for setting in SETTINGS {
        let Some(flag) = setting.flag else { continue };
        let slot = (setting.slot)(&mut sample);
        let default = match (&slot, slot.show()) {
            // Every switch is off.
            (Slot::Switch(_), _) | (_, None) => String::new(),
            (_, Some(Value::String(text))) => format!(" [default: {text}]"),
            (_, Some(value)) => format!(" [default: {value}]"),
        };
        let argument = Arg::new(setting.key).long(flag).help(format!(
            "{}{default} [env: {}]",
            setting.help,
            setting.variable()
        ));
        command = command.arg(match slot {
            Slot::Switch(_) => argument.action(ArgAction::SetTrue),
            Slot::Address(_) => argument.value_name("IP:PORT"),
            Slot::Policy(_) => argument.value_name("FILE|shipped"),
            Slot::Directory(_) | Slot::Folder(_) => argument.value_name("DIR"),
            _ => argument.value_name("PATH"),
        });
    }
    let file = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf));
    command.arg(file.help("The configuration file. Else ~/.config/airlock/config.toml, if it exists [env: AIRLOCK_CONFIG]"))
}
