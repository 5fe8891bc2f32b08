//! The memory budget of bodies. When it is exhausted, the slowest arriving body is evicted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use airlock_base::memory::{BodyMemory, COPIES, MemoryShare, permits};

/// The most bytes of a small body, which may use the memory reserved for small ones.
const SMALL: usize = 256 << 10;

/// Bytes a second below which an arriving body is slow, and may be evicted. At this rate, the largest body by default would
/// take four minutes; it may take one.
const SLOW: u64 = 128 << 10;

/// The time over which a rate is measured. After a pause as long, the rate is 0.
const RATE_WINDOW: Duration = Duration::from_secs(1);

/// How long a body waits for memory.
const WAIT: Duration = Duration::from_secs(2);

/// How often a waiting body looks for slow ones.
const POLL: Duration = Duration::from_millis(50);

/// The memory of all bodies. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct MemoryBudget(Arc<BudgetInner>);

#[derive(Debug)]
struct BudgetInner {
    common: Arc<Semaphore>,
    /// For small bodies only. They may use `common` too.
    small: Arc<Semaphore>,
    arriving: Mutex<BudgetState>,
}

#[derive(Debug, Default)]
struct BudgetState {
    next: u64,
    bodies: BTreeMap<u64, BodyProgress>,
}

/// The progress of an arriving body.
#[derive(Debug)]
struct BodyProgress {
    /// Bytes a second in the window before the current one. None: the current window is the first.
    rate: Option<u64>,
    /// When the current window began.
    since: Instant,
    /// Bytes received in the current window.
    bytes: u64,
    /// When the last bytes were received.
    last: Instant,
    /// The body waits for memory, and is not read meanwhile.
    waiting: bool,
    /// The memory is from the semaphore for small bodies.
    small: bool,
    /// The body holds memory.
    holds: bool,
    /// The body is evicted, and still holds its memory.
    leaving: bool,
    evicted: Arc<Notify>,
}

/// No memory came free for more of a body.
#[derive(Debug)]
pub(super) struct MemoryShortage;

impl MemoryBudget {
    pub(super) fn new(memory: BodyMemory) -> Self {
        Self(Arc::new(BudgetInner {
            common: Arc::new(Semaphore::new(memory.common)),
            small: Arc::new(Semaphore::new(memory.small)),
            arriving: Mutex::default(),
        }))
    }

    /// An empty reservation for a body of `announced` bytes. A body that announces more than `SMALL` never counts as small: its
    /// beginning would hold memory that is reserved for small bodies.
    pub(super) fn reserve(&self, announced: usize) -> BodyReservation {
        let small = announced <= SMALL;
        let now = Instant::now();
        let evicted = Arc::<Notify>::default();
        let mut arriving = self.lock();
        let number = arriving.next;
        arriving.next += 1;
        let arrival = BodyProgress {
            rate: None,
            since: now,
            bytes: 0,
            last: now,
            waiting: false,
            small,
            holds: false,
            leaving: false,
            evicted: Arc::clone(&evicted),
        };
        arriving.bodies.insert(number, arrival);
        drop(arriving);
        BodyReservation {
            budget: self.clone(),
            number,
            bytes: 0,
            charged: 0,
            small,
            share: MemoryShare::default(),
            evicted,
        }
    }

    /// The memory for small bodies, or that for all.
    fn memory(&self, small: bool) -> Arc<Semaphore> {
        let memory = if small { &self.0.small } else { &self.0.common };
        Arc::clone(memory)
    }

    /// Evicts the slowest arriving body, if one is slow and no eviction is under way. With `small`, bodies with memory for
    /// small ones may be evicted too. False: no body is slow, and no eviction is under way.
    fn evict(&self, small: bool) -> bool {
        let now = Instant::now();
        let mut arriving = self.lock();
        if arriving.bodies.values().any(|arrival| arrival.leaving) {
            return true;
        }
        let slow = arriving.bodies.iter().filter_map(|(number, arrival)| {
            let rate = arrival.rate(now)?;
            (arrival.holds && rate < SLOW && (small || !arrival.small)).then_some((
                rate,
                arrival.last,
                *number,
            ))
        });
        let slowest = slow.min().map(|(_, _, number)| number);
        let evicted = slowest.and_then(|number| arriving.bodies.get_mut(&number));
        evicted.is_some_and(|arrival| {
            arrival.leaving = true;
            arrival.evicted.notify_one();
            true
        })
    }

    fn lock(&self) -> MutexGuard<'_, BudgetState> {
        self.0.arriving.lock()
    }
}

impl BodyProgress {
    /// Bytes a second. None: not measured yet, or the body waits for memory.
    fn rate(&self, now: Instant) -> Option<u64> {
        match self.waiting {
            true => None,
            false if now - self.last >= RATE_WINDOW => Some(0),
            false => self.rate,
        }
    }

    fn received(&mut self, bytes: usize) {
        let now = Instant::now();
        self.bytes += bytes as u64;
        self.last = now;
        let elapsed = now - self.since;
        if elapsed >= RATE_WINDOW {
            let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
            self.rate = Some(self.bytes.saturating_mul(1000) / millis.max(1));
            self.since = now;
            self.bytes = 0;
        }
    }
}

/// The memory of an arriving body. It is released on drop.
#[derive(Debug)]
pub(super) struct BodyReservation {
    budget: MemoryBudget,
    number: u64,
    bytes: usize,
    /// Permits in the share.
    charged: u32,
    /// Whether they are from the semaphore for small bodies.
    small: bool,
    share: MemoryShare,
    evicted: Arc<Notify>,
}

impl BodyReservation {
    /// Adds the memory for a received piece. Only received bytes count: a client that announces many and sends few takes
    /// nothing from others. If no memory is free, slow bodies are evicted, and this waits at most `WAIT`.
    ///
    /// # Errors
    /// No memory came free in time.
    pub(super) async fn grow(&mut self, piece: usize) -> Result<(), MemoryShortage> {
        self.bytes = self.bytes.saturating_add(piece);
        let wanted = permits(self.bytes.saturating_mul(COPIES));
        self.update(|arrival| arrival.received(piece));
        if self.try_charge(wanted) {
            return Ok(());
        }
        let small = self.is_small();
        self.update(|arrival| (arrival.waiting, arrival.small) = (true, small));
        let charged = timeout(WAIT, async {
            loop {
                if self.is_leaving() || !self.budget.evict(self.is_small()) && self.must_give_up() {
                    return None;
                }
                // Repeated, not one long wait: a semaphore assigns free permits to its first waiter one by one, and bodies that
                // arrive fast would find none meanwhile.
                if let Ok((small, more)) = timeout(POLL, self.charge(wanted)).await {
                    return Some((small, more));
                }
            }
        });
        let (small, more) = charged.await.ok().flatten().ok_or(MemoryShortage)?;
        self.charged(wanted, small, more);
        self.update(|arrival| {
            arrival.waiting = false;
            arrival.last = Instant::now();
        });
        Ok(())
    }

    /// Completes when the body is evicted.
    pub(super) async fn evicted(&self) {
        self.evicted.notified().await;
    }

    /// The memory of the complete body.
    pub(super) fn into_share(mut self) -> MemoryShare {
        std::mem::take(&mut self.share)
    }

    /// Whether earlier large bodies wait that hold memory already. Then this one gives up, even if it holds none: otherwise
    /// they could all wait for memory that they hold together, and arriving bodies behind them in the semaphore's queue.
    fn must_give_up(&self) -> bool {
        let arriving = self.budget.lock();
        let waiting = arriving
            .bodies
            .iter()
            .filter(|(number, it)| it.waiting && !it.small && **number != self.number);
        let (mut all_before, mut any_holds) = (true, false);
        for (number, other) in waiting {
            all_before &= *number < self.number;
            any_holds |= other.holds;
        }
        !self.is_small() && all_before && any_holds
    }

    fn is_leaving(&self) -> bool {
        let arriving = self.budget.lock();
        let arrival = arriving.bodies.get(&self.number);
        arrival.is_some_and(|arrival| arrival.leaving)
    }

    fn is_small(&self) -> bool {
        self.small && self.bytes <= SMALL
    }

    /// The number of missing permits: all, if the present ones are from the other semaphore.
    fn lacking(&self, wanted: u32, small: bool) -> u32 {
        wanted - if small == self.small { self.charged } else { 0 }
    }

    /// Acquires the missing permits if they are free.
    fn try_charge(&mut self, wanted: u32) -> bool {
        for small in [true, false] {
            if small && !self.is_small() {
                continue;
            }
            let lacking = self.lacking(wanted, small);
            if let Ok(more) = self.budget.memory(small).try_acquire_many_owned(lacking) {
                self.charged(wanted, small, more);
                return true;
            }
        }
        false
    }

    /// Waits for the missing permits. Returns them, and whether they are from the semaphore for small bodies.
    async fn charge(&self, wanted: u32) -> (bool, OwnedSemaphorePermit) {
        let acquire = async |small| {
            let lacking = self.lacking(wanted, small);
            match self.budget.memory(small).acquire_many_owned(lacking).await {
                Ok(more) => (small, more),
                // The semaphores are never closed.
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            charged = acquire(true), if self.is_small() => charged,
            charged = acquire(false) => charged,
        }
    }

    /// Adds acquired permits to the share.
    fn charged(&mut self, wanted: u32, small: bool, more: OwnedSemaphorePermit) {
        if self.charged == 0 || small != self.small {
            self.update(|arrival| (arrival.small, arrival.holds) = (small, true));
        }
        if small == self.small {
            self.share.merge(more);
        } else {
            self.share = more.into();
            self.small = small;
        }
        self.charged = wanted;
    }

    fn update(&self, change: impl FnOnce(&mut BodyProgress)) {
        if let Some(arrival) = self.budget.lock().bodies.get_mut(&self.number) {
            change(arrival);
        }
    }
}

impl Drop for BodyReservation {
    fn drop(&mut self) {
        self.budget.lock().bodies.remove(&self.number);
    }
}
