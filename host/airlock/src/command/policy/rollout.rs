//! `airlock policy activate`, `rollback`, `canary` and `shadow`: which policy a running gateway serves with.

use std::io::Write;
use std::process::ExitCode;

use anyhow::anyhow;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use hyper::Method;
use serde_json::{Value, json};

use super::list::short;
use crate::command::arguments;
use crate::command::error::CommandError;
use crate::command::gateway_client::GatewayClient;
use crate::command::terminal::escaped;
use airlock_policy::is_name;

pub(super) const ACTIVATE: &str = "activate";
pub(super) const ROLLBACK: &str = "rollback";
pub(super) const CANARY: &str = "canary";
pub(super) const SHADOW: &str = "shadow";

const ACTIVATE_HELP: &str = "\
Examples:
  airlock policy activate redact              redact.wasm of the folder DATA_DIR/policies
  airlock policy activate redact@3fa91c       the build whose SHA-256 begins so, also one that was active before
  airlock policy activate shipped             the one inside the gateway

The build is compiled, checked and tried out first; if it cannot serve, nothing changes. Requests that run end on the
policy that they began with.";

const ROLLBACK_HELP: &str = "\
Returns to the policy that was active before the current one, as `airlock policy list` shows them.";

const CANARY_HELP: &str = "\
Examples:
  airlock policy canary redact --percent 5    5 of 100 new requests; a client's own X-Request-ID always goes the same way
  airlock policy canary --end
  airlock policy activate redact              makes it the active one, which ends the canary

A canary that fails too often (rollback.*) is ended by itself.";

const SHADOW_HELP: &str = "\
Examples:
  airlock policy shadow redact                is shown what the active policy is, and compared with it
  airlock policy list                         what differed
  airlock policy shadow --end

The output of a shadow is discarded. No client receives it or waits for it.";

/// The command lines of these commands.
pub(super) fn commands() -> [Command; 4] {
    let build = || Arg::new("build").value_name("NAME[@DIGEST]");
    let by = Arg::new("by")
        .long("by")
        .value_name("NAME")
        .help("Who does it, for the history [default: $USER]");
    let end = || Arg::new("end").long("end").action(ArgAction::SetTrue);
    let or_end = || {
        build()
            .required_unless_present("end")
            .conflicts_with("end")
            .help("The policy, and the first digits of its digest where the name is not enough")
    };
    let percent = Arg::new("percent")
        .long("percent")
        .value_name("N")
        .value_parser(value_parser!(f64))
        .required_unless_present("end")
        .conflicts_with("end")
        .help("Of 100 new requests");
    [
        Command::new(ACTIVATE)
            .about("Makes a policy the active one")
            .after_help(ACTIVATE_HELP)
            .arg(build().required(true).help(
                "The policy, and the first digits of its digest where the name is not enough",
            ))
            .arg(by.clone()),
        Command::new(ROLLBACK)
            .about("Returns to the policy that was active before")
            .after_help(ROLLBACK_HELP)
            .arg(by),
        Command::new(CANARY)
            .about("Has a policy serve some of the requests")
            .after_help(CANARY_HELP)
            .args([or_end(), percent, end().help("Ends the canary")]),
        Command::new(SHADOW)
            .about("Has a policy run beside the active one, unseen")
            .after_help(SHADOW_HELP)
            .args([or_end(), end().help("Ends the shadow")]),
    ]
    .map(arguments::options)
}

pub(super) fn activate(
    matches: &ArgMatches,
    out: &mut dyn Write,
) -> Result<ExitCode, CommandError> {
    let (name, digest) = build(matches)?;
    let client = GatewayClient::from_arguments(matches)?;
    let body = json!({ "digest": digest, "by": by(matches, &client) });
    let path = format!("/admin/policies/{name}/active");
    let activation = client.call_blocking(Method::PUT, &path, Some(body))?;
    write_activation(&activation, out)
}

pub(super) fn rollback(
    matches: &ArgMatches,
    out: &mut dyn Write,
) -> Result<ExitCode, CommandError> {
    let client = GatewayClient::from_arguments(matches)?;
    let body = json!({ "by": by(matches, &client) });
    let activation = client.call_blocking(Method::POST, "/admin/policies/rollback", Some(body))?;
    write_activation(&activation, out)
}

pub(super) fn canary(matches: &ArgMatches, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
    let percent = matches.get_one::<f64>("percent").copied();
    if percent.is_some_and(|percent| !(0.0..=100.0).contains(&percent)) {
        return Err(CommandError::Usage(anyhow!(
            "--percent must be from 0 to 100"
        )));
    }
    let more = percent.map(|percent| format!(" serves {percent} of 100 new requests"));
    role(matches, CANARY, percent, &more.unwrap_or_default(), out)
}

pub(super) fn shadow(matches: &ArgMatches, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
    let more = " runs beside the active policy; `airlock policy list` shows what differs";
    role(matches, SHADOW, None, more, out)
}

/// Gives a role to a build, or ends the role.
fn role(
    matches: &ArgMatches,
    role: &str,
    percent: Option<f64>,
    does: &str,
    out: &mut dyn Write,
) -> Result<ExitCode, CommandError> {
    let path = format!("/admin/rollout/{role}");
    if matches.get_flag("end") {
        GatewayClient::from_arguments(matches)?.call_blocking(Method::DELETE, &path, None)?;
        writeln!(out, "The {role} has ended.")?;
        return Ok(ExitCode::SUCCESS);
    }
    let (name, digest) = build(matches)?;
    let mut body = json!({ "name": name, "digest": digest });
    if let (Some(percent), Some(members)) = (percent, body.as_object_mut()) {
        members.insert("percent".to_owned(), percent.into());
    }
    let begun =
        GatewayClient::from_arguments(matches)?.call_blocking(Method::PUT, &path, Some(body))?;
    writeln!(out, "Release {} ({name}){does}.", begun["release"])?;
    Ok(ExitCode::SUCCESS)
}

/// The build that is named: `NAME` or `NAME@DIGEST`.
fn build(matches: &ArgMatches) -> Result<(String, Option<String>), CommandError> {
    let given = matches
        .get_one::<String>("build")
        .map_or("", String::as_str);
    let (name, digest) = match given.split_once('@') {
        Some((name, digest)) => (name, Some(digest.to_owned())),
        None => (given, None),
    };
    if is_name(name) {
        return Ok((name.to_owned(), digest));
    }
    Err(CommandError::Usage(anyhow!(
        "{given:?} names no policy: a name is of a-z, 0-9, - and _, as the file's in DATA_DIR/policies without .wasm"
    )))
}

fn by(matches: &ArgMatches, client: &GatewayClient) -> Option<String> {
    let given = matches.get_one::<String>("by").cloned();
    given.or_else(|| client.user.clone())
}

/// Writes the activation.
fn write_activation(activation: &Value, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
    let text = |member: &str| escaped(activation[member].as_str().unwrap_or_default()).into_owned();
    writeln!(
        out,
        "Active: release {}, {}@{}.",
        activation["release"],
        text("name"),
        short(&text("digest")),
    )?;
    Ok(ExitCode::SUCCESS)
}
