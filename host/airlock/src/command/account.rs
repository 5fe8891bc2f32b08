//! `airlock login`, `airlock logout`, `airlock status`: the account of a gateway that runs, or of the home that one would
//! have.

mod login; // signing in
mod report; // what there is, for people

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Arg, ArgAction, ArgMatches, Command};
use hyper::Method;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::Stop;
use super::arguments::options;
use super::remote::Remote;
use crate::config::Config;
use airlock_base::task::Tasks;
use airlock_codex::Codex;
use airlock_codex::account::status::CodexStatus;
use airlock_codex::account::{Account, SignedOut};
use airlock_codex::launch::Launch;

/// How long what was begun without a gateway may take to end.
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

The exit code is 1 where requests could not be answered. Where no gateway runs, Codex is started once to be asked.";

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
) -> Result<ExitCode, Stop> {
    let way = login::Way::of(matches).map_err(Stop::Usage)?;
    let done = runtime.block_on(login::run(config, way, out, err));
    done.map_err(Stop::Failure)
}

/// Runs `airlock logout`.
pub(super) fn logout(
    runtime: &Runtime,
    config: &Config,
    out: &mut dyn Write,
) -> Result<ExitCode, Stop> {
    let said = runtime
        .block_on(signed_out(config))
        .map_err(Stop::Failure)?;
    writeln!(out, "{said}")?;
    Ok(ExitCode::SUCCESS)
}

async fn signed_out(config: &Config) -> anyhow::Result<String> {
    if let Some(remote) = running(config).await? {
        let answer = remote.call(Method::POST, "/api/codex/logout", None).await?;
        let message = answer.get("message").and_then(Value::as_str);
        return Ok(message.unwrap_or("Signed out.").to_owned());
    }
    let here = Here::prepare(config)?;
    let out = here.account().sign_out().await;
    here.end().await;
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
) -> Result<ExitCode, Stop> {
    let (gateway, status, fleet) = runtime.block_on(query(config)).map_err(Stop::Failure)?;
    if matches.get_flag("json") {
        let mut whole =
            serde_json::to_value(&status).map_err(|error| Stop::Failure(error.into()))?;
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

/// Where a gateway runs, what it says, and its children; or what there is without one.
async fn query(config: &Config) -> anyhow::Result<(Option<String>, CodexStatus, Value)> {
    if let Some(remote) = running(config).await? {
        let answer = remote.call(Method::GET, "/api/codex/status", None).await?;
        let status = serde_json::from_value(answer);
        let status = status.context("the gateway is of another version than this command")?;
        let fleet = remote.call(Method::GET, "/admin/fleet", None).await;
        return Ok((Some(remote.origin()), status, fleet.unwrap_or_default()));
    }
    let tasks = Tasks::default();
    let model = match config.server.rehearsal {
        true => Some(airlock_rehearsal::start(&tasks).await?.base_url),
        false => None,
    };
    let launch = Launch::prepare(&config.codex, config.command("login"), model.as_deref())?;
    let codex = Codex::start(&config.codex, launch, &tasks);
    // What stands in the way is a part of the answer.
    let _ = codex.wait_ready().await;
    let status = codex.status().await;
    let _ = timeout(END, tasks.stop()).await;
    Ok((None, status, Value::Null))
}

/// The gateway of this configuration, where one listens.
///
/// # Errors
/// Something else listens there, which must hear no key.
async fn running(config: &Config) -> anyhow::Result<Option<Remote>> {
    let Ok(remote) = Remote::reached(config) else {
        return Ok(None);
    };
    Ok(remote.listens().await?.then_some(remote))
}

/// The account of the home that a gateway of this configuration would have.
struct Here {
    account: Account,
    tasks: Tasks,
}

impl Here {
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

    /// Waits until all that was begun has ended.
    async fn end(self) {
        let _ = timeout(END, self.tasks.stop()).await;
    }
}
