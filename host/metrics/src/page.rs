//! The metrics as OpenMetrics text for Prometheus. Names are OpenTelemetry's where it has one.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use super::histogram::Histogram;
use super::release::{CallPurpose, KINDS, ReleaseMetrics};
use super::route::{RequestOutcome, Route};
use super::{Metrics, MetricsInner, ReleaseRole};

/// The labels and the value of a series.
pub type Series<const N: usize> = ([(&'static str, String); N], u64);

impl Metrics {
    /// Writes all metrics, and those of this process.
    ///
    /// # Errors
    /// The writer fails. Writing into memory never does.
    pub fn write(&self, page: &mut Page<'_>) -> fmt::Result {
        let counts = &self.0;
        let releases: Vec<(String, Arc<ReleaseMetrics>)> = {
            let releases = self.releases();
            let releases = releases.iter();
            releases
                .map(|(number, release_metrics)| (number.to_string(), release_metrics.clone()))
                .collect()
        };
        page.releases(&releases)?;
        page.requests(&counts.none, &releases)?;
        page.policies(&releases)?;
        let help = "Requests that were chosen for the canary, by release";
        let canary = releases.iter().filter_map(|(release, release_metrics)| {
            let count = read(&release_metrics.canary);
            is_exported(count, release_metrics.is_used())
                .then(|| ([("release", release.clone())], count))
        });
        page.counters("airlock_canary_requests", help, canary)?;
        let help = "Times that another release became the active one";
        page.counters("airlock_policy_swaps", help, [([], read(&counts.swaps))])?;
        let rollbacks = ReleaseRole::ALL.map(|(role, word)| {
            let count = read(&counts.rollbacks[role as usize]);
            ([("role", word.to_owned())], count)
        });
        let help = "Releases that were taken back because they failed too often, by what they were";
        page.counters("airlock_policy_rollbacks", help, rollbacks)?;

        page.calls(counts)?;
        page.times(counts)?;
        page.tokens(&counts.tokens)?;
        page.fan_outs(&counts.fan_outs)?;
        let help = "Frames that went to clients of streams";
        page.counters("airlock_chunks", help, [([], read(&counts.chunks))])?;

        let running = Route::ALL.map(|(route, path)| {
            let count = read(&counts.running[route as usize]);
            ([("route", path.to_owned())], count)
        });
        let help = "Requests that are being served, by route";
        page.gauges("http_server_active_requests", help, running)?;
        let help = "Streams that are open";
        page.gauge("airlock_open_streams", help, read(&counts.streams))?;
        page.process()?;
        page.version()
    }
}

/// A page of OpenMetrics text that is being written.
#[derive(Debug)]
pub struct Page<'a>(pub DescriptorEncoder<'a>);

impl Page<'_> {
    /// Writes the identities of releases, by which counts of several gateways can be summed: numbers are local to a data
    /// directory.
    fn releases(&mut self, releases: &[(String, Arc<ReleaseMetrics>)]) -> fmt::Result {
        let series = releases.iter().filter_map(|(release, release_metrics)| {
            let identity = release_metrics.identity()?;
            let labels = [
                ("release", release.clone()),
                ("name", identity.name.clone()),
                ("version", identity.version.clone()),
                ("digest", identity.digest.clone()),
            ];
            Some((labels, 1))
        });
        let help = "What the numbers of policy releases stand for";
        self.gauges("airlock_policy_release_info", help, series)
    }

    fn requests(
        &mut self,
        none: &Arc<ReleaseMetrics>,
        releases: &[(String, Arc<ReleaseMetrics>)],
    ) -> fmt::Result {
        let none = (String::new(), none.clone());
        let mut series = Vec::new();
        for (release, release_metrics) in releases.iter().chain([&none]) {
            let is_used = release.is_empty() || release_metrics.is_used();
            for (route, path) in Route::ALL {
                for (outcome, word) in RequestOutcome::ALL {
                    let count = read(&release_metrics.requests[route as usize][outcome as usize]);
                    if is_exported(count, is_used && route == Route::Chat) {
                        let labels = [
                            ("route", path.to_owned()),
                            ("status", word.to_owned()),
                            ("release", release.clone()),
                        ];
                        series.push((labels, count));
                    }
                }
            }
        }
        let help = "Requests that are over, by route, outcome and policy release";
        self.counters("airlock_requests", help, series)
    }

    fn policies(&mut self, releases: &[(String, Arc<ReleaseMetrics>)]) -> fmt::Result {
        let faults = releases.iter().flat_map(|(release, release_metrics)| {
            let is_used = release_metrics.is_used();
            let faults = KINDS
                .iter()
                .zip(&release_metrics.faults)
                .map(|(kind, count)| {
                    let labels = [("release", release.clone()), ("kind", (*kind).to_owned())];
                    (labels, read(count))
                });
            faults.filter(move |(_, count)| is_exported(*count, is_used))
        });
        let help = "Calls into a policy that failed by its fault, by release and kind";
        self.counters("airlock_policy_faults", help, faults)?;
        let resident = releases
            .iter()
            .filter(|(_, release_metrics)| release_metrics.is_used())
            .count();
        let help = "Policy releases in memory";
        self.gauge("airlock_resident_releases", help, resident as u64)
    }

    /// Writes the times of calls into policies. Calls of shadows are written only if there were any.
    fn calls(&mut self, counts: &MetricsInner) -> fmt::Result {
        let series = CallPurpose::ALL.into_iter().flat_map(|(purpose, role)| {
            let calls = counts.calls[purpose as usize].all();
            let exported =
                calls.filter(move |(_, it)| purpose == CallPurpose::Serving || it.number() > 0);
            exported.map(move |(export, it)| ([("export", export), ("role", role)], it))
        });
        let seconds = Some(&Unit::Seconds);
        let help = "Time of calls into policies, by export, and by whether they serve";
        self.histograms("airlock_policy_call", help, seconds, series)
    }

    /// Writes the times of requests.
    fn times(&mut self, counts: &MetricsInner) -> fmt::Result {
        let seconds = Some(&Unit::Seconds);
        let help = "Time from a request to the first token of its answer, in streams";
        let name = "gen_ai_server_time_to_first_token";
        self.histogram(name, help, seconds, &counts.first)?;
        let help = "Time from a request for a completion to the end of its answer";
        let name = "gen_ai_server_request_duration";
        self.histogram(name, help, seconds, &counts.whole)?;
        let help = "What of that time was neither Codex's nor spent in line";
        self.histogram("airlock_overhead", help, seconds, &counts.overhead)?;
        let help = "Time in line for turns; none where there were some at once";
        self.histogram("airlock_queue", help, seconds, &counts.queue)
    }

    fn version(&mut self) -> fmt::Result {
        let labels = [("version", env!("CARGO_PKG_VERSION"))];
        let (name, help) = ("airlock_build_info", "The gateway's version");
        let gauge = MetricType::Gauge;
        let mut build = self.0.encode_descriptor(name, help, None, gauge)?;
        build.encode_family(&labels)?.encode_gauge(&1_u64)
    }

    /// Writes a histogram. The unit, if any, is appended to the name.
    ///
    /// # Errors
    /// The writer fails.
    pub fn histogram(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        values: &Histogram,
    ) -> fmt::Result {
        let histogram = MetricType::Histogram;
        values.encode(self.0.encode_descriptor(name, help, unit, histogram)?)
    }

    /// Writes histograms that differ in their labels.
    ///
    /// # Errors
    /// The writer fails.
    pub fn histograms<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        series: impl IntoIterator<Item = ([(&'static str, &'static str); N], &'a Histogram)>,
    ) -> fmt::Result {
        let histogram = MetricType::Histogram;
        let mut metric = self.0.encode_descriptor(name, help, unit, histogram)?;
        for (labels, values) in series {
            values.encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }

    /// Writes the series of a counter.
    ///
    /// # Errors
    /// The writer fails.
    pub fn counters<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = Series<N>>,
    ) -> fmt::Result {
        let counter = MetricType::Counter;
        let mut metric = self.0.encode_descriptor(name, help, None, counter)?;
        for (labels, count) in series {
            if N == 0 {
                metric.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
            } else {
                let mut metric = metric.encode_family(&labels)?;
                metric.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
            }
        }
        Ok(())
    }

    /// Writes the series of a gauge.
    ///
    /// # Errors
    /// The writer fails.
    pub fn gauges<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = Series<N>>,
    ) -> fmt::Result {
        let gauge = MetricType::Gauge;
        let mut metric = self.0.encode_descriptor(name, help, None, gauge)?;
        for (labels, value) in series {
            metric.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    /// Writes a gauge without labels.
    ///
    /// # Errors
    /// The writer fails.
    pub fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let gauge = MetricType::Gauge;
        let mut metric = self.0.encode_descriptor(name, help, None, gauge)?;
        metric.encode_gauge(&value)
    }
}

/// Whether a count is exported: from its first increment on, because most combinations of labels never occur. Series that are
/// `watched` are exported from the start, because Prometheus's `increase` does not count the first value of a series.
fn is_exported(count: u64, watched: bool) -> bool {
    watched || count > 0
}

fn read(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}
