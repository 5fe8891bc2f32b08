//! The builder of a gateway under test: flags, settings, environment, and its Codex.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

use super::{CapturedOutput, Gateway, warm};
use crate::admin::ADMIN_KEY;
use crate::{
    Client, CodexHome, FakeCodex, Gate, Journal, PATIENCE, ScriptedModel, model, programs, soon,
};

/// The prefix of the line that the gateway prints once it listens.
const GREETING: &str = "Airlock listens on http://";

/// The configuration of a gateway that has not started yet.
#[derive(Debug, Default)]
pub struct GatewayBuilder {
    program: Option<PathBuf>,
    settings: String,
    flags: Vec<OsString>,
    environment: BTreeMap<String, OsString>,
    retries: u32,
    provider: String,
    listen: Option<String>,
    patience: Option<Duration>,
    data: Option<PathBuf>,
    cold: bool,
    policy_files: Vec<(String, Vec<u8>)>,
    unread: Option<Gate>,
    descriptors: Option<(u32, u32)>,
}

/// The output of a gateway that refused to start.
#[derive(Debug)]
pub struct StartRefusal {
    /// The exit code.
    pub code: Option<i32>,
    /// The standard error of the process.
    pub log: String,
}

impl GatewayBuilder {
    /// Adds lines to its configuration file.
    #[must_use]
    pub fn settings(mut self, toml: &str) -> Self {
        self.settings.push_str(toml);
        self.settings.push('\n');
        self
    }

    /// Runs this program in place of the build under test.
    #[must_use]
    pub fn program(mut self, program: impl Into<PathBuf>) -> Self {
        self.program = Some(program.into());
        self
    }

    /// Adds a flag, or a flag's value.
    #[must_use]
    pub fn flag(mut self, flag: impl Into<OsString>) -> Self {
        self.flags.push(flag.into());
        self
    }

    /// Runs this policy in place of the embedded one.
    #[must_use]
    pub fn policy(self, file: impl Into<OsString>) -> Self {
        self.flag("--policy").flag(file)
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn environment(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.insert(name.to_owned(), value.into());
        self
    }

    /// Retries of the real Codex after a failure of the model. The default is 0.
    #[must_use]
    pub fn retries(mut self, count: u32) -> Self {
        self.retries = count;
        self
    }

    /// Adds a line to the model provider in the real Codex's configuration.
    #[must_use]
    pub fn provider(mut self, line: &str) -> Self {
        self.provider.push_str(line);
        self.provider.push('\n');
        self
    }

    /// The address to listen on. The default is any free loopback port.
    #[must_use]
    pub fn listen(mut self, address: &str) -> Self {
        self.listen = Some(address.to_owned());
        self
    }

    /// Timeout of its start, in place of `PATIENCE`: a large policy is compiled first.
    #[must_use]
    pub fn patience(mut self, limit: Duration) -> Self {
        self.patience = Some(limit);
        self
    }

    /// Starts it with an empty policy cache.
    #[must_use]
    pub fn cold(mut self) -> Self {
        self.cold = true;
        self
    }

    /// The data directory of the gateway, in place of a temporary one.
    #[must_use]
    pub fn data_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.data = Some(folder.into());
        self
    }

    /// Leaves its standard error unread until this gate is open.
    #[must_use]
    pub fn unread(mut self, until: &Gate) -> Self {
        self.unread = Some(until.clone());
        self
    }

    /// Starts it with this soft and hard limit of file descriptors.
    #[must_use]
    pub fn descriptors(mut self, soft: u32, hard: u32) -> Self {
        self.descriptors = Some((soft, hard));
        self
    }

    /// Enables the admin routes, with the key that `Gateway::admin` presents.
    #[must_use]
    pub fn administered(self) -> Self {
        self.environment("AIRLOCK_ADMIN_KEY", ADMIN_KEY)
    }

    /// Puts a file into its folder of policies: `NAME.wasm`, or a file beside it.
    #[must_use]
    pub fn policy_file(mut self, name: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.policy_files.push((name.to_owned(), bytes.into()));
        self
    }

    /// Starts it over a scripted Codex. Unless the test configures otherwise, there is one child and no warm threads, so
    /// that the child receives nothing but the calls of requests.
    pub async fn over_fake(self, fake: &FakeCodex) -> Result<Gateway> {
        self.quiet().over(fake.binary()).await
    }

    fn quiet(mut self) -> Self {
        for (name, quiet) in [("SPARE", "false"), ("WARM_THREADS", "0")] {
            let name = format!("AIRLOCK_FLEET_{name}");
            self.environment.entry(name).or_insert_with(|| quiet.into());
        }
        self
    }

    /// Starts it over the real Codex with a scripted model.
    pub async fn over_real(self, model: &ScriptedModel) -> Result<Gateway> {
        self.over_home(programs::real_codex()?, model).await
    }

    /// Starts it over the real Codex, with a model at this URL. There is one child, as with a scripted Codex.
    pub async fn over_real_model_at(self, base_url: &str) -> Result<Gateway> {
        let home = CodexHome::at(base_url, self.retries, &self.provider)?;
        self.quiet()
            .over_codex_home(programs::real_codex()?, home)
            .await
    }

    /// Starts it over `codex`, a program that executes the real Codex. There is one child, as with a scripted Codex.
    pub async fn over_real_at(self, codex: PathBuf, model: &ScriptedModel) -> Result<Gateway> {
        self.quiet().over_home(codex, model).await
    }

    async fn over_home(self, codex: PathBuf, model: &ScriptedModel) -> Result<Gateway> {
        let home = CodexHome::new(model, self.retries, &self.provider)?;
        self.over_codex_home(codex, home).await
    }

    async fn over_codex_home(self, codex: PathBuf, home: CodexHome) -> Result<Gateway> {
        let with_home = self
            .flag("--codex-home")
            .flag(home.path())
            .environment(model::KEY_VARIABLE, model::KEY);
        let mut gateway = with_home.over(codex).await?;
        gateway._home = Some(home);
        Ok(gateway)
    }

    /// Starts it with this program as its Codex.
    pub async fn over(self, codex: PathBuf) -> Result<Gateway> {
        let folder = tempfile::Builder::new().prefix("airlock-test-").tempdir()?;
        let data = self.data_in(&folder);
        let mut child = self.spawn(&folder, codex)?;
        let (output, readers) = read(&mut child, self.unread)?;
        let pid = child.id().context("a gateway that ended at once")?;
        let limit = self.patience.unwrap_or(PATIENCE);
        let greeting = async {
            tokio::select! {
                line = output.lines.nth_within(limit, "the gateway's first line", 0, |_| true) => line,
                status = child.wait() => bail!("the gateway ended: {}", status?),
            }
        };
        let line = match greeting.await {
            Ok(line) => line,
            Err(error) => bail!("{error:#}\n{}", output.log.all().join("\n")),
        };
        warm::store(&data)?;
        let address = line
            .strip_prefix(GREETING)
            .with_context(|| format!("not the line of a gateway that listens: {line:?}"))?;
        let address = address.trim_end().trim_end_matches('/').parse()?;
        let client = Client::new(address)?;
        Ok(Gateway {
            child,
            pid,
            address,
            client,
            output,
            folder,
            data,
            _home: None,
            _readers: readers,
        })
    }

    /// Starts it, and expects it to exit with an error.
    pub async fn refused(self, codex: PathBuf) -> Result<StartRefusal> {
        let folder = tempfile::Builder::new().prefix("airlock-test-").tempdir()?;
        let mut child = self.spawn(&folder, codex)?;
        let (output, mut readers) = read(&mut child, self.unread)?;
        let status = soon("the gateway's refusal", child.wait()).await??;
        soon("the end of the gateway's output", async {
            while readers.join_next().await.is_some() {}
        })
        .await?;
        Ok(StartRefusal {
            code: status.code(),
            log: output.log.all().join("\n"),
        })
    }

    fn data_in(&self, folder: &TempDir) -> PathBuf {
        let own = || folder.path().join("data");
        self.data.clone().unwrap_or_else(own)
    }

    fn spawn(&self, folder: &TempDir, codex: PathBuf) -> Result<Child> {
        let home = folder.path().join("home");
        fs::create_dir(&home)?;
        if !self.cold {
            warm::fill(&self.data_in(folder))?;
        }
        let settings = folder.path().join("airlock.toml");
        fs::write(&settings, &self.settings)?;
        let policies = self.data_in(folder).join("policies");
        for (name, bytes) in &self.policy_files {
            fs::create_dir_all(&policies)?;
            fs::write(policies.join(name), bytes)?;
        }
        let program = self.program.clone();
        let program = program.map_or_else(programs::airlock, Ok)?;
        let mut command = match self.descriptors {
            Some((soft, hard)) => limited(soft, hard, &program),
            None => Command::new(program),
        };
        command
            .arg("serve")
            .args(["--listen", self.listen.as_deref().unwrap_or("127.0.0.1:0")])
            .arg("--codex-bin")
            .arg(codex)
            .arg("--data-dir")
            .arg(self.data_in(folder))
            .arg("--config")
            .arg(settings)
            .args(&self.flags)
            .env_clear()
            .env("PATH", programs::search_path())
            .env("HOME", home)
            .envs(&self.environment)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command.spawn().context("starting the gateway")
    }
}

/// Reads the gateway's output into journals. Reading of the log waits for `until`.
fn read(child: &mut Child, until: Option<Gate>) -> Result<(CapturedOutput, JoinSet<()>)> {
    let output = CapturedOutput::default();
    let mut readers = JoinSet::new();
    readers.spawn(lines(
        child.stdout.take().context("no output")?,
        output.lines.clone(),
    ));
    let (stderr, log) = (child.stderr.take().context("no log")?, output.log.clone());
    readers.spawn(async move {
        if let Some(gate) = until {
            gate.pass().await;
        }
        lines(stderr, log).await;
    });
    Ok((output, readers))
}

async fn lines(from: impl AsyncRead + Unpin, to: Journal<String>) {
    let mut lines = BufReader::new(from).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        to.record(line);
    }
}

/// A command that executes this program under limits of file descriptors.
fn limited(soft: u32, hard: u32, program: &Path) -> Command {
    let script = r#"ulimit -S -n "$0" && ulimit -H -n "$1" && shift && exec "$@""#;
    let mut command = Command::new("/bin/sh");
    let limits = [soft, hard].map(|limit| limit.to_string());
    command.args(["-c", script]).args(limits).arg(program);
    command
}
