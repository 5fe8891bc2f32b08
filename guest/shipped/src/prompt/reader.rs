//! The state of reading a request's body: the current path, the problem found there, and the ignored fields.

use std::collections::BTreeSet;

use serde::de;

use super::problems::{problem, quoted};
use super::settings::PolicySettings;
use crate::bindings::airlock::policy::types::{Attachment, Problem, ProblemKind};
use crate::panel::Strategy;

/// The most ignored parameters that are named; they end up in a response header.
const NAMED_AT_MOST: usize = 32;
const STRICT: &str =
    "cannot be honoured, and this gateway refuses what it would ignore: leave it out";

/// The state of reading one body.
///
/// Its methods that fail are never inlined: they are called in hundreds of places, once for a request at most.
///
/// The reader accompanies serde: a shape enters a path segment before it reads the value there, and leaves it only on
/// success. So after an error the path still leads to the fault.
pub(super) struct Reader<'r> {
    /// The attachments that the host lifted out of the body.
    pub(super) attachments: &'r [Attachment],
    /// Indices of the attachments that were read.
    attached: BTreeSet<usize>,
    /// The policy's strategies for a fan-out.
    pub(super) strategies: &'r [Box<dyn Strategy>],
    pub(super) settings: &'r PolicySettings,
    strict: bool,
    segments: Vec<PathSegment>,
    problem: Option<Problem>,
    ignored: Vec<String>,
}

/// One segment of a path.
#[derive(Clone, Copy)]
pub(super) enum PathSegment {
    Key(&'static str),
    Index(usize),
}

impl<'r> Reader<'r> {
    pub(super) fn new(
        attachments: &'r [Attachment],
        strategies: &'r [Box<dyn Strategy>],
        settings: &'r PolicySettings,
    ) -> Self {
        Self {
            attachments,
            attached: BTreeSet::new(),
            strategies,
            settings,
            strict: settings.strict,
            segments: Vec::new(),
            problem: None,
            ignored: Vec::new(),
        }
    }

    /// A reader for what was accepted earlier, with the same attachments. It refuses nothing that it ignores.
    pub(super) fn for_stored(&self) -> Self {
        Self {
            strict: false,
            ..Self::new(self.attachments, self.strategies, self.settings)
        }
    }

    /// The attachment of this number, if the host lifted it from the current path. Any other reference to it was
    /// written by the client.
    pub(super) fn attachment(&mut self, number: u32) -> Option<&'r Attachment> {
        let index = usize::try_from(number).ok()?;
        let attachment = self.attachments.get(index)?;
        // All values of a duplicate member have the same path.
        let is_here = attachment.path == self.path() && self.attached.insert(index);
        is_here.then_some(attachment)
    }

    /// Reads the value at `step` from here.
    pub(super) fn at<T, E>(
        &mut self,
        step: PathSegment,
        read: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        self.segments.push(step);
        let value = read(self)?;
        self.segments.pop();
        Ok(value)
    }

    /// Notes that the field `key` of the current value is ignored, or refuses it under `strict`.
    #[cold]
    #[inline(never)]
    pub(super) fn ignore<E: de::Error>(&mut self, key: &str) -> Result<(), E> {
        if self.strict {
            let mut path = self.path();
            push_key(&mut path, &quoted(key));
            return Err(self.fail_at(ProblemKind::Unsupported, path, STRICT));
        }
        self.note_ignored_here(key);
        Ok(())
    }

    /// As `ignore`, for the value at `step` from here, which is named `name` among the ignored ones: it says more than the step.
    #[cold]
    #[inline(never)]
    pub(super) fn ignore_at<E: de::Error>(
        &mut self,
        step: PathSegment,
        name: &str,
    ) -> Result<(), E> {
        if self.strict {
            self.segments.push(step);
            return Err(self.unsupported(STRICT));
        }
        self.note_ignored_here(name);
        Ok(())
    }

    fn note_ignored_here(&mut self, key: &str) {
        let mut name = String::new();
        for step in &self.segments {
            match step {
                PathSegment::Key(key) => push_key(&mut name, key),
                // One name for the members of all array elements.
                PathSegment::Index(_) => name.push_str("[]"),
            }
        }
        push_key(&mut name, &header_safe(key));
        self.note_ignored(name);
    }

    /// As `ignore`, for a field that turns out to have no effect once the body has been read.
    pub(super) fn ignore_after_all(&mut self, path: &'static str) -> Result<(), Problem> {
        if self.strict {
            return Err(problem(ProblemKind::Unsupported, path.to_owned(), STRICT));
        }
        self.note_ignored(path.to_owned());
        Ok(())
    }

    /// Notes that the field at this path is ignored, also under `strict`.
    pub(super) fn note_ignored(&mut self, name: String) {
        if self.ignored.len() < NAMED_AT_MOST && !self.ignored.contains(&name) {
            self.ignored.push(name);
        }
    }

    /// Reports that the current value is wrong.
    #[cold]
    #[inline(never)]
    pub(super) fn invalid<E: de::Error>(&mut self, message: &str) -> E {
        let path = self.path();
        self.fail_at(ProblemKind::InvalidRequest, path, message)
    }

    /// Reports that the member `key` of the current value is wrong or missing.
    #[cold]
    #[inline(never)]
    pub(super) fn invalid_member<E: de::Error>(&mut self, key: &'static str, message: &str) -> E {
        self.invalid_at(&[PathSegment::Key(key)], message)
    }

    /// Reports that the value at these steps from here is wrong or missing.
    #[cold]
    #[inline(never)]
    pub(super) fn invalid_at<E: de::Error>(&mut self, steps: &[PathSegment], message: &str) -> E {
        self.segments.extend_from_slice(steps);
        self.invalid(message)
    }

    /// Reports that the body's member that contains the current value is wrong.
    #[cold]
    #[inline(never)]
    pub(super) fn invalid_root<E: de::Error>(&mut self, message: &str) -> E {
        self.segments.truncate(1);
        self.invalid(message)
    }

    /// Reports that the current value is valid, but requires something that this gateway does not support.
    #[cold]
    #[inline(never)]
    pub(super) fn unsupported<E: de::Error>(&mut self, message: &str) -> E {
        let path = self.path();
        self.fail_at(ProblemKind::Unsupported, path, message)
    }

    /// As `unsupported`, for the member `key` of the current value.
    #[cold]
    #[inline(never)]
    pub(super) fn unsupported_member<E: de::Error>(
        &mut self,
        key: &'static str,
        message: &str,
    ) -> E {
        self.segments.push(PathSegment::Key(key));
        self.unsupported(message)
    }

    /// Reports that the current value is of the wrong type.
    #[cold]
    #[inline(never)]
    pub(super) fn wrong<E: de::Error>(&mut self, expected: &str, found: &str) -> E {
        self.invalid(&format!("expected {expected}, found {found}"))
    }

    /// Reports a problem that another reader has found.
    #[cold]
    #[inline(never)]
    pub(super) fn fail<E: de::Error>(&mut self, problem: Problem) -> E {
        self.problem = Some(problem);
        E::custom("see the reader's problem")
    }

    /// The problem, if reading failed for one and not for the JSON syntax.
    pub(super) fn take_problem(&mut self) -> Option<Problem> {
        self.problem.take()
    }

    /// The names of the ignored fields, in the order of the body, without duplicates.
    pub(super) fn into_ignored(self) -> Vec<String> {
        self.ignored
    }

    /// The steps of the current path.
    pub(super) fn steps(&self) -> &[PathSegment] {
        &self.segments
    }

    /// The current path: `messages[2].content`. Empty at the top.
    pub(super) fn path(&self) -> String {
        let mut path = String::new();
        for step in &self.segments {
            match step {
                PathSegment::Key(key) => push_key(&mut path, key),
                PathSegment::Index(index) => path.push_str(&format!("[{index}]")),
            }
        }
        path
    }

    /// Stores the problem, and returns an error for serde to unwind with.
    #[cold]
    #[inline(never)]
    fn fail_at<E: de::Error>(&mut self, kind: ProblemKind, path: String, message: &str) -> E {
        self.fail(problem(kind, path, message))
    }
}

/// A client's key, with other characters than a header's list may have replaced.
fn header_safe(key: &str) -> String {
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
