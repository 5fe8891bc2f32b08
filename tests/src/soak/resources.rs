//! Resources that a gateway holds, and how much they may grow.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::time::sleep;

use crate::{Gateway, process};

/// Timeout until the gateway has released what it no longer needs: threads for blocking work exit after 10 s, parked
/// turns after the configured time, and memory is returned within seconds.
const SETTLES: Duration = Duration::from_secs(30);

/// Time without a change after which the gateway counts as settled.
const QUIET: Duration = Duration::from_secs(12);

const LOOK: Duration = Duration::from_millis(500);

/// Resources of a gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// File descriptors.
    pub descriptors: u64,
    /// Threads.
    pub threads: u64,
    /// Child processes.
    pub processes: u64,
    /// Resident memory in bytes.
    pub resident: u64,
    /// Files in its data directory.
    pub files: u64,
    /// Bytes of those files.
    pub file_bytes: u64,
}

impl Resources {
    fn of(gateway: &Gateway) -> Result<Self> {
        let folder = format!("/proc/{}", gateway.pid());
        let entries =
            |name: &str| anyhow::Ok(fs::read_dir(format!("{folder}/{name}"))?.count() as u64);
        let (files, file_bytes) = files(gateway.data_dir());
        Ok(Self {
            descriptors: entries("fd")?,
            threads: entries("task")?,
            processes: gateway.processes().len() as u64,
            resident: process::resident(gateway.pid())?,
            files,
            file_bytes,
        })
    }

    /// Rows of name, amount, and the most that is allowed at the end.
    pub fn rows(&self) -> [(&'static str, u64, u64); 6] {
        let grown = |bytes: u64| bytes + bytes / 4 + (16 << 20);
        [
            ("file descriptors", self.descriptors, self.descriptors + 8),
            ("threads", self.threads, self.threads + 4),
            ("processes", self.processes, self.processes),
            ("resident bytes", self.resident, grown(self.resident)),
            ("files", self.files, self.files + 8),
            ("bytes of files", self.file_bytes, grown(self.file_bytes)),
        ]
    }

    /// Descriptions of the resources that exceed what is allowed.
    pub(super) fn exceeded(&self, after: &Self) -> Vec<String> {
        let rows = self.rows().into_iter().zip(after.rows());
        let over = rows.filter(|((_, _, most), (_, now, _))| now > most);
        over.map(|((name, before, most), (_, now, _))| {
            format!("{name}: {before} before, {now} after, and at most {most} may be")
        })
        .collect()
    }
}

/// Resources of the idle gateway once they are within what `before` allows, or, without `before`, no longer change.
pub(super) async fn settled(gateway: &Gateway, before: Option<&Resources>) -> Result<Resources> {
    let until = Instant::now() + SETTLES;
    let mut now = Resources::of(gateway)?;
    let mut since = Instant::now();
    loop {
        let settled = match before {
            Some(before) => before.exceeded(&now).is_empty(),
            None => since.elapsed() > QUIET,
        };
        if settled || Instant::now() > until {
            return Ok(now);
        }
        sleep(LOOK).await;
        let next = Resources::of(gateway)?;
        if (next.descriptors, next.threads) != (now.descriptors, now.threads) {
            since = Instant::now();
        }
        now = next;
    }
}

/// Gauges of an idle gateway that are not zero, and counters of policy failures.
pub(super) async fn left_over(gateway: &Gateway) -> Result<Vec<String>> {
    const NONE: [&str; 6] = [
        r#"http_server_active_requests{route="/v1/chat/completions"}"#,
        "airlock_open_streams",
        "airlock_running_turns",
        "airlock_waiting_requests",
        "airlock_policy_faults_total",
        "airlock_policy_rollbacks_total",
    ];
    let until = Instant::now() + SETTLES;
    loop {
        let metrics = gateway.admin().metrics().await?;
        let rows = metrics
            .lines()
            .filter(|row| NONE.iter().any(|name| row.starts_with(name)));
        let mut left = Vec::new();
        for row in rows {
            let (_, value) = row.rsplit_once(' ').context("no value")?;
            if value.parse::<f64>()? > 0.0 {
                left.push(format!("idle, and still {row}"));
            }
        }
        if left.is_empty() || Instant::now() > until {
            return Ok(left);
        }
        sleep(LOOK).await;
    }
}

fn files(folder: &Path) -> (u64, u64) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(about) if about.is_dir() => files(&entry.path()),
            Ok(about) => (1, about.len()),
            // It was removed meanwhile.
            Err(_) => (0, 0),
        })
        .fold((0, 0), |(count, bytes), (more, size)| {
            (count + more, bytes + size)
        })
}
