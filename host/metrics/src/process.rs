//! The gateway's own process, under the names that Prometheus's own clients have for it.

use std::fmt;
use std::fs;

use prometheus_client::encoding::NoLabelSet;
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;
use rustix::process::{Resource, getrlimit};

use super::page::Page;
use airlock_base::task;

/// Clock ticks of a second in `/proc`, on every Linux (`USER_HZ`).
const TICKS: f64 = 100.0;

impl Page<'_> {
    /// What the system does not tell is left out.
    pub(crate) fn process(&mut self) -> fmt::Result {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        if let Some(seconds) = processor_time(&stat) {
            let help = "Processor time of the gateway's own process in seconds";
            let unit = Some(&Unit::Seconds);
            let counter = MetricType::Counter;
            let mut metric = self
                .0
                .encode_descriptor("process_cpu", help, unit, counter)?;
            metric.encode_counter::<NoLabelSet, f64, u64>(&seconds, None)?;
        }
        let system = fs::read_to_string("/proc/stat").unwrap_or_default();
        if let (Some(after), Some(boot)) = (start_after_boot(&stat), boot_time(&system)) {
            let help = "When the gateway's own process started, in seconds of Unix time";
            let unit = Some(&Unit::Seconds);
            let gauge = MetricType::Gauge;
            let name = "process_start_time";
            let mut metric = self.0.encode_descriptor(name, help, unit, gauge)?;
            metric.encode_gauge(&(boot + after))?;
        }
        if let Some(bytes) = task::resident_bytes(None) {
            let help = "Resident memory of the gateway's own process in bytes";
            self.gauge("process_resident_memory_bytes", help, bytes)?;
        }
        if let Ok(folder) = fs::read_dir("/proc/self/fd") {
            // One of them reads the folder.
            let open = folder.count().saturating_sub(1) as u64;
            self.gauge("process_open_fds", "Open file descriptors", open)?;
        }
        if let Some(most) = getrlimit(Resource::Nofile).current {
            let help = "File descriptors that may be open at once";
            self.gauge("process_max_fds", help, most)?;
        }
        Ok(())
    }
}

/// Seconds of processor time, in user mode and in the kernel (`proc_pid_stat(5)`, fields 14 and 15).
fn processor_time(stat: &str) -> Option<f64> {
    Some((field(stat, 14)? + field(stat, 15)?) / TICKS)
}

/// Seconds from the system's start to the process's (field 22).
fn start_after_boot(stat: &str) -> Option<f64> {
    Some(field(stat, 22)? / TICKS)
}

/// A field of a process's status, from 3 on.
fn field(stat: &str, number: usize) -> Option<f64> {
    // The second field is a name in brackets, which may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    fields.nth(number.checked_sub(3)?)?.parse().ok()
}

/// When the system started, in seconds of Unix time (`proc_stat(5)`).
fn boot_time(stat: &str) -> Option<f64> {
    let row = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    row.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        let stat = "42 (a b) c) S 1 42 42 0 -1 4194560 900 0 0 0 1234 66 7 8 20 0 9 0 500050 1 2 3";
        assert_eq!(processor_time(stat), Some(13.0));
        assert_eq!(start_after_boot(stat), Some(5000.5));
        assert_eq!(
            boot_time("cpu  1 2\nbtime 1700000000\nprocesses 3\n"),
            Some(1_700_000_000.0)
        );
        for nothing in ["", "42 (a", "42 (a) S 1"] {
            assert_eq!(processor_time(nothing), None, "{nothing}");
            assert_eq!(boot_time(nothing), None, "{nothing}");
        }
    }
}
