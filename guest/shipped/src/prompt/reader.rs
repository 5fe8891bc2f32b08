//! Where in a request's body we stand, what was found wrong there, and what will be ignored.

use std::collections::BTreeSet;

use serde::de;

use super::problems::{problem, quoted};
use crate::bindings::airlock::policy::types::{Attachment, Problem, ProblemKind};
use crate::panel::Strategy;

/// How many ignored parameters are named; they end up in a response header.
const NAMED_AT_MOST: usize = 32;
const STRICT: &str =
    "cannot be honoured, and this gateway refuses what it would ignore: leave it out";

/// The state of one reading of a body.
///
/// It walks beside serde: every shape enters a step before it reads the value there and leaves it only when that
/// succeeded, so that after an error the trail still says where.
pub(super) struct Reader<'r> {
    /// What the host lifted out of the body.
    pub(super) attachments: &'r [Attachment],
    /// Indices of those that were read.
    attached: BTreeSet<usize>,
    /// The strategies that the policy has for a fan-out.
    pub(super) strategies: &'r [Box<dyn Strategy>],
    strict: bool,
    trail: Vec<PathSegment>,
    problem: Option<Problem>,
    ignored: Vec<String>,
}

/// One step from a value into it.
#[derive(Clone, Copy)]
pub(super) enum PathSegment {
    Key(&'static str),
    Index(usize),
}

impl<'r> Reader<'r> {
    /// `strict` refuses what would be ignored.
    pub(super) fn new(
        attachments: &'r [Attachment],
        strategies: &'r [Box<dyn Strategy>],
        strict: bool,
    ) -> Self {
        Self {
            attachments,
            attached: BTreeSet::new(),
            strategies,
            strict,
            trail: Vec::new(),
            problem: None,
            ignored: Vec::new(),
        }
    }

    /// The attachment of this number, where it is this value that the host lifted it from: any other that names it was
    /// written by the client.
    pub(super) fn attachment(&mut self, number: u32) -> Option<&'r Attachment> {
        let index = usize::try_from(number).ok()?;
        let attachment = self.attachments.get(index)?;
        // Of a member given twice each value has the same path.
        let is_here = attachment.path == self.path() && self.attached.insert(index);
        is_here.then_some(attachment)
    }

    /// Reads what lies at `step`.
    pub(super) fn at<T, E>(
        &mut self,
        step: PathSegment,
        read: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        self.trail.push(step);
        let value = read(self)?;
        self.trail.pop();
        Ok(value)
    }

    /// Notes that the field `key` of where we stand is not honoured, or refuses it under `strict`.
    pub(super) fn ignore<E: de::Error>(&mut self, key: &str) -> Result<(), E> {
        if self.strict {
            let mut path = self.path();
            push_key(&mut path, &quoted(key));
            return Err(self.fail_at(ProblemKind::Unsupported, path, STRICT));
        }
        let mut name = String::new();
        for step in &self.trail {
            match step {
                PathSegment::Key(key) => push_key(&mut name, key),
                // Which of many messages holds it does not matter: one name for all.
                PathSegment::Index(_) => name.push_str("[]"),
            }
        }
        push_key(&mut name, &plain(key));
        self.name(name);
        Ok(())
    }

    /// As `ignore`, of a field that turns out to do nothing once the whole body has been read.
    pub(super) fn ignore_after_all(&mut self, path: &'static str) -> Result<(), Problem> {
        if self.strict {
            return Err(problem(ProblemKind::Unsupported, path.to_owned(), STRICT));
        }
        self.name(path.to_owned());
        Ok(())
    }

    fn name(&mut self, name: String) {
        if self.ignored.len() < NAMED_AT_MOST && !self.ignored.contains(&name) {
            self.ignored.push(name);
        }
    }

    /// The value where we stand is wrong.
    pub(super) fn invalid<E: de::Error>(&mut self, message: &str) -> E {
        let path = self.path();
        self.fail_at(ProblemKind::InvalidRequest, path, message)
    }

    /// What lies at the end of these steps from where we stand is wrong, or is missing.
    pub(super) fn invalid_at<E: de::Error>(&mut self, steps: &[PathSegment], message: &str) -> E {
        self.trail.extend_from_slice(steps);
        self.invalid(message)
    }

    /// The value where we stand is right, but asks for what this gateway does not do.
    pub(super) fn unsupported<E: de::Error>(&mut self, message: &str) -> E {
        let path = self.path();
        self.fail_at(ProblemKind::Unsupported, path, message)
    }

    /// The value where we stand is of the wrong kind.
    pub(super) fn wrong<E: de::Error>(&mut self, expected: &str, found: &str) -> E {
        self.invalid(&format!("expected {expected}, found {found}"))
    }

    /// The first thing that was found wrong, if the reading failed for it and not for the JSON itself.
    pub(super) fn take_problem(&mut self) -> Option<Problem> {
        self.problem.take()
    }

    /// The names of what will be ignored, in the order of the body, each once.
    pub(super) fn into_ignored(self) -> Vec<String> {
        self.ignored
    }

    /// The path of where we stand: `messages[2].content`. Empty at the top.
    fn path(&self) -> String {
        let mut path = String::new();
        for step in &self.trail {
            match step {
                PathSegment::Key(key) => push_key(&mut path, key),
                PathSegment::Index(index) => path.push_str(&format!("[{index}]")),
            }
        }
        path
    }

    /// Keeps the problem and gives serde an error to unwind with, which nobody will see.
    fn fail_at<E: de::Error>(&mut self, kind: ProblemKind, path: String, message: &str) -> E {
        self.problem = Some(problem(kind, path, message));
        E::custom("see the reader's problem")
    }
}

/// A client's own key, fit to stand in a list of names in a header.
fn plain(key: &str) -> String {
    let fit = |character: char| character.is_ascii_graphic() && character != ',';
    quoted(key)
        .chars()
        .map(|character| if fit(character) { character } else { '?' })
        .collect()
}

fn push_key(path: &mut String, key: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(key);
}
