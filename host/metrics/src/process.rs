//! Metrics of the gateway's own process, under the names that Prometheus's client libraries use.

use std::fmt;

use prometheus_client::encoding::NoLabelSet;
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;
use rustix::process::{Resource, getrlimit};

use super::page::Page;
use airlock_base::proc::{self, Stat};

impl Page<'_> {
    /// Writes the metrics of this process. A metric that the system does not report is left out.
    pub(crate) fn process(&mut self) -> fmt::Result {
        if let Some(stat) = Stat::of(None) {
            self.process_times(&stat)?;
        }
        if let Some(bytes) = proc::resident_bytes(None) {
            let help = "Resident memory of the gateway's own process in bytes";
            self.gauge("process_resident_memory_bytes", help, bytes)?;
        }
        if let Some(open) = proc::open_descriptors() {
            self.gauge("process_open_fds", "Open file descriptors", open)?;
        }
        if let Some(most) = getrlimit(Resource::Nofile).current {
            let help = "File descriptors that may be open at once";
            self.gauge("process_max_fds", help, most)?;
        }
        Ok(())
    }

    fn process_times(&mut self, stat: &Stat) -> fmt::Result {
        let unit = Some(&Unit::Seconds);
        let help = "Processor time of the gateway's own process in seconds";
        let mut metric =
            self.0
                .encode_descriptor("process_cpu", help, unit, MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, f64, u64>(&stat.processor_seconds(), None)?;
        if let Some(start) = stat.start_time() {
            let help = "When the gateway's own process started, in seconds of Unix time";
            let name = "process_start_time";
            let mut metric = self
                .0
                .encode_descriptor(name, help, unit, MetricType::Gauge)?;
            metric.encode_gauge(&start)?;
        }
        Ok(())
    }
}
