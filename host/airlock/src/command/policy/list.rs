//! `airlock policy list`: the releases, the files, and the last activations.

use std::io::Write;
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command};
use hyper::Method;
use serde_json::Value;

use crate::command::arguments;
use crate::command::error::CommandError;
use crate::command::gateway_client::GatewayClient;
use crate::command::terminal::escaped;
use airlock_base::clock;

pub(super) const NAME: &str = "list";

/// The number of activations that are shown.
const HISTORY: usize = 5;

/// The number of a shadow's differences that are shown.
const SAMPLES: usize = 3;

const HELP: &str = "\
Shows the releases of a running gateway: which is active, a canary or a shadow, and its requests and faults since it was
loaded. IN USE counts its roles and the requests that run on it; 0 means that its memory is free. --json prints the
gateway's whole report, the answer of `GET /admin/policies`.";

const HEAD: [&str; 10] = [
    "ROLE", "RELEASE", "NAME", "VERSION", "DIGEST", "WORLD", "SIZE", "REQUESTS", "FAULTS", "IN USE",
];

/// The command line.
pub(super) fn command() -> Command {
    let json = Arg::new("json")
        .long("json")
        .action(ArgAction::SetTrue)
        .help("Prints the gateway's answer as it is");
    let command = Command::new(NAME)
        .about("Lists the policies of a running gateway")
        .after_help(HELP)
        .arg(json);
    arguments::options(command)
}

pub(super) fn run(matches: &ArgMatches, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
    let report = GatewayClient::from_arguments(matches)?.call_blocking(
        Method::GET,
        "/admin/policies",
        None,
    )?;
    if matches.get_flag("json") {
        writeln!(out, "{report}")?;
    } else {
        write!(out, "{}", text(&report))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The report as text.
fn text(report: &Value) -> String {
    let mut text = table(report);
    let mut line = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    let canary = &report["canary"];
    if canary.is_object() {
        line(format!(
            "\nCanary: release {} serves {} of 100 requests",
            canary["release"], canary["percent"]
        ));
    }
    if report["shadow"].is_object() {
        shadow(&report["shadow"], &mut line);
    }
    let files = all(&report["files"]).map(|file| plain(&file["file"]));
    let files: Vec<String> = files.collect();
    if !files.is_empty() {
        line(format!("\nIn the folder: {}", files.join(", ")));
    }
    line("\nLast activations:".to_owned());
    let history: Vec<&Value> = all(&report["history"]).collect();
    for it in history.iter().rev().take(HISTORY) {
        let reason = match plain(&it["reason"]) {
            reason if reason.is_empty() => reason,
            reason => format!(": {reason}"),
        };
        line(format!(
            "  {}  release {} ({}@{}) by {}{reason}",
            clock::utc(it["at"].as_u64().unwrap_or_default()),
            it["release"],
            plain(&it["name"]),
            short(&plain(&it["digest"])),
            plain(&it["by"]),
        ));
    }
    text
}

fn table(report: &Value) -> String {
    let mut rows = vec![HEAD.map(str::to_owned)];
    rows.extend(all(&report["releases"]).map(|release| row(report, release)));
    let wide = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..HEAD.len())
        .map(|column| wide(column).unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate();
        let cells = cells.map(|(column, (cell, &width))| match HEAD[column] {
            // Numbers are aligned to the right.
            "RELEASE" | "SIZE" | "REQUESTS" | "FAULTS" | "IN USE" => format!("{cell:>width$}"),
            _ => format!("{cell:<width$}"),
        });
        let cells: Vec<String> = cells.collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn row(report: &Value, release: &Value) -> [String; HEAD.len()] {
    let number = &release["number"];
    let mut roles = Vec::new();
    for (role, holder) in [
        ("active", &report["active"]),
        ("canary", &report["canary"]["release"]),
        ("shadow", &report["shadow"]["release"]),
    ] {
        if holder == number {
            roles.push(role);
        }
    }
    let faults = release["faults"].as_object();
    let faults: u64 = faults.map_or(0, |faults| faults.values().filter_map(Value::as_u64).sum());
    [
        roles.join(" "),
        number.to_string(),
        plain(&release["name"]),
        plain(&release["version"]),
        short(&plain(&release["digest"])).to_owned(),
        plain(&release["world"]),
        format!(
            "{} KiB",
            release["size"].as_u64().unwrap_or(0).div_ceil(1024)
        ),
        match &release["requests"] {
            Value::Null => "-".to_owned(),
            requests => requests.to_string(),
        },
        faults.to_string(),
        release["holders"].to_string(),
    ]
}

fn shadow(shadow: &Value, line: &mut impl FnMut(String)) {
    let different = shadow["different"].as_object();
    let different = different.into_iter().flatten();
    let different: Vec<String> = different
        .map(|(call, count)| format!("{count} at {call}"))
        .collect();
    let different = match different.as_slice() {
        [] => "0".to_owned(),
        different => different.join(" and "),
    };
    line(format!(
        "\nShadow: release {}: {} requests the same, different {different}, failed {}, cut short {}, not kept up with {}, \
         passed over {}",
        shadow["release"],
        shadow["same"],
        shadow["failed"],
        shadow["cut"],
        shadow["behind"],
        shadow["passed"],
    ));
    let samples: Vec<&Value> = all(&shadow["samples"]).collect();
    for sample in samples.iter().rev().take(SAMPLES) {
        line(format!(
            "  {}, call {} ({})\n    served: {}\n    shadow: {}",
            plain(&sample["request"]),
            sample["number"],
            plain(&sample["call"]),
            plain(&sample["served"]),
            plain(&sample["shadow"]),
        ));
    }
}

fn all(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// A string of the report, escaped: names and versions come from policies.
fn plain(text: &Value) -> String {
    escaped(text.as_str().unwrap_or_default()).into_owned()
}

/// The first digits of a digest.
pub(super) fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn people_see_what_serves_and_what_was() {
        let release = |number: u64, name: &str, faults: Value| {
            json!({"number": number, "name": name, "version": "1.0\u{1b}\u{202e}[31m", "digest": "0123456789abcdef",
                "world": "0.3.0-draft", "size": 2049, "requests": 12, "faults": faults, "holders": 1})
        };
        let report = json!({
            "active": 1,
            "canary": {"release": 2, "percent": 5.0},
            "shadow": {"release": 2, "same": 3, "different": {"feed": 1}, "failed": 0, "cut": 0, "behind": 0, "passed": 0,
                "samples": [{"request": "req_1", "number": 4, "call": "feed", "served": "a", "shadow": "b"}]},
            "releases": [release(1, "shipped", json!({})), release(2, "redact", json!({"trap": 2, "timeout": 1}))],
            "files": [{"name": "redact", "file": "redact.wasm"}],
            "history": [{"at": 0, "by": "start", "release": 1, "name": "shipped", "digest": "0123456789abcdef"},
                {"at": 1000, "by": "airlock", "reason": "it failed", "release": 1, "name": "shipped", "digest": "01"}],
        });
        let text = super::text(&report);
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        assert_eq!(
            &lines[..3],
            [
                "ROLE           RELEASE  NAME     VERSION              DIGEST        WORLD         SIZE  REQUESTS  FAULTS  IN USE",
                "active               1  shipped  1.0\\u001b\\u202e[31m  0123456789ab  0.3.0-draft  3 KiB        12       0       1",
                "canary shadow        2  redact   1.0\\u001b\\u202e[31m  0123456789ab  0.3.0-draft  3 KiB        12       3       1",
            ],
            "{text}"
        );
        for line in [
            "Canary: release 2 serves 5.0 of 100 requests",
            "  req_1, call 4 (feed)",
            "In the folder: redact.wasm",
            "  1970-01-01 00:00:01 UTC  release 1 (shipped@01) by airlock: it failed",
        ] {
            assert!(lines.contains(&line), "no {line} in\n{text}");
        }
        assert!(text.contains("different 1 at feed, failed 0"), "{text}");
    }
}
