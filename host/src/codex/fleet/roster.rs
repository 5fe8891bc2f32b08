//! Which child does what: who takes turns, who stands by, who is to be replaced, and who is on the way out.

use std::sync::Arc;

use serde::Serialize;

/// Why a child is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reason {
    /// It has started as many threads as a child may.
    Threads,
    /// It is as large in memory as a child may be.
    Resident,
    /// It has run as long as a child may.
    Age,
    /// The home's log is as large as it may be; only a start makes it smaller.
    Log,
    /// There is another login, which it cannot know of.
    Login,
    /// It ended, or hangs.
    Broken,
}

impl Reason {
    /// All of them, with their names.
    pub(crate) const ALL: [(Self, &'static str); 6] = [
        (Self::Threads, "threads"),
        (Self::Resident, "resident"),
        (Self::Age, "age"),
        (Self::Log, "log"),
        (Self::Login, "login"),
        (Self::Broken, "broken"),
    ];
}

/// What a child does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Place {
    /// It is ready for when another goes.
    Spare,
    Serving,
    /// It takes no more turns, and sees those out that it has.
    Leaving,
}

/// What a roster must know of a child.
pub(super) trait Sitter {
    /// Whether calls can be made.
    fn is_open(&self) -> bool;
    /// Turns that it has.
    fn turns(&self) -> usize;
}

/// A child and what it does.
#[derive(Debug)]
pub(super) struct Seat<M> {
    pub(super) number: u64,
    pub(super) member: Arc<M>,
    pub(super) place: Place,
    /// Why it is to be replaced, as soon as another can take its place.
    pub(super) due: Option<Reason>,
}

/// The children of one home.
#[derive(Debug)]
pub(super) struct Roster<M> {
    pub(super) seats: Vec<Seat<M>>,
    /// Children that are being started.
    pub(super) starting: usize,
    /// Children that shall serve.
    children: usize,
    /// Whether one shall stand by.
    spare: bool,
}

impl<M: Sitter> Roster<M> {
    pub(super) fn new(children: usize, spare: bool) -> Self {
        Self {
            seats: Vec::new(),
            starting: 0,
            children,
            spare,
        }
    }

    /// A child has started.
    pub(super) fn seat(&mut self, number: u64, member: Arc<M>) {
        self.seats.push(Seat {
            number,
            member,
            place: Place::Spare,
            due: None,
        });
    }

    /// A child is gone.
    pub(super) fn remove(&mut self, number: u64) {
        self.seats.retain(|seat| seat.number != number);
    }

    /// The child with the fewest turns, of those that take some.
    pub(super) fn least(&self) -> Option<Arc<M>> {
        let serving = self.seats.iter().filter(|seat| seat.serves());
        let least = serving.min_by_key(|seat| seat.member.turns());
        least.map(|seat| seat.member.clone())
    }

    /// Puts whoever stands by in the place of who is gone or due, and gives those that shall leave.
    pub(super) fn settle(&mut self) -> Vec<(Arc<M>, Reason)> {
        let mut leaving = Vec::new();
        // Of no use any more as a replacement.
        for seat in &mut self.seats {
            if let (Place::Spare, Some(reason)) = (seat.place, seat.due) {
                seat.place = Place::Leaving;
                leaving.push((seat.member.clone(), reason));
            }
        }
        loop {
            let serving = self.seats.iter().filter(|seat| seat.serves()).count();
            let due = self
                .seats
                .iter()
                .position(|seat| seat.serves() && seat.due.is_some());
            if serving >= self.children && due.is_none() {
                return leaving;
            }
            let stands_by = |seat: &Seat<M>| seat.place == Place::Spare && seat.member.is_open();
            let Some(next) = self.seats.iter().position(stands_by) else {
                return leaving;
            };
            self.seats[next].place = Place::Serving;
            if serving < self.children {
                continue;
            }
            if let Some(due) = due {
                let seat = &mut self.seats[due];
                seat.place = Place::Leaving;
                let reason = seat.due.unwrap_or(Reason::Broken);
                leaving.push((seat.member.clone(), reason));
            }
        }
    }

    /// How many more children there should be. The spare comes last, so that it delays nobody.
    pub(super) fn missing(&self) -> usize {
        let open = |seat: &&Seat<M>| seat.place != Place::Leaving && seat.member.is_open();
        let staying = self.seats.iter().filter(open);
        let staying = staying.filter(|seat| seat.due.is_none()).count();
        let some_serve = self.seats.iter().any(Seat::serves);
        let wanted = self.children + usize::from(self.spare && some_serve);
        // With no spare a due child still needs one to hand over to: it does not count as staying.
        wanted.saturating_sub(staying + self.starting)
    }

    /// A child takes no more turns from now on, whether another is there or not. False: it takes none already.
    pub(super) fn leave(&mut self, number: u64) -> bool {
        let seat = self.seats.iter_mut().find(|seat| seat.number == number);
        let seat = seat.filter(|seat| seat.place != Place::Leaving);
        seat.map(|seat| seat.place = Place::Leaving).is_some()
    }
}

impl<M: Sitter> Seat<M> {
    fn serves(&self) -> bool {
        self.place == Place::Serving && self.member.is_open()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use super::*;

    #[derive(Debug)]
    struct Fake {
        open: AtomicBool,
        turns: AtomicUsize,
    }

    impl Sitter for Fake {
        fn is_open(&self) -> bool {
            self.open.load(Ordering::Relaxed)
        }
        fn turns(&self) -> usize {
            self.turns.load(Ordering::Relaxed)
        }
    }

    fn child(turns: usize) -> Arc<Fake> {
        Arc::new(Fake {
            open: true.into(),
            turns: turns.into(),
        })
    }

    fn places(roster: &Roster<Fake>) -> Vec<(u64, Place)> {
        let seats = roster.seats.iter();
        seats.map(|seat| (seat.number, seat.place)).collect()
    }

    #[test]
    fn the_spare_comes_after_those_who_serve() {
        let mut roster = Roster::new(2, true);
        assert_eq!(roster.missing(), 2);
        roster.starting = 2;
        assert_eq!(roster.missing(), 0);
        roster.starting = 1;
        roster.seat(1, child(0));
        assert!(roster.settle().is_empty());
        assert_eq!(roster.missing(), 1);
        roster.starting = 0;
        roster.seat(2, child(0));
        roster.seat(3, child(0));
        roster.settle();
        assert_eq!(roster.missing(), 0);
        assert_eq!(
            places(&roster),
            [(1, Place::Serving), (2, Place::Serving), (3, Place::Spare)]
        );
    }

    #[test]
    fn the_least_loaded_takes_the_turn() {
        let mut roster = Roster::new(3, false);
        for (number, turns) in [(1, 4), (2, 1), (3, 2)] {
            roster.seat(number, child(turns));
        }
        roster.settle();
        assert_eq!(roster.least().unwrap().turns(), 1);
        roster.seats[1].member.open.store(false, Ordering::Relaxed);
        assert_eq!(roster.least().unwrap().turns(), 2);
    }

    #[test]
    fn a_spare_takes_the_place_of_one_that_is_gone() {
        let mut roster = Roster::new(1, true);
        roster.seat(1, child(0));
        roster.settle();
        roster.seat(2, child(0));
        roster.seats[0].member.open.store(false, Ordering::Relaxed);
        assert!(roster.least().is_none());
        roster.settle();
        assert!(roster.least().is_some());
        assert_eq!(roster.missing(), 1);
        roster.remove(1);
        assert_eq!(places(&roster), [(2, Place::Serving)]);
    }

    #[test]
    fn who_is_due_leaves_only_when_another_is_there() {
        for spare in [true, false] {
            let mut roster = Roster::new(1, spare);
            roster.seat(1, child(7));
            roster.settle();
            roster.seats[0].due = Some(Reason::Threads);
            assert!(roster.settle().is_empty());
            assert!(roster.least().is_some());
            assert_eq!(roster.missing(), 1 + usize::from(spare));
            roster.seat(2, child(0));
            let leaving = roster.settle();
            assert_eq!(leaving.len(), 1);
            assert_eq!((leaving[0].0.turns(), leaving[0].1), (7, Reason::Threads));
            assert_eq!(places(&roster), [(1, Place::Leaving), (2, Place::Serving)]);
            assert_eq!(roster.missing(), usize::from(spare));
        }
    }

    #[test]
    fn a_spare_that_is_due_goes_at_once() {
        let mut roster = Roster::new(1, true);
        roster.seat(1, child(0));
        roster.settle();
        roster.seat(2, child(0));
        roster.seats[1].due = Some(Reason::Age);
        assert_eq!(roster.settle().len(), 1);
        assert_eq!(places(&roster), [(1, Place::Serving), (2, Place::Leaving)]);
        assert!(!roster.leave(2));
        assert!(roster.leave(1));
        assert!(roster.least().is_none());
    }
}
