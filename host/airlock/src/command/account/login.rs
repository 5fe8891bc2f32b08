//! `airlock login`: shows the steps of a sign-in, and waits until it is done.

use std::io::{Read as _, Write};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use clap::ArgMatches;
use hyper::Method;
use serde_json::{Value, json};

use super::{LocalAccount, running};
use crate::command::gateway_client::EventStream;
use crate::command::serve::StopSignals;
use crate::config::Config;
use airlock_base::clock;
use airlock_base::secrets::Secret;
use airlock_codex::account::request::SignInRequest;
use airlock_codex::account::{ChatGptTokens, SignInEvent, SignInRefusal, SignInStream};

/// Bytes of the standard input that are read.
const INPUT: u64 = 64 << 10;

/// The exit code after Ctrl-C, by the convention of shells.
const INTERRUPTED: u8 = 130;

/// A sign-in as requested on the command line.
pub(super) struct LoginOptions {
    method: LoginMethod,
    takeover: bool,
}

enum LoginMethod {
    DeviceCode,
    ApiKey(Secret),
    Tokens(Value),
}

/// The events of a sign-in in a gateway, or in this process.
enum LoginEvents {
    Gateway(EventStream),
    LocalAccount(LocalAccount, SignInStream),
}

impl LoginOptions {
    /// Reads the arguments, and the standard input where they name it.
    pub(super) fn of(matches: &ArgMatches) -> anyhow::Result<Self> {
        let method = if matches.get_flag("api-key-stdin") {
            let key = read()?;
            SignInRequest::api_key(&key)
                .map_err(|fault| anyhow!("the standard input: {}", fault.message))?;
            LoginMethod::ApiKey(Secret::new(key.trim()))
        } else if matches.get_flag("tokens-stdin") {
            LoginMethod::Tokens(tokens(&read()?)?)
        } else {
            LoginMethod::DeviceCode
        };
        Ok(Self {
            method,
            takeover: matches.get_flag("takeover"),
        })
    }

    fn body(&self) -> Value {
        let mut body = match &self.method {
            LoginMethod::DeviceCode => json!({ "type": "device_code" }),
            LoginMethod::ApiKey(key) => json!({ "type": "api_key", "api_key": key.expose() }),
            LoginMethod::Tokens(tokens) => tokens.clone(),
        };
        body["takeover"] = self.takeover.into();
        body
    }
}

fn read() -> anyhow::Result<String> {
    let mut text = String::new();
    let read = std::io::stdin().take(INPUT).read_to_string(&mut text);
    read.context("cannot read the standard input")?;
    Ok(text)
}

/// The body of a request with these tokens, whose members may have either spelling.
fn tokens(text: &str) -> anyhow::Result<Value> {
    // The parser's error could quote a token.
    let Ok(Value::Object(members)) = serde_json::from_str(text) else {
        bail!("the standard input is not a JSON object");
    };
    let find = |names: [&str; 3]| {
        let found = names.iter().find_map(|name| members.get(*name)?.as_str());
        found.map(str::to_owned)
    };
    let access = find(["access_token", "accessToken", "token"])
        .context("the standard input has no access_token")?;
    let account = find(["account_id", "chatgptAccountId", "chatgpt_account_id"]);
    let plan = find(["plan_type", "chatgptPlanType", "chatgpt_plan_type"]);
    ChatGptTokens::new(&access, account.as_deref(), plan.as_deref())
        .map_err(|fault| anyhow!("the standard input: {}", fault.message))?;
    Ok(json!({
        "type": "chatgpt_tokens", "access_token": access, "account_id": account, "plan_type": plan,
    }))
}

/// Signs in. The steps for the user go to `out`, progress to `err`.
pub(super) async fn run(
    config: &Config,
    options: LoginOptions,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    let mut stop = StopSignals::listen().context("cannot listen to signals")?;
    let mut source = tokio::select! {
        source = begin(config, options) => source?,
        () = stop.next() => return Ok(ExitCode::from(INTERRUPTED)),
    };
    let outcome = loop {
        let event = tokio::select! {
            event = source.next() => event,
            () = stop.next() => break Ok(ExitCode::from(INTERRUPTED)),
        };
        match event {
            Ok(Some(event)) => {
                if let Some(outcome) = show(event, out, err)? {
                    break outcome;
                }
            }
            Ok(None) => break Err(anyhow!("the gateway has ended")),
            Err(error) => break Err(error),
        }
    };
    source.end().await;
    outcome
}

async fn begin(config: &Config, options: LoginOptions) -> anyhow::Result<LoginEvents> {
    if let Some(client) = running(config).await? {
        let body = Some(options.body());
        let events = client.stream(Method::POST, "/api/codex/login", body).await;
        return Ok(LoginEvents::Gateway(events?));
    }
    let sign_in = match options.method {
        LoginMethod::DeviceCode => SignInRequest::DeviceCode,
        LoginMethod::ApiKey(key) => SignInRequest::ApiKey(key),
        LoginMethod::Tokens(_) => bail!(
            "no gateway listens on {}, and tokens are kept in a gateway's memory alone: start it with `airlock serve`",
            config.server.listen
        ),
    };
    let here = LocalAccount::prepare(config)?;
    match here.account().sign_in(sign_in, options.takeover).await {
        Ok(flow) => Ok(LoginEvents::LocalAccount(here, flow)),
        Err(
            SignInRefusal::InProgress | SignInRefusal::ExternalTokens | SignInRefusal::Rehearsal,
        ) => {
            bail!("a sign-in is under way already")
        }
    }
}

/// Shows an event. The last event returns the command's outcome.
fn show(
    event: SignInEvent,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> std::io::Result<Option<anyhow::Result<ExitCode>>> {
    match event {
        SignInEvent::DeviceCode { url, code, expires } => {
            let until = clock::utc(expires.saturating_mul(1000));
            writeln!(
                out,
                "Open    {url}\nType    {code}\nBefore  {until}. Ctrl-C cancels."
            )?;
            out.flush()?;
            Ok(None)
        }
        SignInEvent::Log { message } => {
            writeln!(err, "{message}")?;
            Ok(None)
        }
        SignInEvent::Done { auth_mode, plan } => {
            let mode = auth_mode.unwrap_or_default();
            match plan {
                Some(plan) => writeln!(out, "Signed in: {mode}, {plan}")?,
                None => writeln!(out, "Signed in: {mode}")?,
            }
            Ok(Some(Ok(ExitCode::SUCCESS)))
        }
        SignInEvent::Error { message, .. } => Ok(Some(Err(anyhow!(message)))),
    }
}

impl LoginEvents {
    async fn next(&mut self) -> anyhow::Result<Option<SignInEvent>> {
        match self {
            Self::Gateway(events) => events.next().await,
            Self::LocalAccount(_, flow) => Ok(flow.next().await),
        }
    }

    /// Ends the sign-in, and waits for its tasks.
    async fn end(self) {
        match self {
            Self::Gateway(events) => drop(events),
            Self::LocalAccount(here, flow) => {
                drop(flow);
                here.end().await;
            }
        }
    }
}
