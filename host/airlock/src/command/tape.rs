//! `airlock tape record`: has the running gateway record its next requests.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command, value_parser};
use hyper::Method;
use serde_json::{Value, json};

use super::arguments::options;
use super::error::CommandError;
use super::gateway_client::GatewayClient;

const EXAMPLES: &str = "\
Examples:
  airlock tape record                            the next 10 requests, for at most a minute
  airlock tape record --requests 100 --seconds 600
  airlock policy replay ~/.local/share/airlock/tapes --policy shipped --against my-policy.wasm

A tape holds what a policy received for one request: the request, and the events of its turns in their batches, each with
its time. What looks like a secret is overwritten, but a tape still holds questions and answers: treat it as you treat
your logs. The gateway must run with an admin_key, and this command needs the same one.";

/// The command line of `airlock tape`.
pub(super) fn command() -> Command {
    let number = |name: &'static str, most: u64| {
        Arg::new(name)
            .long(name)
            .value_name("N")
            .value_parser(value_parser!(u64).range(1..=most))
    };
    let record = Command::new("record")
        .about("Records the next requests")
        .after_help(EXAMPLES)
        .arg(
            number("requests", 1000)
                .default_value("10")
                .help("How many requests, from 1 to 1000"),
        )
        .arg(
            number("seconds", 3600)
                .default_value("60")
                .help("For how many seconds at most, from 1 to 3600"),
        );
    Command::new("tape")
        .about("Records requests of a running gateway")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(options(record))
}

/// Runs `airlock tape …`.
pub(super) fn run(matches: &ArgMatches, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
    let Some((_, matches)) = matches.subcommand() else {
        return Err(CommandError::Usage(anyhow::anyhow!(
            "no such command; see `airlock tape --help`"
        )));
    };
    let number = |name| matches.get_one::<u64>(name).copied().unwrap_or(1);
    let (requests, seconds) = (number("requests"), number("seconds"));
    let wanted = json!({"requests": requests, "seconds": seconds});
    let report = GatewayClient::from_arguments(matches)?.call_blocking(
        Method::POST,
        "/admin/tapes",
        Some(wanted),
    )?;
    write_instructions(&report, requests, seconds, out)?;
    Ok(ExitCode::SUCCESS)
}

fn write_instructions(
    report: &Value,
    requests: u64,
    seconds: u64,
    out: &mut dyn Write,
) -> io::Result<()> {
    let folder = report
        .get("folder")
        .and_then(Value::as_str)
        .unwrap_or("the gateway's folder `tapes`");
    writeln!(
        out,
        "Recording the next {requests} requests, for at most {seconds} s, to {folder}"
    )?;
    writeln!(out, "To play them:")?;
    writeln!(out, "  airlock policy replay {folder} --policy shipped")?;
    writeln!(
        out,
        "  airlock policy replay {folder} --policy shipped --against FILE"
    )
}
