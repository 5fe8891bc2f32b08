//! `airlock policy check`: whether a component is fit to serve.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use clap::{ArgMatches, Command};

use super::{component, defaults, json, read};
use crate::command::error::CommandError;
use crate::command::runtime::with_runtime;
use crate::command::terminal::escaped;
use airlock_kit::{CheckProgress, CheckReport, CheckResult, CheckStatus, check};

pub(super) const NAME: &str = "check";

/// How often a step that takes long is named.
const SILENCE: Duration = Duration::from_secs(5);

const EXAMPLES: &str = "\
Examples:
  airlock policy check my-policy.wasm
  airlock policy check my-policy.wasm --json > report.json
  airlock policy check shipped                   the policy inside airlock

One line for each check: ok, warn or fail. First what the component is and says of itself, then the conformance set that
every policy must pass to be loaded, then hostile inputs: odd bodies, events out of order, 100,000 events, panels whose
candidates fail. A policy may refuse those; it fails where it traps, runs out of time or memory, or breaks its contract.
Limits and settings are the defaults. Compiling a component of many MiB takes a minute; what takes long is named on the
standard error every 5 s. The exit code is 1 if any check fails.";

pub(super) fn command() -> Command {
    Command::new(NAME)
        .about("Checks whether a policy is fit to serve")
        .after_help(EXAMPLES)
        .arg(
            component("file")
                .required(true)
                .help("The component, or `shipped`"),
        )
        .arg(json())
}

pub(super) fn run(
    matches: &ArgMatches,
    out: &mut (dyn Write + Send),
    err: &mut dyn Write,
) -> Result<ExitCode, CommandError> {
    let named = matches.get_one::<String>("file").cloned();
    let (name, bytes) = read(&named.unwrap_or_default())?;
    let as_json = matches.get_flag("json");
    let (sent, progress) = mpsc::sync_channel(64);
    let (report, shown) = thread::scope(|scope| {
        let checking = scope.spawn(|| {
            // Once the receiver is gone, the check goes on unseen.
            let mut show = move |progress| drop(sent.send(progress));
            with_runtime(|runtime| {
                Ok(runtime.block_on(check(&defaults(), &name, &bytes, &mut show)))
            })
        });
        let shown = show(&progress, SILENCE, err, &mut |check| match as_json {
            true => Ok(()),
            false => line(out, check),
        });
        (checking.join(), shown)
    });
    let report = match report {
        Ok(report) => report?,
        Err(panic) => std::panic::resume_unwind(panic),
    };
    shown?;
    if as_json {
        let text = serde_json::to_string_pretty(&report);
        let text = text.map_err(|error| CommandError::Failure(error.into()))?;
        writeln!(out, "{text}")?;
    } else {
        write_stats(out, &report)?;
    }
    Ok(ExitCode::from(u8::from(!report.passed)))
}

/// Shows the progress of a check until its end. A step without a result for `silence` is named on `err`, again after each
/// `silence`: compiling a large component takes a minute.
fn show(
    progress: &Receiver<CheckProgress>,
    silence: Duration,
    err: &mut dyn Write,
    done: &mut dyn FnMut(&CheckResult) -> io::Result<()>,
) -> io::Result<()> {
    let mut doing: Option<(String, Instant)> = None;
    let mut shown = Ok(());
    loop {
        match progress.recv_timeout(silence) {
            Ok(CheckProgress::Begun(step)) => doing = Some((step, Instant::now())),
            Ok(CheckProgress::Done(check)) if shown.is_ok() => shown = done(&check),
            Ok(CheckProgress::Done(_)) => {}
            Err(RecvTimeoutError::Timeout) => {
                if let Some((step, began)) = &doing {
                    let seconds = began.elapsed().as_secs();
                    // The check goes on without the message.
                    let _ = writeln!(err, "airlock: still {}, for {seconds} s", escaped(step));
                }
            }
            Err(RecvTimeoutError::Disconnected) => return shown,
        }
    }
}

fn line(out: &mut dyn Write, check: &CheckResult) -> io::Result<()> {
    let status = match check.status {
        CheckStatus::Ok => "ok",
        CheckStatus::Warn => "warn",
        CheckStatus::Fail => "fail",
    };
    let (subject, detail) = (escaped(&check.subject), escaped(&check.detail));
    writeln!(out, "{status:<4}  {subject:<48} {detail}")?;
    out.flush()
}

/// Writes the statistics of the calls with hostile inputs.
fn write_stats(out: &mut dyn Write, report: &CheckReport) -> io::Result<()> {
    let mut calls = report.calls.each().peekable();
    if calls.peek().is_none() {
        return Ok(());
    }
    writeln!(
        out,
        "\n{:<8} {:>7} {:>9} {:>9} {:>10}",
        "export", "calls", "max ms", "total ms", "memory KiB"
    )?;
    for (export, it) in calls {
        writeln!(
            out,
            "{export:<8} {:>7} {:>9.2} {:>9.1} {:>10}",
            it.calls,
            it.max_us / 1e3,
            it.total_us / 1e3,
            it.memory_bytes >> 10
        )?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    /// Hands each line that is written on.
    struct LineSender(mpsc::SyncSender<String>);

    impl Write for LineSender {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let text = String::from_utf8_lossy(bytes).into_owned();
            self.0.send(text).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_takes_long_is_named_until_it_is_done() {
        let (sent, progress) = mpsc::sync_channel(64);
        let (written, lines) = mpsc::sync_channel::<String>(64);
        let mut done = Vec::new();
        thread::scope(|scope| {
            scope.spawn(move || {
                sent.send(CheckProgress::Begun("compiling 9 KiB".to_owned()))
                    .unwrap();
                // Twice: it goes on being said.
                for _ in 0..2 {
                    let mut line = String::new();
                    while !line.ends_with('\n') {
                        line += &lines.recv_timeout(Duration::from_secs(60)).unwrap();
                    }
                    let seconds = line.strip_prefix("airlock: still compiling 9 KiB, for ");
                    assert!(seconds.is_some_and(|it| it.ends_with(" s\n")), "{line:?}");
                }
                let check = CheckResult {
                    subject: "component".to_owned(),
                    status: CheckStatus::Ok,
                    detail: String::new(),
                };
                sent.send(CheckProgress::Done(check)).unwrap();
                // Nobody reads on, which hinders nothing.
                drop(lines);
            });
            let shown = show(
                &progress,
                Duration::from_millis(20),
                &mut LineSender(written),
                &mut |check| {
                    done.push(check.subject.clone());
                    Ok(())
                },
            );
            shown.unwrap();
        });
        assert_eq!(done, ["component"]);
    }

    #[test]
    fn a_policys_words_do_not_move_the_cursor() {
        let check = CheckResult {
            subject: "manifest".to_owned(),
            status: CheckStatus::Ok,
            detail: "mine \u{1b}[2J1\r\n.0".to_owned(),
        };
        let mut out = Vec::new();
        line(&mut out, &check).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.ends_with(" mine \\u001b[2J1\\u000d\\u000a.0\n") && text.lines().count() == 1,
            "{text:?}"
        );
    }
}
