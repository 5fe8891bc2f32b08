//! The command line against the table of settings, its help and its errors.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::config::SETTINGS;

/// The stdout and stderr of a command, and its exit code as text.
fn typed(arguments: &[&str]) -> (String, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let arguments = ["airlock"].iter().chain(arguments).map(OsString::from);
    let code = run(arguments, &mut out, &mut err);
    (
        String::from_utf8(out).unwrap(),
        String::from_utf8(err).unwrap(),
        format!("{code:?}"),
    )
}

#[test]
fn the_command_line_is_consistent() {
    command_line::command().debug_assert();
}

#[test]
fn every_flag_of_the_table_reaches_its_setting() {
    for setting in SETTINGS.iter().filter(|setting| setting.flag.is_some()) {
        let flag = format!("--{}", setting.flag.unwrap());
        let switch = ["--strict", "--rehearsal"].contains(&flag.as_str());
        let typed: &[&str] = if switch {
            &["airlock", "serve", &flag]
        } else {
            &["airlock", "serve", &flag, "value"]
        };
        let matches = command_line::command().try_get_matches_from(typed).unwrap();
        let flags = arguments::flags(matches.subcommand().unwrap().1);
        let value = if switch { "true" } else { "value" };
        assert_eq!(flags.values, [(setting.key, value.to_owned())], "{flag}");
    }
}

#[test]
fn flags_that_are_not_given_have_no_values() {
    let matches = command_line::command()
        .try_get_matches_from(["airlock", "serve"])
        .unwrap();
    let flags = arguments::flags(matches.subcommand().unwrap().1);
    assert!(flags.values.is_empty() && flags.config.is_none());
}

#[test]
fn help_has_examples_and_hides_internal_commands() {
    let (out, err, code) = typed(&["--help"]);
    for word in [
        "airlock serve --rehearsal",
        "curl",
        "AIRLOCK_LISTEN",
        "CODEX_BIN",
        "doctor",
    ] {
        assert!(out.contains(word), "no {word} in:\n{out}");
    }
    assert!(!out.contains(LAUNCH) && err.is_empty(), "{out}{err}");
    assert!(!out.contains(COMPILE), "{out}");
    assert_eq!(code, format!("{:?}", ExitCode::SUCCESS));
}

#[test]
fn help_shows_the_default_of_every_flag_that_has_one() {
    let (out, ..) = typed(&["serve", "--help"]);
    // However wide the terminal is.
    let out = out.split_whitespace().collect::<Vec<_>>().join(" ");
    for default in ["127.0.0.1:8787", "~/.local/share/airlock"] {
        let default = format!("[default: {default}]");
        assert!(out.contains(&default), "no {default} in:\n{out}");
    }
    assert_eq!(out.matches("[default:").count(), 2, "{out}");
}

#[test]
fn wrong_usage_and_failure_have_different_exit_codes() {
    let (_, err, code) = typed(&["serve", "--no-such-flag"]);
    assert!(err.contains("--no-such-flag"), "{err}");
    assert_eq!(code, format!("{:?}", ExitCode::from(USAGE)));
    let (_, err, code) = typed(&["config", "--listen", "nowhere"]);
    assert!(
        err.contains("listen") && err.contains("127.0.0.1:8787"),
        "{err}"
    );
    assert_eq!(code, format!("{:?}", ExitCode::from(USAGE)));
}
