//! `airlock login`: shows what a person must do, and waits until it is done.

use std::io::{Read as _, Write};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use clap::ArgMatches;
use hyper::Method;
use serde_json::{Value, json};

use super::{Here, running};
use crate::command::remote::Events;
use crate::command::serve::Stops;
use crate::config::Config;
use airlock_base::clock;
use airlock_base::secrets::Secret;
use airlock_codex::account::request::SignInRequest;
use airlock_codex::account::{ChatGptTokens, SignInEvent, SignInRefusal, SignInStream};

/// Bytes of the standard input that are read.
const INPUT: u64 = 64 << 10;

/// What Ctrl-C ends with, by the custom of shells.
const INTERRUPTED: u8 = 130;

/// How to sign in.
pub(super) struct Way {
    with: With,
    takeover: bool,
}

enum With {
    DeviceCode,
    ApiKey(Secret),
    Tokens(Value),
}

/// Where the events come from.
enum Source {
    Gateway(Events),
    Here(Here, SignInStream),
}

impl Way {
    /// What was typed, and what stands on the standard input.
    pub(super) fn of(matches: &ArgMatches) -> anyhow::Result<Self> {
        let with = if matches.get_flag("api-key-stdin") {
            let key = read()?;
            SignInRequest::api_key(&key)
                .map_err(|fault| anyhow!("the standard input: {}", fault.message))?;
            With::ApiKey(Secret::new(key.trim()))
        } else if matches.get_flag("tokens-stdin") {
            With::Tokens(tokens(&read()?)?)
        } else {
            With::DeviceCode
        };
        Ok(Self {
            with,
            takeover: matches.get_flag("takeover"),
        })
    }

    fn body(&self) -> Value {
        let mut body = match &self.with {
            With::DeviceCode => json!({ "type": "device_code" }),
            With::ApiKey(key) => json!({ "type": "api_key", "api_key": key.expose() }),
            With::Tokens(tokens) => tokens.clone(),
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

/// The request that these tokens are, in either spelling.
fn tokens(text: &str) -> anyhow::Result<Value> {
    // The parser's own error could quote a token.
    let Ok(Value::Object(members)) = serde_json::from_str(text) else {
        bail!("the standard input is no JSON object");
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

/// Signs in. What a person must do goes to `out`, what happens meanwhile to `err`.
pub(super) async fn run(
    config: &Config,
    way: Way,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    let mut stop = Stops::listen().context("cannot listen to signals")?;
    let mut source = tokio::select! {
        source = begin(config, way) => source?,
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

async fn begin(config: &Config, way: Way) -> anyhow::Result<Source> {
    if let Some(remote) = running(config).await? {
        let body = Some(way.body());
        let events = remote.stream(Method::POST, "/api/codex/login", body).await;
        return Ok(Source::Gateway(events?));
    }
    let sign_in = match way.with {
        With::DeviceCode => SignInRequest::DeviceCode,
        With::ApiKey(key) => SignInRequest::ApiKey(key),
        With::Tokens(_) => bail!(
            "no gateway listens on {}, and tokens are kept in a gateway's memory alone: start it with `airlock serve`",
            config.server.listen
        ),
    };
    let here = Here::prepare(config)?;
    match here.account().sign_in(sign_in, way.takeover).await {
        Ok(flow) => Ok(Source::Here(here, flow)),
        Err(
            SignInRefusal::InProgress | SignInRefusal::ExternalTokens | SignInRefusal::Rehearsal,
        ) => {
            bail!("a sign-in is under way already")
        }
    }
}

/// Shows an event. What comes of the last one is the command's outcome.
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

impl Source {
    async fn next(&mut self) -> anyhow::Result<Option<SignInEvent>> {
        match self {
            Self::Gateway(events) => events.next().await,
            Self::Here(_, flow) => Ok(flow.next().await),
        }
    }

    /// Leaves. What runs here has ended then.
    async fn end(self) {
        match self {
            Self::Gateway(events) => drop(events),
            Self::Here(here, flow) => {
                drop(flow);
                here.end().await;
            }
        }
    }
}
