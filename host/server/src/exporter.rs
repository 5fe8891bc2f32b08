//! The Prometheus exporter: the instruments, and the state of turns, of Codex's children and of the shadow, as OpenMetrics text.

mod fleet; // the children of Codex

use std::fmt;

use airlock_codex::FleetReport;
use airlock_metrics::{Metrics, Page};
use airlock_policy::ShadowTally;
use airlock_store::StoreUsage;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::registry::Registry;

use crate::flow::Occupancy;

/// The data of one scrape: the instruments, and the state at the time.
#[derive(Debug)]
pub(crate) struct Scrape {
    pub(crate) metrics: Metrics,
    pub(crate) turns: Occupancy,
    pub(crate) fleet: FleetReport,
    /// The number of the shadow's release, and its comparisons by result.
    pub(crate) shadow: Option<(u64, ShadowTally)>,
    /// The store's objects and bytes. None: there is no store, or it does not answer.
    pub(crate) store: Option<StoreUsage>,
    /// Responses that run in the background.
    pub(crate) background_responses: u64,
    /// Responses whose end could not be stored.
    pub(crate) store_failures: u64,
    /// Bytes of the events of background responses.
    pub(crate) log_bytes: u64,
    /// Lines of the log that were lost.
    pub(crate) lost_lines: u64,
}

impl Scrape {
    /// OpenMetrics text of all metrics.
    ///
    /// # Errors
    /// A metric cannot be encoded. Writing itself cannot fail: the text is in memory.
    pub(crate) fn text(self) -> Result<String, fmt::Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        text::encode(&mut text, &registry)?;
        Ok(text)
    }

    fn shadow(&self, page: &mut Page<'_>) -> fmt::Result {
        let series = self.shadow.iter().flat_map(|(release, tally)| {
            let counts = [
                ("same", tally.same),
                ("different", tally.different.values().sum()),
                ("failed", tally.failed),
                ("cut", tally.cut),
                ("behind", tally.behind),
                ("passed", tally.passed),
            ];
            counts.map(|(outcome, count)| {
                let labels = [
                    ("release", release.to_string()),
                    ("outcome", outcome.to_owned()),
                ];
                (labels, count)
            })
        });
        let help = "Requests that the current shadow was shown, by what came of it";
        page.counters("airlock_shadow_requests", help, series)
    }
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let page = &mut Page(encoder);
        self.metrics.write(page)?;
        self.shadow(page)?;
        let turns = &self.turns;
        page.gauge("airlock_running_turns", "Turns that run", turns.running)?;
        let help = "Turns that may run at once, as Codex is seen to manage";
        page.gauge("airlock_turn_capacity", help, turns.capacity)?;
        let help = "Requests that wait for a turn";
        page.gauge("airlock_waiting_requests", help, turns.waiting)?;
        if let Some(store) = &self.store {
            let help = "Responses and conversations in the store";
            page.gauge("airlock_stored_objects", help, store.objects)?;
            let help = "Bytes of the store";
            page.gauge("airlock_store_bytes", help, store.bytes)?;
        }
        let help = "Responses that run in the background";
        page.gauge(
            "airlock_background_responses",
            help,
            self.background_responses,
        )?;
        let help = "Responses that could not be stored at their end";
        page.counters("airlock_store_failures", help, [([], self.store_failures)])?;
        let help = "Bytes of the events that are kept of background responses";
        page.gauge("airlock_frame_log_bytes", help, self.log_bytes)?;
        fleet::write(page, &self.fleet)?;
        let help = "Lines of the log that were lost because nobody read them in time";
        page.counters("airlock_log_lost_lines", help, [([], self.lost_lines)])
    }
}

#[cfg(test)]
mod tests;
