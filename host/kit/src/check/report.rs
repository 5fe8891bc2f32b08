//! The report of a check, and its progress, because some checks take minutes.

use serde::Serialize;

use super::stats::CallStats;

/// The outcome of one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckStatus {
    /// The check passed.
    Ok,
    /// The policy serves, but perhaps not as meant.
    Warn,
    /// The check failed.
    Fail,
}

/// One line of a report.
#[derive(Clone, Debug, Serialize)]
pub struct CheckResult {
    /// What was checked: `world`.
    pub subject: String,
    /// The outcome.
    #[serde(rename = "mark")]
    pub status: CheckStatus,
    /// The details, for people.
    pub detail: String,
}

/// All checks of a component.
#[derive(Clone, Debug, Serialize)]
pub struct CheckReport {
    /// The checks, in the order in which they ran.
    pub checks: Vec<CheckResult>,
    /// Time and memory of the calls with hostile inputs.
    pub calls: CallStats,
    /// Whether no check failed.
    pub passed: bool,
}

/// A step of a running check.
#[derive(Clone, Debug)]
pub enum CheckProgress {
    /// A step began that may take long: `compiling`.
    Begun(String),
    /// A check ended.
    Done(CheckResult),
}

/// Collects the results of a check, and passes each on as it comes.
pub(super) struct CheckRecorder<'a> {
    results: Vec<CheckResult>,
    show: &'a mut (dyn FnMut(CheckProgress) + Send),
}

impl<'a> CheckRecorder<'a> {
    pub(super) fn new(show: &'a mut (dyn FnMut(CheckProgress) + Send)) -> Self {
        Self {
            results: Vec::new(),
            show,
        }
    }

    pub(super) fn begin(&mut self, step: impl Into<String>) {
        (self.show)(CheckProgress::Begun(step.into()));
    }

    pub(super) fn ok(&mut self, subject: &str, detail: impl Into<String>) {
        self.add(subject, CheckStatus::Ok, detail);
    }

    pub(super) fn warn(&mut self, subject: &str, detail: impl Into<String>) {
        self.add(subject, CheckStatus::Warn, detail);
    }

    pub(super) fn fail(&mut self, subject: &str, detail: impl Into<String>) {
        self.add(subject, CheckStatus::Fail, detail);
    }

    pub(super) fn add(&mut self, subject: &str, status: CheckStatus, detail: impl Into<String>) {
        let result = CheckResult {
            subject: subject.to_owned(),
            status,
            detail: detail.into(),
        };
        (self.show)(CheckProgress::Done(result.clone()));
        self.results.push(result);
    }

    pub(super) fn finish(self, calls: CallStats) -> CheckReport {
        let failed = |result: &CheckResult| result.status == CheckStatus::Fail;
        CheckReport {
            passed: !self.results.iter().any(failed),
            checks: self.results,
            calls,
        }
    }
}
