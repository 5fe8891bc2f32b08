//! Broken installations: `airlock doctor` and `airlock serve` must report the same fault with the same remedy.

mod codex; // a Codex that is missing, elsewhere, or hangs
mod data; // the data folder and the disk
mod login; // the login, and its substitutes
mod port; // an address in use
mod trust; // certificates, and the model's server

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use airlock_tests::{FakeCodex, Script, programs, within};
use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::Command;

/// The timeout of a command, which may compile the shipped policy on a busy machine.
const COMMAND: Duration = Duration::from_secs(90);

/// The user `nobody`, who has no rights in folders of others.
const NOBODY: u32 = 65_534;

/// A broken installation: a home, a data folder, and the environment of both commands.
struct Setup {
    folder: TempDir,
    environment: BTreeMap<String, OsString>,
    arguments: Vec<OsString>,
    /// The program and arguments that start the command, such as a shell with a limit.
    wrapper: Vec<OsString>,
    user: Option<u32>,
    /// Takes the model's place, so that no test needs a network: it accepts connections and sends nothing.
    _proxy: TcpListener,
}

/// A command's output and exit code.
struct Done {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Setup {
    /// An installation with this Codex, and a signed-in user.
    fn over(codex: &Path) -> Result<Self> {
        let setup = Self::without_codex()?;
        Ok(setup.argument("--codex-bin").argument(codex))
    }

    fn without_codex() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("airlock-test-").tempdir()?;
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
        let proxy = TcpListener::bind("127.0.0.1:0")?;
        let proxy_url = format!("http://{}", proxy.local_addr()?);
        let home = folder.path().join("home");
        fs::create_dir_all(home.join(".codex"))?;
        fs::write(home.join(".codex/auth.json"), "{}")?;
        let setup = Self {
            folder,
            environment: BTreeMap::new(),
            arguments: Vec::new(),
            wrapper: Vec::new(),
            user: None,
            _proxy: proxy,
        };
        let data = setup.data();
        Ok(setup
            .environment("PATH", programs::search_path())
            .environment("HOME", home)
            .environment("HTTPS_PROXY", proxy_url)
            .environment("AIRLOCK_FLEET_SPARE", "false")
            .argument("--data-dir")
            .argument(data))
    }

    fn environment(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.insert(name.to_owned(), value.into());
        self
    }

    fn argument(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Starts the commands through this program, with its arguments.
    fn wrapped<T: Into<OsString>>(mut self, words: impl IntoIterator<Item = T>) -> Self {
        self.wrapper = words.into_iter().map(Into::into).collect();
        self
    }

    /// Runs the commands as a user to whom file modes apply: if the tests run as root, as `nobody`, who will own these paths.
    fn unprivileged(mut self, own: &[PathBuf]) -> Result<Self> {
        if rustix::process::geteuid().is_root() {
            self.user = Some(NOBODY);
            for path in own {
                chown(path, Some(NOBODY), Some(NOBODY))?;
            }
        }
        Ok(self)
    }

    /// The user ID of the commands.
    fn user(&self) -> u32 {
        let own = rustix::process::geteuid().as_raw();
        self.user.unwrap_or(own)
    }

    fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn command(&self, name: &str, more: &[&str]) -> Result<Command> {
        let program = programs::airlock()?.into_os_string();
        let mut words = self.wrapper.iter().cloned().chain([program, name.into()]);
        let mut command = Command::new(words.next().context("no program")?);
        command
            .args(words)
            .args(&self.arguments)
            .args(more)
            .env_clear()
            .envs(&self.environment)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        Ok(command)
    }

    async fn run(&self, name: &str, more: &[&str]) -> Result<Done> {
        let mut command = self.command(name, more)?;
        let output = within(COMMAND, "the end of a command", command.output()).await??;
        Ok(Done {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    async fn doctor(&self) -> Result<Done> {
        self.run("doctor", &["--listen", "127.0.0.1:0"]).await
    }

    /// Runs `airlock serve` until the log has this text, and then stops it if it still runs.
    async fn serve(&self, text: &str, more: &[&str]) -> Result<Done> {
        let mut child = self.command("serve", more)?.spawn()?;
        let pid = child
            .id()
            .and_then(|pid| Pid::from_raw(pid.try_into().ok()?));
        let mut lines = BufReader::new(child.stderr.take().context("no log")?).lines();
        let mut stdout = child.stdout.take().context("no output")?;
        let (mut err, mut out) = (String::new(), String::new());
        within(COMMAND, "the end of a gateway", async {
            while let Some(line) = lines.next_line().await? {
                let is_it = line.contains(text);
                err.push_str(&line);
                err.push('\n');
                if let Some(pid) = pid
                    .filter(|_| is_it && (line.contains("airlock::") || line.contains("airlock_")))
                {
                    kill_process(pid, Signal::TERM)?;
                }
            }
            stdout.read_to_string(&mut out).await?;
            let code = child.wait().await?.code();
            Ok(Done { code, out, err })
        })
        .await?
    }

    /// Checks that both commands report the fault with this text. `starts`: the gateway serves nevertheless, until it is stopped.
    async fn has_fault(&self, subject: &str, text: &str, starts: bool) -> Result<()> {
        let doctor = self.doctor().await?;
        let line = format!("fail  {subject:<12} {text}");
        ensure!(
            doctor.out.lines().any(|it| it == line),
            "no line\n{line}\nin\n{}{}",
            doctor.out,
            doctor.err
        );
        ensure!(doctor.code == Some(1), "doctor ends with {:?}", doctor.code);
        let serve = self.serve(text, &["--listen", "127.0.0.1:0"]).await?;
        let said = match starts {
            true => serve.err.lines().any(|it| it.contains(text)),
            false => serve.err.lines().any(|it| it == format!("airlock: {text}")),
        };
        ensure!(said, "no {text}\nin\n{}", serve.err);
        let expected = Some(i32::from(!starts));
        ensure!(
            serve.code == expected,
            "serve ends with {:?}\n{}",
            serve.code,
            serve.err
        );
        Ok(())
    }
}

#[tokio::test]
async fn a_command_whose_reader_has_gone_ends_in_silence() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let setup = Setup::over(&fake.binary())?;
    for name in ["config", "doctor"] {
        // Closed before the command writes anything, so the result does not depend on timing.
        let (reader, writer) = std::io::pipe()?;
        drop(reader);
        let mut command = setup.command(name, &["--listen", "127.0.0.1:0"])?;
        let child = command.stdout(writer).spawn()?;
        let output = within(COMMAND, "the end of a command", child.wait_with_output()).await??;
        let err = String::from_utf8_lossy(&output.stderr);
        // The exit code that a shell gives for a program that SIGPIPE has ended.
        ensure!(
            output.status.code() == Some(141),
            "{name}: {} {err}",
            output.status
        );
        ensure!(err.is_empty(), "{name}: {err}");
    }
    Ok(())
}

/// Makes a scripted Codex executable for all users.
fn open_to_all(fake: &FakeCodex) -> Result<()> {
    fs::set_permissions(fake.folder(), Permissions::from_mode(0o755))?;
    fs::set_permissions(fake.folder().join("control"), Permissions::from_mode(0o777))?;
    Ok(())
}
