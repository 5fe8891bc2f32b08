//! Compiles components in a child process with limits and low priority, and caches the code.

pub mod child; // the child's side

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use wasmtime::component::Component;

use self::child::{COMMAND, ChildExit, NICE};
use super::cache::{Cache, CacheError};
use super::engine::Engine;
use super::release::is_component;
use airlock_base::task::spawner;

/// The running program. Resolved between fork and exec, it is this program even if its file was replaced.
const PROGRAM: &str = "/proc/self/exe";

/// The bytes of a child's stderr that are read.
const STDERR_BYTES: u64 = 16 << 10;

/// How long to wait for a child that was killed.
const REAP: Duration = Duration::from_secs(3);

/// Compiles components. Clones share the cache, and compile one at a time.
#[derive(Clone)]
pub struct Compiler {
    engine: Engine,
    cache: Arc<Cache>,
    limits: CompileLimits,
    /// The program to run as a child.
    program: PathBuf,
    /// One permit: each compilation may use all the memory that the limit allows.
    permit: Arc<Semaphore>,
    /// The child's nice value.
    nice: u64,
}

/// The limits of a compilation.
#[derive(Clone, Copy, Debug)]
pub struct CompileLimits {
    /// Wall-clock time. CPU time has the same limit, in whole seconds.
    pub timeout: Duration,
    /// Bytes of address space of the child.
    pub memory_bytes: usize,
}

/// Why a component has no code.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The compiler refuses the component. Its message, on one line.
    #[error("{0}")]
    Invalid(String),
    /// Compiling took longer than `policies.compile_timeout`.
    #[error("compiling took longer than {} ms (policies.compile_timeout)", .0.as_millis())]
    TimedOut(Duration),
    /// Compiling took more memory than `policies.compile_memory_bytes`, or than the machine has.
    #[error(
        "compiling needs more memory than {0} bytes (policies.compile_memory_bytes), or than the machine has"
    )]
    OutOfMemory(usize),
    /// The compiler itself failed, or could not be started.
    #[error("the compiler failed: {0}")]
    Crashed(String),
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

impl Compiler {
    /// A compiler whose children run this program.
    pub fn new(engine: Engine, cache: Cache, limits: CompileLimits) -> Self {
        Self {
            engine,
            cache: Arc::new(cache),
            limits,
            program: PathBuf::from(PROGRAM),
            permit: Arc::new(Semaphore::new(1)),
            nice: NICE,
        }
    }

    /// The same with normal priority, for the start, when there are no requests yet.
    pub fn hurried(&self) -> Self {
        Self {
            nice: 0,
            ..self.clone()
        }
    }

    /// Loads the code of a component, or compiles it. `digest` is the SHA-256 of `bytes` in hexadecimal digits. Cached code
    /// takes about a millisecond. Dropping the future kills the child.
    ///
    /// # Errors
    /// The component, the limits or the machine is at fault, as the [`CompileError`] states.
    pub async fn compiled(&self, bytes: &[u8], digest: &str) -> Result<Component, CompileError> {
        is_component(bytes).map_err(|fault| CompileError::Invalid(fault.to_owned()))?;
        if let Some(component) = self.cached(digest).await? {
            return Ok(component);
        }
        let closed = |_| CompileError::Crashed("the compiler has ended".to_owned());
        let _permit = self.permit.acquire().await.map_err(closed)?;
        // Another call may have compiled it meanwhile.
        if let Some(component) = self.cached(digest).await? {
            return Ok(component);
        }
        self.compile(bytes, digest).await?;
        let missing = || CompileError::Crashed("its code does not fit this engine".to_owned());
        self.cached(digest).await?.ok_or_else(missing)
    }

    /// Loads the code of the component of this digest, if it is cached.
    ///
    /// # Errors
    /// The cache cannot be used.
    pub async fn cached(&self, digest: &str) -> Result<Option<Component>, CompileError> {
        let (this, digest) = (self.clone(), digest.to_owned());
        blocking(move || this.cache.load(&this.engine, &digest)).await
    }

    /// Compiles the component into the cache, in a child.
    async fn compile(&self, bytes: &[u8], digest: &str) -> Result<(), CompileError> {
        let draft = self.cache.draft()?;
        let out = draft.file.try_clone().map_err(crashed)?;
        let mut child = spawner::spawn(self.command(out)).await.map_err(crashed)?;
        let ended = timeout(self.limits.timeout, converse(&mut child, bytes)).await;
        let Ok(ended) = ended else {
            end(&mut child).await;
            return Err(CompileError::TimedOut(self.limits.timeout));
        };
        let (status, stderr) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                end(&mut child).await;
                return Err(crashed(error));
            }
        };
        self.judge(status, &stderr)?;
        let (this, digest) = (self.clone(), digest.to_owned());
        blocking(move || this.cache.keep(&this.engine, &digest, &draft)).await
    }

    /// The command of a child, which writes the code to `out`. Its environment is empty.
    fn command(&self, out: std::fs::File) -> Command {
        let seconds = self.limits.timeout.as_millis().div_ceil(1000);
        let mut command = Command::new(&self.program);
        command
            .arg(COMMAND)
            .arg(std::process::id().to_string())
            .arg(self.engine.reservation.to_string())
            .arg(self.limits.memory_bytes.to_string())
            .arg(seconds.to_string())
            .arg(self.nice.to_string());
        command
            .env_clear()
            .current_dir("/")
            .process_group(0)
            .kill_on_drop(true)
            .stdin(Stdio::piped())
            .stdout(out)
            .stderr(Stdio::piped());
        command
    }

    /// The result of a child that has ended.
    fn judge(&self, status: ExitStatus, stderr: &str) -> Result<(), CompileError> {
        // The last line is the error. Earlier lines, if any, have the place of a crash.
        let words = stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        let outcome = status.code().and_then(ChildExit::from_code);
        match (outcome, status.signal()) {
            (Some(ChildExit::Done), _) => Ok(()),
            (Some(ChildExit::Invalid), _) => Err(CompileError::Invalid(words)),
            (Some(ChildExit::OutOfMemory), _) => self.out_of_memory(),
            (Some(ChildExit::Failed) | None, None) => {
                Err(CompileError::Crashed(format!("{status}: {words}")))
            }
            (_, Some(signal)) if signal == Signal::XCPU.as_raw() => {
                Err(CompileError::TimedOut(self.limits.timeout))
            }
            // A stack overflow ends in the same signal as an allocation that fails.
            (_, Some(signal)) if signal == Signal::ABORT.as_raw() => {
                if words.contains("overflowed its stack") {
                    Err(CompileError::Crashed(words))
                } else {
                    self.out_of_memory()
                }
            }
            // The kernel killed it, because the machine is out of memory.
            (_, Some(signal)) if signal == Signal::KILL.as_raw() => self.out_of_memory(),
            (_, Some(_)) => Err(CompileError::Crashed(format!("{status} {words}"))),
        }
    }

    fn out_of_memory(&self) -> Result<(), CompileError> {
        Err(CompileError::OutOfMemory(self.limits.memory_bytes))
    }
}

/// Writes the component to the child, and reads its stderr until it ends.
async fn converse(child: &mut Child, bytes: &[u8]) -> io::Result<(ExitStatus, String)> {
    let missing = || io::Error::other("a pipe is missing");
    let mut stdin = child.stdin.take().ok_or_else(missing)?;
    let stderr = child.stderr.take().ok_or_else(missing)?;
    let give = async {
        // If the child ends before it has read everything, its exit status has the reason.
        let _ = stdin.write_all(bytes).await;
        drop(stdin);
    };
    let read = async {
        let mut bytes = Vec::new();
        stderr.take(STDERR_BYTES).read_to_end(&mut bytes).await?;
        io::Result::Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let ((), text, status) = tokio::join!(give, read, child.wait());
    Ok((status?, text?))
}

/// Kills a child and reaps it.
async fn end(child: &mut Child) {
    if !matches!(timeout(REAP, child.kill()).await, Ok(Ok(()))) {
        tracing::error!("a compiler cannot be killed");
    }
}

/// Runs work with files on a blocking thread.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CacheError> + Send + 'static,
) -> Result<T, CompileError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(error) => Err(CompileError::Crashed(error.to_string())),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn crashed(error: io::Error) -> CompileError {
    CompileError::Crashed(error.to_string())
}

#[cfg(test)]
mod tests;
