//! Processes of this machine: found by their command line and environment, and watched until they exit.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

/// A process and its pidfd, so that a reused process ID cannot be mistaken for it.
#[derive(Debug)]
pub struct Process {
    /// The process ID.
    pub pid: u32,
    /// The command line.
    pub command: String,
    descriptor: OwnedFd,
}

impl Process {
    /// Opens a process. `None` if it has exited already.
    pub fn open(pid: u32) -> Option<Self> {
        let descriptor = pidfd_open(pid_of(pid)?, PidfdFlags::empty()).ok()?;
        let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        Some(Self {
            pid,
            command,
            descriptor,
        })
    }

    /// Waits until it has exited. False if it has not within `limit`.
    pub fn ended_within(&self, limit: Duration) -> Result<bool> {
        let until = Instant::now() + limit;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let timeout = Timespec {
                tv_sec: left.as_secs().try_into()?,
                tv_nsec: left.subsec_nanos().into(),
            };
            let mut descriptors = [PollFd::new(&self.descriptor, PollFlags::IN)];
            match poll(&mut descriptors, Some(&timeout)) {
                Ok(ready) => return Ok(ready > 0),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error).context("waiting for a process"),
            }
        }
    }

    /// Sends it SIGKILL. A process that has exited is no error.
    pub fn kill(&self) {
        signal(self.pid, Signal::KILL);
    }
}

/// Sends a signal. A process that has exited is no error.
pub fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = pid_of(pid) {
        // It fails only if the process has exited.
        let _ = kill_process(pid, signal);
    }
}

/// Every process but our own whose command line or environment mentions `path`. This finds orphans too, which the
/// process tree does not.
pub fn mentioning(path: &Path) -> Vec<Process> {
    let Some(needle) = path.to_str() else {
        return Vec::new();
    };
    let own = std::process::id();
    let folders = fs::read_dir("/proc").into_iter().flatten().flatten();
    folders
        .filter_map(|folder| folder.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| {
            *pid != own && (mentions(*pid, "cmdline", needle) || mentions(*pid, "environ", needle))
        })
        .filter_map(Process::open)
        .collect()
}

/// A process's resident set size, in bytes.
pub fn resident(pid: u32) -> Result<u64> {
    memory(pid, "status", "VmRSS:")
}

/// A process's proportional set size, in bytes: a page that is mapped several times counts once
/// (proc_pid_smaps_rollup(5), `Pss`).
pub fn proportional(pid: u32) -> Result<u64> {
    memory(pid, "smaps_rollup", "Pss:")
}

/// A process's peak resident set size, in bytes.
pub fn peak(pid: u32) -> Result<u64> {
    memory(pid, "status", "VmHWM:")
}

/// Resets `peak`.
///
/// # Errors
/// The kernel does not allow it.
pub fn forget_peak(pid: u32) -> Result<()> {
    // 5: reset the peak resident set size (proc_pid_clear_refs(5)).
    fs::write(format!("/proc/{pid}/clear_refs"), "5").context("resetting the peak")
}

fn memory(pid: u32, file: &str, row: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/{file}"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(row))
        .with_context(|| format!("no {row}"))?;
    let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kibibytes * 1024)
}

fn mentions(pid: u32, file: &str, needle: &str) -> bool {
    // A zombie's files are empty, so zombies are not found.
    let text = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
    text.windows(needle.len())
        .any(|window| window == needle.as_bytes())
}

fn pid_of(pid: u32) -> Option<Pid> {
    Pid::from_raw(pid.try_into().ok()?)
}
