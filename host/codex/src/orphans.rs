//! Orphans: processes of an earlier gateway that outlived it. They are recognised by a mark, and ended.
//!
//! The parent-death signal ends a child with its gateway, but not processes that the child has started, and a system may lose
//! the signal. So the environment of each child has a mark, which its own children inherit: the home, the gateway's process id,
//! and the gateway's start time. No other process has the mark, and processes whose gateway still runs are left alone.

use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use sha2::{Digest as _, Sha256};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};

use airlock_base::proc::{self, Stat};

/// The environment variable with the mark.
pub(super) const MARK_VARIABLE: &str = "AIRLOCK_CHILD_OF";

/// How long an orphan may take to end after each signal: SIGTERM, SIGKILL.
const END_STEP: Duration = Duration::from_secs(2);

/// The interval between checks whether it has ended.
const PAUSE: Duration = Duration::from_millis(10);

/// The mark of a process: the home and the gateway that started it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ProcessMark {
    /// A digest of the home's path. The path itself stays private.
    home: String,
    gateway: i32,
    /// The gateway's start in clock ticks since the system's start, which with the process id identifies it.
    began: u64,
}

impl ProcessMark {
    /// The mark of this process's children in this home. None: the system does not report when a process began.
    pub(super) fn ours(home: &Path) -> Option<Self> {
        let gateway = std::process::id().cast_signed();
        Some(Self {
            home: digest(home),
            gateway,
            began: began(gateway)?,
        })
    }

    /// The value of the variable: `HOME:GATEWAY:BEGAN`.
    pub(super) fn text(&self) -> String {
        format!("{}:{}:{}", self.home, self.gateway, self.began)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let mark = Self {
            home: parts.next()?.to_owned(),
            gateway: parts.next()?.parse().ok()?,
            began: parts.next()?.parse().ok()?,
        };
        parts.next().is_none().then_some(mark)
    }

    fn of(process: i32) -> Option<Self> {
        let environment = proc::environment(process)?;
        let prefix = format!("{MARK_VARIABLE}=");
        let mut variables = environment.iter();
        let value = variables.find_map(|it| it.as_bytes().strip_prefix(prefix.as_bytes()))?;
        Self::parse(std::str::from_utf8(value).ok()?)
    }
}

/// A process that outlived its gateway.
struct Orphan {
    number: i32,
    /// A handle, which cannot refer to another process later, as the id could.
    handle: OwnedFd,
    mark: ProcessMark,
}

/// Ends the orphans of this home, and returns their number. Takes at most some seconds.
pub(super) async fn reap(home: &Path) -> usize {
    let home = digest(home);
    let look = move || {
        let found = proc::processes().filter_map(|number| Orphan::find(number, &home));
        found.collect::<Vec<_>>()
    };
    // Reading the environment of a process in an uninterruptible state may block.
    let orphans = timeout(END_STEP, spawn_blocking(look)).await;
    let orphans = orphans.map(Result::unwrap_or_default).unwrap_or_default();
    for orphan in &orphans {
        let pid = orphan.number;
        tracing::warn!(pid, "ending a process that an earlier gateway has left");
    }
    let ended = join_all(orphans.iter().map(Orphan::end)).await;
    let left = ended.iter().filter(|ended| !**ended).count();
    if left > 0 {
        tracing::error!(left, "processes of an earlier gateway cannot be killed");
    }
    orphans.len()
}

impl Orphan {
    fn find(number: i32, home: &str) -> Option<Self> {
        // In another namespace, such as a container's, the mark's process id would refer to another process.
        if number == std::process::id().cast_signed()
            || proc::pid_namespace(Some(number))? != proc::pid_namespace(None)?
        {
            return None;
        }
        let mark = ProcessMark::of(number)?;
        if mark.home != home || began(mark.gateway) == Some(mark.began) {
            return None;
        }
        let handle = pidfd_open(Pid::from_raw(number)?, PidfdFlags::empty()).ok()?;
        // The handle pins the id. The process may have been replaced before, so the mark is compared again.
        (ProcessMark::of(number)? == mark).then_some(Self {
            number,
            handle,
            mark,
        })
    }

    /// Ends the process. False: it did not end.
    async fn end(&self) -> bool {
        for signal in [Signal::TERM, Signal::KILL] {
            // An error means that it has ended.
            let _ = pidfd_send_signal(&self.handle, signal);
            let until = Instant::now() + END_STEP;
            while Instant::now() < until {
                if ProcessMark::of(self.number).as_ref() != Some(&self.mark) {
                    return true;
                }
                sleep(PAUSE).await;
            }
        }
        false
    }
}

/// The start of a process in clock ticks since the system's start. None: it has ended.
fn began(process: i32) -> Option<u64> {
    let stat = Stat::of(Some(process))?;
    (!stat.ended).then_some(stat.start_ticks)
}

fn digest(home: &Path) -> String {
    let digest = Sha256::digest(home.as_os_str().as_encoded_bytes());
    format!("{digest:x}")[..16].to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::process::{Child, Command};

    use super::*;

    fn sleeper(mark: Option<&ProcessMark>) -> Child {
        let mut command = Command::new("sleep");
        command.arg("60");
        if let Some(mark) = mark {
            command.env(MARK_VARIABLE, mark.text());
        }
        command.spawn().unwrap()
    }

    #[tokio::test]
    async fn only_processes_marked_by_an_ended_gateway_are_ended() {
        let home = tempfile::tempdir().unwrap();
        let ours = ProcessMark::ours(home.path()).unwrap();
        let gone = ProcessMark {
            began: ours.began + 1,
            ..ours.clone()
        };
        let elsewhere = ProcessMark {
            home: digest(Path::new("elsewhere")),
            ..gone.clone()
        };
        let mut stay = [
            sleeper(None),
            sleeper(Some(&ours)),
            sleeper(Some(&elsewhere)),
        ];
        let mut orphan = sleeper(Some(&gone));
        // A process has its own environment only after `exec`.
        while ProcessMark::of(orphan.id().cast_signed()).as_ref() != Some(&gone) {
            std::thread::yield_now();
        }
        assert_eq!(reap(home.path()).await, 1);
        assert!(orphan.wait().unwrap().code().is_none());
        for other in &mut stay {
            assert!(other.try_wait().unwrap().is_none());
            other.kill().unwrap();
            other.wait().unwrap();
        }
    }

    #[test]
    fn a_mark_is_read_as_it_was_written() {
        let mark = ProcessMark::ours(Path::new("home")).unwrap();
        assert_eq!(ProcessMark::parse(&mark.text()), Some(mark));
        for text in ["", "a:b:c", "a:1", "a:1:2:3", "a:-:2"] {
            assert_eq!(ProcessMark::parse(text), None, "{text}");
        }
    }
}
