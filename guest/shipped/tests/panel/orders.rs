//! Every order of outcomes, grace time and deadline: a panel decides exactly when it must, once, and only for an
//! existing answer.

use super::*;

/// The outcome of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CandidateOutcome {
    Answers,
    Fails,
    IsEmpty,
    IsTruncated,
}

const OUTCOMES: [CandidateOutcome; 4] = [
    CandidateOutcome::Answers,
    CandidateOutcome::Fails,
    CandidateOutcome::IsEmpty,
    CandidateOutcome::IsTruncated,
];
const STRATEGIES: [&str; 4] = ["merge", "judge", "vote", "first"];

/// One fan-out.
#[derive(Debug)]
struct Run {
    strategy: &'static str,
    quorum: u32,
    grace: u64,
    deadline: Option<u64>,
    /// The candidates in the order in which they end, one every ten milliseconds. Two of three give equal answers.
    order: Vec<(u32, CandidateOutcome)>,
    /// Whether the host's first `wake` comes after the first candidate has ended.
    late_wake: bool,
    /// Whether the panel is also woken between events.
    restless: bool,
}

impl Run {
    /// Acts as the host, and checks every verdict against the rules.
    fn play(&self) {
        let notes = json!({
            "strategy": self.strategy, "quorum": self.quorum,
            "grace_ms": self.grace, "deadline_ms": self.deadline,
        });
        let count = u32::try_from(self.order.len()).unwrap();
        let mut seen = Seen {
            run: self,
            panel: panel(count, notes),
            settled: Vec::new(),
            deadline: None,
            grace_end: None,
            verdict: None,
        };
        let mut due = (!self.late_wake).then(|| seen.wake(0)).flatten();
        for (index, (candidate, outcome)) in self.order.iter().enumerate() {
            let now = 10 * (u64::try_from(index).unwrap() + 1);
            while let Some(time) = due.filter(|time| *time < now) {
                due = seen.wake(time);
            }
            if self.restless {
                seen.wake(now - 1);
            }
            due = seen.settle(*candidate, *outcome, now);
            if self.late_wake && index == 0 {
                due = seen.wake(now);
            }
        }
        seen.end();
    }
}

/// The events so far, and the expected verdicts.
struct Seen<'a> {
    run: &'a Run,
    panel: Panel,
    settled: Vec<(u32, CandidateOutcome)>,
    deadline: Option<u64>,
    grace_end: Option<u64>,
    verdict: Option<Verdict>,
}

impl Seen<'_> {
    fn wake(&mut self, now: u64) -> Option<u64> {
        let woken = self.panel.wake(now);
        self.start(now);
        self.check(woken, now, false)
    }

    fn settle(&mut self, candidate: u32, expected: CandidateOutcome, now: u64) -> Option<u64> {
        let reported = match expected {
            CandidateOutcome::Answers => completed(answer(candidate)),
            CandidateOutcome::Fails => failed(ProblemKind::Upstream, "upstream_error"),
            CandidateOutcome::IsEmpty => completed(" "),
            CandidateOutcome::IsTruncated => truncated(Shortfall::ContentFilter, "cut"),
        };
        let verdict = self.panel.settle(candidate, reported, now);
        self.start(now);
        self.settled.push((candidate, expected));
        let quorum = usize::try_from(self.run.quorum).unwrap();
        if expected == CandidateOutcome::Answers
            && self.with(CandidateOutcome::Answers).len() == quorum
        {
            self.grace_end = Some(now + self.run.grace);
        }
        self.check(verdict, now, expected == CandidateOutcome::Answers)
    }

    /// The deadline runs from the first event.
    fn start(&mut self, now: u64) {
        if self.deadline.is_none() {
            self.deadline = self.run.deadline.map(|after| now + after);
        }
    }

    /// Checks one verdict, and returns the time that the host must watch.
    fn check(&mut self, verdict: Verdict, now: u64, answered: bool) -> Option<u64> {
        if self.verdict.is_some() {
            assert_eq!(verdict, Verdict::Wait(None), "{:?}", self.run);
            return None;
        }
        let passed = |time: Option<u64>| time.is_some_and(|time| time <= now);
        let must = self.settled.len() == self.run.order.len()
            || passed(self.deadline)
            || passed(self.grace_end)
            || answered && self.enough();
        if let Verdict::Wait(time) = verdict {
            assert!(!must, "waits at {now}: {:?}", self.run);
            assert_eq!(time, self.deadline.into_iter().chain(self.grace_end).min());
            return time;
        }
        assert!(must, "decides at {now}: {:?}", self.run);
        self.fits(&verdict);
        self.verdict = Some(verdict);
        None
    }

    /// Whether the answers decide before all have ended.
    fn enough(&self) -> bool {
        let answers = self.with(CandidateOutcome::Answers);
        let agree = |text: &str| answers.iter().filter(|it| answer(**it) == text).count();
        match self.run.strategy {
            "first" => true,
            "vote" => agree("same").max(agree("other")) > self.run.order.len() / 2,
            _ => false,
        }
    }

    /// Checks that the verdict is allowed for these outcomes.
    fn fits(&self, verdict: &Verdict) {
        let answers = self.with(CandidateOutcome::Answers);
        let truncated = self.with(CandidateOutcome::IsTruncated);
        let fits = match verdict {
            Verdict::Wait(_) | Verdict::Complete => false,
            Verdict::Fail(_) => answers.is_empty() && truncated.is_empty(),
            Verdict::Show(_) => answers.len() > 1 && self.run.strategy == "merge",
            Verdict::Consult(_) => answers.len() > 1 && self.run.strategy == "judge",
            Verdict::Pick(choice) => match answers.as_slice() {
                [] => truncated.iter().min() == Some(&choice.candidate),
                [only] => choice.candidate == *only && choice.extra.is_none(),
                several => {
                    several.contains(&choice.candidate)
                        && ["vote", "first"].contains(&self.run.strategy)
                }
            },
        };
        assert!(fits, "{verdict:?} of {:?}", self.run);
    }

    fn with(&self, outcome: CandidateOutcome) -> Vec<u32> {
        let these = self.settled.iter().filter(|settled| settled.1 == outcome);
        these.map(|settled| settled.0).collect()
    }

    /// Fails the requested turn: one pick follows, and nothing after it.
    fn end(mut self) {
        let verdict = self.verdict.take().expect("a verdict");
        let broken = failed(ProblemKind::Upstream, "upstream_error");
        if matches!(verdict, Verdict::Show(_) | Verdict::Consult(_)) {
            let last = self.panel.judged(broken.clone(), 1_000_000);
            let Verdict::Pick(choice) = last else {
                panic!("{last:?} of {:?}", self.run);
            };
            // Even after outcomes of other candidates.
            let outcome = self.run.order.iter().find(|it| it.0 == choice.candidate);
            assert_eq!(
                outcome.unwrap().1,
                CandidateOutcome::Answers,
                "{:?}",
                self.run
            );
        }
        assert_eq!(self.panel.judged(broken, 1_000_001), Verdict::Wait(None));
        assert_eq!(self.panel.wake(1_000_002), Verdict::Wait(None));
    }
}

fn answer(candidate: u32) -> &'static str {
    if candidate.is_multiple_of(3) {
        "other"
    } else {
        "same"
    }
}

/// Every outcome of every candidate, for candidates that end in this order.
fn all_outcomes(order: &[u32]) -> impl Iterator<Item = Vec<(u32, CandidateOutcome)>> {
    let count = OUTCOMES.len().pow(u32::try_from(order.len()).unwrap());
    (0..count).map(|mut number| {
        let outcome = |candidate: &u32| {
            let outcome = OUTCOMES[number % OUTCOMES.len()];
            number /= OUTCOMES.len();
            (*candidate, outcome)
        };
        order.iter().map(outcome).collect()
    })
}

fn permutations(count: u32) -> Vec<Vec<u32>> {
    if count == 0 {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for shorter in permutations(count - 1) {
        for position in 0..=shorter.len() {
            let mut order = shorter.clone();
            order.insert(position, count);
            all.push(order);
        }
    }
    all
}

/// Runs every fan-out whose candidates end in one of these orders.
fn play_all(orders: &[Vec<u32>], restless: &[bool]) {
    for order in orders.iter().flat_map(|order| all_outcomes(order)) {
        let count = u32::try_from(order.len()).unwrap();
        for strategy in STRATEGIES {
            for quorum in 1..=count {
                for grace in [0, 10, 15] {
                    for deadline in [None, Some(5), Some(25), Some(30)] {
                        for restless in restless {
                            let run = Run {
                                strategy,
                                quorum,
                                grace,
                                deadline,
                                order: order.clone(),
                                late_wake: quorum == 2 && grace == 10,
                                restless: *restless,
                            };
                            run.play();
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn two_and_three_candidates_in_every_order() {
    play_all(&permutations(2), &[false, true]);
    play_all(&permutations(3), &[false, true]);
}

#[test]
fn four_candidates_in_several_orders() {
    let orders = [vec![1, 2, 3, 4], vec![4, 3, 2, 1], vec![3, 1, 4, 2]];
    play_all(&orders, &[true]);
}

#[test]
fn five_candidates_with_every_outcome() {
    play_all(&[vec![2, 5, 1, 3, 4]], &[false]);
}

#[test]
fn up_to_twenty_candidates_at_random() {
    let mut state: u64 = 0x2545_F491_4F6C_DD1D;
    let mut below = |most: u32| {
        // Xorshift64*.
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        let high = state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32;
        u32::try_from(high).unwrap() % most
    };
    for _ in 0..3_000 {
        let count = 6 + below(15);
        // From all candidates answering to hardly any.
        let spread = 1 + below(8);
        let mut order: Vec<(u32, CandidateOutcome)> = Vec::new();
        for candidate in 1..=count {
            let outcome = usize::try_from(below(spread)).unwrap();
            let position = usize::try_from(below(candidate)).unwrap();
            let outcome = OUTCOMES[outcome % OUTCOMES.len()];
            order.insert(position, (candidate, outcome));
        }
        let deadline = u64::from(below(300));
        Run {
            strategy: STRATEGIES[usize::try_from(below(4)).unwrap()],
            quorum: 1 + below(count),
            grace: u64::from(below(60)),
            deadline: (deadline > 0 && below(2) == 0).then_some(deadline),
            order,
            late_wake: below(4) == 0,
            restless: below(2) == 0,
        }
        .play();
    }
}
