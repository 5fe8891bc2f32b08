//! Whether the installed Codex speaks the tested protocol: a line of the report, or the whole comparison.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::json;
use tokio::runtime::Runtime;

use super::{Finding, chain};
use crate::command::error::CommandError;
use crate::config::{ConfigError, LoadedConfig};
use airlock_codex::binary::{Binary, TESTED};
use airlock_codex::launch::Launch;
use airlock_codex::upgrade_gate::{Comparison, MethodComparison};

/// The line `protocol`.
pub(super) async fn finding(launch: &Launch, binary: &Binary) -> Finding {
    match launch.compare_protocol(binary).await {
        Ok(comparison) => compared(&comparison),
        Err(error) if binary.supported => Finding::Warn(format!(
            "{} does not report it: {}; its version is a tested one",
            binary.version,
            chain(&error)
        )),
        Err(error) => Finding::Fail(format!(
            "{} does not report it: {}; Codex {TESTED} works: `airlock codex install`",
            binary.version,
            chain(&error)
        )),
    }
}

fn compared(comparison: &Comparison) -> Finding {
    let faults = comparison.faults();
    let methods = comparison.methods.len();
    match (faults.first(), comparison.additions()) {
        (Some(first), _) => Finding::Fail(format!(
            "{} of what airlock uses is missing or another, such as {first}; Codex {TESTED} works: `airlock codex install`. `airlock doctor --protocol` shows it all",
            faults.len()
        )),
        (None, 0) => Finding::Pass(format!(
            "all {methods} methods and notifications are as in {}",
            comparison.tested
        )),
        (None, additions) => Finding::Pass(format!(
            "all {methods} methods and notifications fit; {additions} additions since {}",
            comparison.tested
        )),
    }
}

/// Prints the whole comparison. The exit code is 1 if the protocol does not fit, or cannot be read.
pub(in crate::command) fn run(
    runtime: &Runtime,
    loaded: Result<LoadedConfig, ConfigError>,
    as_json: bool,
    out: &mut dyn Write,
) -> Result<ExitCode, CommandError> {
    let loaded = loaded.map_err(|error| CommandError::Usage(error.into()))?;
    let compared = runtime.block_on(async {
        let launch = Launch::prepare(&loaded.config.codex, loaded.config.command("login"), None)?;
        let binary = launch.binary().await?;
        let comparison = launch.compare_protocol(&binary).await;
        let comparison = comparison.with_context(|| {
            let version = &binary.version;
            format!("Codex {version} does not report its protocol; Codex {TESTED} works: `airlock codex install`")
        })?;
        Ok::<_, anyhow::Error>((binary, comparison))
    });
    let (binary, comparison) = compared.map_err(CommandError::Failure)?;
    if as_json {
        let all = json!({
            "codex": binary.version,
            "tested": comparison.tested,
            "fits": comparison.faults().is_empty(),
            "methods": comparison.methods,
        });
        writeln!(out, "{all:#}")?;
    } else {
        print(&binary.version, &comparison, out)?;
    }
    Ok(if comparison.faults().is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn print(version: &str, comparison: &Comparison, out: &mut dyn Write) -> io::Result<()> {
    for method in &comparison.methods {
        lines(method, out)?;
    }
    let (faults, additions) = (comparison.faults().len(), comparison.additions());
    let methods = comparison.methods.len();
    let verdict = match faults {
        0 => "it fits".to_owned(),
        _ => format!("it does not fit; Codex {TESTED} works: `airlock codex install`"),
    };
    let unlisted: Vec<&str> = comparison
        .methods
        .iter()
        .filter(|method| !method.listed)
        .map(|method| method.name.as_str())
        .collect();
    if !unlisted.is_empty() {
        writeln!(
            out,
            "\nNo Codex lists {}: of these, only the fields can be compared.",
            unlisted.join(" and ")
        )?;
    }
    writeln!(
        out,
        "\nCodex {version} against {}: {methods} methods and notifications, {additions} added, {faults} missing or another: {verdict}",
        comparison.tested
    )
}

fn lines(method: &MethodComparison, out: &mut dyn Write) -> io::Result<()> {
    let name = &method.name;
    if !method
        .differences
        .iter()
        .any(|difference| difference.change.is_fault())
    {
        writeln!(out, "{:<8}  {name}", "ok")?;
    }
    for difference in &method.differences {
        let parts = [name, &difference.field, &difference.detail];
        let parts: Vec<&str> = parts
            .into_iter()
            .map(String::as_str)
            .filter(|part| !part.is_empty())
            .collect();
        writeln!(out, "{:<8}  {}", difference.change.word(), parts.join(" "))?;
    }
    Ok(())
}
