//! `airlock login`, `airlock logout`, `airlock status`: the account of the running gateway, or else of the home that it
//! would use.

mod login; // signing in
mod report; // the status as text

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Arg, ArgAction, ArgMatches, Command};
use hyper::Method;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::arguments::options;
use super::error::CommandError;
use super::gateway_client::GatewayClient;
use crate::config::Config;
use airlock_base::task::Tasks;
use airlock_codex::Codex;
use airlock_codex::account::status::CodexStatus;
use airlock_codex::account::{Account, SignedOut};
use airlock_codex::launch::Launch;

/// The deadline for ending what was started without a gateway.
const END: Duration = Duration::from_secs(15);

const LOGIN: &str = "\
Examples:
  airlock login                        shows a page and a code; type the code there
  airlock login --takeover             ends a sign-in that somebody else has begun, and begins anew
  airlock login --api-key-stdin < key  signs in with a key of OpenAI's API
  airlock login --tokens-stdin < tokens.json
                                       with ChatGPT tokens from elsewhere: {\"access_token\", \"account_id\", \"plan_type\"};
                                       the gateway keeps them in its memory, so one must run

A gateway that runs with the same configuration takes the login up at once. Where none runs, its Codex home is signed in.
With codex.login = \"shared\" that is the login of your own Codex, too. Ctrl-C cancels.";

const LOGOUT: &str = "\
Examples:
  airlock logout

Forgets external tokens, where there are any; else removes the login. With codex.login = \"shared\" that is the login of
your own Codex, too.";

const STATUS: &str = "\
Examples:
  airlock status
  airlock status --json | jq .logged_in

The exit code is 1 if requests could not be answered. Where no gateway runs, Codex is started once for its report.";

/// The command lines.
pub(super) fn commands() -> [Command; 3] {
    let switch = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .help(help)
            .action(ArgAction::SetTrue)
    };
    let login = Command::new("login")
        .about("Signs Codex in")
        .after_help(LOGIN)
        .arg(
            switch(
                "api-key-stdin",
                "Signs in with the API key on the standard input",
            )
            .conflicts_with("tokens-stdin"),
        )
        .arg(switch(
            "tokens-stdin",
            "Signs a running gateway in with the ChatGPT tokens on the standard input, as JSON",
        ))
        .arg(switch("takeover", "Ends a sign-in that is under way"));
    let logout = Command::new("logout")
        .about("Signs Codex out")
        .after_help(LOGOUT);
    let status = Command::new("status")
        .about("Shows Codex, its login, what is used of its plan, and its processes")
        .after_help(STATUS)
        .arg(switch("json", "Prints JSON"));
    [login, logout, status].map(options)
}

/// Runs `airlock login`.
pub(super) fn login(
    runtime: &Runtime,
    config: &Config,
    matches: &ArgMatches,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<ExitCode, CommandError> {
    let options = login::LoginOptions::of(matches).map_err(CommandError::Usage)?;
    let done = runtime.block_on(login::run(config, options, out, err));
    done.map_err(CommandError::Failure)
}

/// Runs `airlock logout`.
pub(super) fn logout(
    runtime: &Runtime,
    config: &Config,
    out: &mut dyn Write,
) -> Result<ExitCode, CommandError> {
    let message = runtime
        .block_on(signed_out(config))
        .map_err(CommandError::Failure)?;
    writeln!(out, "{message}")?;
    Ok(ExitCode::SUCCESS)
}

async fn signed_out(config: &Config) -> anyhow::Result<String> {
    if let Some(client) = running(config).await? {
        let answer = client.call(Method::POST, "/api/codex/logout", None).await?;
        let message = answer.get("message").and_then(Value::as_str);
        return Ok(message.unwrap_or("Signed out.").to_owned());
    }
    let local = LocalAccount::prepare(config)?;
    let out = local.account().sign_out().await;
    local.end().await;
    Ok(match out? {
        SignedOut::SharedLogin => {
            "Signed out. The login was shared with your own Codex, which is signed out too."
        }
        SignedOut::Login => "Signed out.",
        SignedOut::Tokens => {
            "Nobody was signed out: a gateway of this configuration has its tokens from codex.token_command or codex.token_url."
        }
        SignedOut::Nobody => "Nobody was signed in.",
    }
    .to_owned())
}

/// Runs `airlock status`.
pub(super) fn status(
    runtime: &Runtime,
    config: &Config,
    matches: &ArgMatches,
    out: &mut dyn Write,
) -> Result<ExitCode, CommandError> {
    let (gateway, status, fleet) = runtime
        .block_on(query(config))
        .map_err(CommandError::Failure)?;
    if matches.get_flag("json") {
        let mut whole =
            serde_json::to_value(&status).map_err(|error| CommandError::Failure(error.into()))?;
        whole["gateway"] = json!(gateway);
        whole["fleet"] = fleet;
        writeln!(out, "{whole:#}")?;
    } else {
        let sign_in = config.command("login");
        report::write(gateway.as_deref(), &status, &sign_in, out)?;
        report::fleet(&fleet, out)?;
    }
    Ok(ExitCode::from(u8::from(status.problem.is_some())))
}

/// The origin of a running gateway, its status and its children; or the status of a Codex started for this.
async fn query(config: &Config) -> anyhow::Result<(Option<String>, CodexStatus, Value)> {
    if let Some(client) = running(config).await? {
        let answer = client.call(Method::GET, "/api/codex/status", None).await?;
        let status = serde_json::from_value(answer);
        let status = status.context("the gateway is of another version than this command")?;
        let fleet = client.call(Method::GET, "/admin/fleet", None).await;
        return Ok((Some(client.origin()), status, fleet.unwrap_or_default()));
    }
    let tasks = Tasks::default();
    let model = match config.server.rehearsal {
        true => Some(airlock_rehearsal::start(&tasks).await?.base_url),
        false => None,
    };
    let launch = Launch::prepare(&config.codex, config.command("login"), model.as_deref())?;
    let codex = Codex::start(&config.codex, launch, &tasks);
    // The status has the problem, if there is one.
    let _ = codex.wait_ready().await;
    let status = codex.status().await;
    let _ = timeout(END, tasks.stop()).await;
    Ok((None, status, Value::Null))
}

/// A client of this configuration's gateway, if it is running.
///
/// # Errors
/// Another program listens there, which must receive no key.
async fn running(config: &Config) -> anyhow::Result<Option<GatewayClient>> {
    let Ok(client) = GatewayClient::new(config) else {
        return Ok(None);
    };
    Ok(client.is_listening().await?.then_some(client))
}

/// The account of the home that a gateway of this configuration would use.
struct LocalAccount {
    account: Account,
    tasks: Tasks,
}

impl LocalAccount {
    fn prepare(config: &Config) -> anyhow::Result<Self> {
        anyhow::ensure!(
            !config.server.rehearsal,
            "a rehearsal's scripted model needs no login"
        );
        let tasks = Tasks::default();
        let launch = Launch::prepare(&config.codex, config.command("login"), None)?;
        let account = Account::new(&config.codex, launch, &tasks);
        Ok(Self { account, tasks })
    }

    fn account(&self) -> &Account {
        &self.account
    }

    /// Stops all tasks, and waits for their end.
    async fn end(self) {
        let _ = timeout(END, self.tasks.stop()).await;
    }
}
