//! The memory that arriving bodies take, and who gives it up when there is none left.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use airlock_base::memory::{COPIES, MemoryShare, Split, units};

/// Bytes up to which a body is small, and may use the memory that is kept for small ones.
const SMALL: usize = 256 << 10;

/// Bytes a second below which an arriving body gives its memory up when others need it. The largest by default takes four
/// minutes at this rate, and has one.
const SLOW: u64 = 128 << 10;

/// The time over which rates are measured. A body of which nothing came for as long has a rate of 0.
const MEASURED: Duration = Duration::from_secs(1);

/// How long a body waits for memory.
const WAIT: Duration = Duration::from_secs(2);

/// How long it waits before it looks once more whether an arriving body is slow.
const STEP: Duration = Duration::from_millis(50);

/// Memory for bodies. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Budget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    common: Arc<Semaphore>,
    /// For small bodies alone. They use the other too.
    small: Arc<Semaphore>,
    arriving: Mutex<Arrivals>,
}

#[derive(Debug, Default)]
struct Arrivals {
    next: u64,
    bodies: BTreeMap<u64, Arrival>,
}

/// What is known of an arriving body.
#[derive(Debug)]
struct Arrival {
    /// Of the second before the current one. None: there was none.
    rate: Option<u64>,
    /// When the current second began, and what came in it.
    since: Instant,
    bytes: u64,
    last: Instant,
    /// It waits for memory, and so nothing of it comes.
    waiting: bool,
    small: bool,
    /// It has memory.
    holds: bool,
    /// It is to give its memory up, and still has it.
    leaving: bool,
    evicted: Arc<Notify>,
}

/// There is no memory for more of a body.
#[derive(Debug)]
pub(super) struct Shortage;

impl Budget {
    pub(super) fn new(split: Split) -> Self {
        Self(Arc::new(Inner {
            common: Arc::new(Semaphore::new(split.common)),
            small: Arc::new(Semaphore::new(split.small)),
            arriving: Mutex::default(),
        }))
    }

    /// A body begins to arrive, of which so many bytes are announced. One that is announced as large is never small: its
    /// beginning would hold the memory that is kept for small ones.
    pub(super) fn arrive(&self, announced: usize) -> Arriving {
        let small = announced <= SMALL;
        let now = Instant::now();
        let evicted = Arc::<Notify>::default();
        let mut arriving = self.lock();
        let number = arriving.next;
        arriving.next += 1;
        let arrival = Arrival {
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
        Arriving {
            budget: self.clone(),
            number,
            bytes: 0,
            charged: 0,
            small,
            share: MemoryShare::default(),
            evicted,
        }
    }

    /// The memory for small bodies alone, or that for all.
    fn memory(&self, small: bool) -> Arc<Semaphore> {
        let memory = if small { &self.0.small } else { &self.0.common };
        Arc::clone(memory)
    }

    /// Has the slowest of the arriving bodies give its memory up, if any is slow and no other one is about to. `small`: also
    /// those that use the memory that is kept for small ones. False: none is slow, nor about to.
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

    /// A standard mutex: it is never held across an await.
    fn lock(&self) -> MutexGuard<'_, Arrivals> {
        let arriving = self.0.arriving.lock();
        arriving.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Arrival {
    /// Bytes a second. None: it is too early to tell, or it waits for us.
    fn rate(&self, now: Instant) -> Option<u64> {
        match self.waiting {
            true => None,
            false if now - self.last >= MEASURED => Some(0),
            false => self.rate,
        }
    }

    fn received(&mut self, bytes: usize) {
        let now = Instant::now();
        self.bytes += bytes as u64;
        self.last = now;
        let elapsed = now - self.since;
        if elapsed >= MEASURED {
            let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
            self.rate = Some(self.bytes.saturating_mul(1000) / millis.max(1));
            self.since = now;
            self.bytes = 0;
        }
    }
}

/// A body that arrives, with the memory that it takes up.
#[derive(Debug)]
pub(super) struct Arriving {
    budget: Budget,
    number: u64,
    bytes: usize,
    /// Permits that it has.
    charged: u32,
    /// It has them of those for small bodies.
    small: bool,
    share: MemoryShare,
    evicted: Arc<Notify>,
}

impl Arriving {
    /// Takes memory for a piece of it. What is held counts as it arrives: a client that announces much and sends little
    /// takes nothing from others. Where there is none, slow bodies give theirs up, and it waits.
    ///
    /// # Errors
    /// None came free in time.
    pub(super) async fn take(&mut self, piece: usize) -> Result<(), Shortage> {
        self.bytes = self.bytes.saturating_add(piece);
        let wanted = units(self.bytes.saturating_mul(COPIES));
        self.note(|arrival| arrival.received(piece));
        if self.try_charge(wanted) {
            return Ok(());
        }
        let small = self.is_small();
        self.note(|arrival| (arrival.waiting, arrival.small) = (true, small));
        let charged = timeout(WAIT, async {
            loop {
                if self.is_leaving() || !self.budget.evict(self.is_small()) && self.must_give_up() {
                    return None;
                }
                // Given up and begun again: a semaphore hands a waiter what is free bit by bit, and bodies that come fast would
                // find none for as long.
                if let Ok((small, more)) = timeout(STEP, self.charge(wanted)).await {
                    return Some((small, more));
                }
            }
        });
        let (small, more) = charged.await.ok().flatten().ok_or(Shortage)?;
        self.charged(wanted, small, more);
        self.note(|arrival| {
            arrival.waiting = false;
            arrival.last = Instant::now();
        });
        Ok(())
    }

    /// Completes when it has to give its memory up.
    pub(super) async fn evicted(&self) {
        self.evicted.notified().await;
    }

    /// The memory that it takes up, now that it is whole.
    pub(super) fn whole(mut self) -> MemoryShare {
        std::mem::take(&mut self.share)
    }

    /// Whether other large bodies wait that have come before it and hold memory already. It gives up then, whether it holds any or
    /// not: else all of them would wait for what they hold together, and those that are arriving behind one that is in the
    /// semaphore's queue.
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

    /// The permits that it lacks: all of them, where those that it has are of the other kind.
    fn lacking(&self, wanted: u32, small: bool) -> u32 {
        wanted - if small == self.small { self.charged } else { 0 }
    }

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

    /// The same, as soon as they are free.
    async fn charge(&self, wanted: u32) -> (bool, OwnedSemaphorePermit) {
        let acquire = async |small| {
            let lacking = self.lacking(wanted, small);
            match self.budget.memory(small).acquire_many_owned(lacking).await {
                Ok(more) => (small, more),
                // They are never closed.
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            charged = acquire(true), if self.is_small() => charged,
            charged = acquire(false) => charged,
        }
    }

    fn charged(&mut self, wanted: u32, small: bool, more: OwnedSemaphorePermit) {
        if self.charged == 0 || small != self.small {
            self.note(|arrival| (arrival.small, arrival.holds) = (small, true));
        }
        if small == self.small {
            self.share.add(more);
        } else {
            self.share = more.into();
            self.small = small;
        }
        self.charged = wanted;
    }

    fn note(&self, change: impl FnOnce(&mut Arrival)) {
        if let Some(arrival) = self.budget.lock().bodies.get_mut(&self.number) {
            change(arrival);
        }
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.budget.lock().bodies.remove(&self.number);
    }
}
