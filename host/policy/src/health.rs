//! The health of a release: its requests and faults since it was loaded, and those of late that count against it.
//!
//! A fault is a *suspect* first, with the request at which it occurred. It counts only once the guard of the registry has
//! found that the release which would follow does not fail on the same request.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem::take;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::fault::Fault;
use super::policy_call::loaded_bytes;
use airlock_types::wit::Request;

/// The length of a time slice.
const PART: Duration = Duration::from_millis(250);

/// The most time slices: ten minutes.
const MOMENTS: usize = 2400;

/// The most suspects with a request, and bytes of their requests' bodies. Faults beyond them do not count.
const SUSPECTS: usize = 16;
const SUSPECT_BYTES: usize = 16 << 20;

/// The most suspects without a request.
const COUNTED: usize = 1024;

/// The divisor of these bounds for one client with a key.
const CLIENT_SHARE: usize = 2;

/// The client of a request, by the key that it presented. None: the gateway has no keys, so clients cannot be
/// distinguished.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Client(Option<[u8; 16]>);

impl Client {
    /// The client that presented this key.
    pub fn of_key(key: &[u8]) -> Self {
        let digest = Sha256::digest(key);
        Self(digest.first_chunk().copied())
    }
}

/// A fault that has not been examined.
#[derive(Debug)]
pub(super) struct Suspect {
    pub(super) client: Client,
    /// The request that the policy failed to render. None if another call failed.
    pub(super) request: Option<Request>,
}

impl Suspect {
    fn bytes(&self) -> usize {
        let bytes = |request: &Request| request.body.len() + loaded_bytes(request.loaded.as_ref());
        self.request.as_ref().map_or(0, bytes)
    }
}

/// Counts of a window of time that ends now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecentCounts {
    pub requests: u64,
    /// Faults that count against the release.
    pub faults: u64,
    /// Clients of these faults. Each fault of a client without a key counts as another client.
    pub clients: u64,
}

/// Requests and faults of a release.
pub struct Health {
    record: Mutex<HealthRecord>,
    /// Notified at every fault.
    fault_notify: Arc<Notify>,
}

#[derive(Default)]
struct HealthRecord {
    requests: u64,
    faults: BTreeMap<&'static str, u64>,
    /// The oldest first, without slices in which nothing happened.
    recent: VecDeque<TimeSlice>,
    suspects: Vec<Suspect>,
}

struct TimeSlice {
    began: Instant,
    requests: u64,
    /// Faults that count against the release.
    faults: u64,
    /// Of these, the faults of clients without a key.
    keyless: u64,
    /// The clients of the other faults.
    clients: BTreeSet<Client>,
}

/// Counts since the release was loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HealthCounts {
    pub requests: u64,
    /// By kind: `trap`, `timeout`, `memory`, `contract`, `output`.
    pub faults: BTreeMap<&'static str, u64>,
}

impl Health {
    pub(super) fn new(fault_notify: Arc<Notify>) -> Self {
        Self {
            record: Mutex::default(),
            fault_notify,
        }
    }

    /// Counts a request of this client, and the fault of its instantiation.
    pub(super) fn met(&self, fault: Option<&Fault>, client: Client) {
        // A lack of sandboxes is not a fault of the release.
        if fault.is_some_and(|fault| fault.kind().is_none()) {
            return;
        }
        let mut record = self.lock();
        record.requests += 1;
        record.now().requests += 1;
        drop(record);
        if let Some(fault) = fault {
            self.failed(fault, client, None);
        }
    }

    /// Counts a fault, adds it to the suspects, and notifies the guard. `request`: the request that could not be rendered.
    pub(super) fn failed(&self, fault: &Fault, client: Client, request: Option<&Request>) {
        if fault.kind().is_none() {
            return;
        }
        let mut record = self.lock();
        record.note(fault);
        if record.has_room(client, request) {
            let request = request.cloned();
            record.suspects.push(Suspect { client, request });
        }
        drop(record);
        self.fault_notify.notify_one();
    }

    /// Counts a fault by its kind only: the size of the request explains it, so it does not count against the release.
    pub(super) fn overtaxed(&self, fault: &Fault) {
        self.lock().note(fault);
    }

    /// Takes the suspects.
    pub(super) fn take_suspects(&self) -> Vec<Suspect> {
        take(&mut self.lock().suspects)
    }

    /// Counts a fault of this client's request against the release.
    pub(super) fn count(&self, client: Client) {
        let mut record = self.lock();
        let now = record.now();
        now.faults += 1;
        match client.0 {
            Some(_) => {
                now.clients.insert(client);
            }
            None => now.keyless += 1,
        }
    }

    /// The counts of the last `window`, at most ten minutes.
    pub fn lately(&self, window: Duration) -> RecentCounts {
        let since = Instant::now().checked_sub(window);
        let record = self.lock();
        let recent = record
            .recent
            .iter()
            .filter(|moment| since.is_none_or(|since| moment.began >= since));
        let mut lately = RecentCounts::default();
        let mut clients = BTreeSet::new();
        for moment in recent {
            lately.requests += moment.requests;
            lately.faults += moment.faults;
            lately.clients += moment.keyless;
            clients.extend(moment.clients.iter().copied());
        }
        lately.clients += clients.len() as u64;
        lately
    }

    /// Clears recent counts and suspects, for a release that was activated again.
    pub(super) fn forget_lately(&self) {
        let mut record = self.lock();
        record.recent.clear();
        record.suspects.clear();
    }

    /// The counts since the release was loaded.
    pub fn counts(&self) -> HealthCounts {
        let record = self.lock();
        HealthCounts {
            requests: record.requests,
            faults: record.faults.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HealthRecord> {
        self.record.lock()
    }
}

impl HealthRecord {
    /// Whether there is room for another suspect. Suspects of one client leave room for others' if clients have keys.
    fn has_room(&self, client: Client, request: Option<&Request>) -> bool {
        let bytes = request.map_or(0, |it| it.body.len() + loaded_bytes(it.loaded.as_ref()));
        let (mut all, mut own) = ((0, bytes), (0, bytes));
        for suspect in &self.suspects {
            if suspect.request.is_some() != request.is_some() {
                continue;
            }
            all = (all.0 + 1, all.1 + suspect.bytes());
            if suspect.client == client {
                own = (own.0 + 1, own.1 + suspect.bytes());
            }
        }
        let most = if request.is_some() { SUSPECTS } else { COUNTED };
        let share = if client.0.is_some() { CLIENT_SHARE } else { 1 };
        let fits = |(count, bytes), share| count < most / share && bytes <= SUSPECT_BYTES / share;
        fits(all, 1) && fits(own, share)
    }

    /// Counts a fault by its kind.
    fn note(&mut self, fault: &Fault) {
        if let Some(kind) = fault.kind() {
            *self.faults.entry(kind).or_default() += 1;
        }
    }

    /// The current time slice. Drops slices beyond [`MOMENTS`].
    fn now(&mut self) -> &mut TimeSlice {
        let now = Instant::now();
        let fresh = |moment: &TimeSlice| now.duration_since(moment.began) < PART;
        if !self.recent.back().is_some_and(fresh) {
            while self.recent.len() >= MOMENTS {
                self.recent.pop_front();
            }
            self.recent.push_back(TimeSlice {
                began: now,
                requests: 0,
                faults: 0,
                keyless: 0,
                clients: BTreeSet::new(),
            });
        }
        let last = self.recent.len() - 1;
        &mut self.recent[last]
    }
}

#[cfg(test)]
mod tests;
