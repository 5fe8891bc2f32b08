//! The status of an account as text, a line for each subject.

use std::io::{self, Write};

use serde_json::Value;

use airlock_base::clock;
use airlock_codex::account::status::{CodexStatus, UsageWindow};
use airlock_codex::{ModelReport, Reach};

/// The most models that are named.
const MODELS: usize = 12;

/// Writes the report. `gateway` is the origin of a running gateway, `sign_in` the command for signing in.
pub(super) fn write(
    gateway: Option<&str>,
    status: &CodexStatus,
    sign_in: &str,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut line = |subject: &str, text: &str| writeln!(out, "{subject:<8} {text}");
    match gateway {
        Some(origin) => line("gateway", origin)?,
        None => line("gateway", "none runs; this is what one would find")?,
    }
    line("codex", &codex(status))?;
    line("login", &login(status, sign_in))?;
    if let Some(limits) = &status.rate_limits {
        let windows = [&limits.primary, &limits.secondary];
        let used: Vec<String> = windows.into_iter().flatten().map(used).collect();
        if !used.is_empty() {
            line("limits", &used.join("; "))?;
        }
    }
    if !status.models.is_empty() {
        let (shown, more) = status.models.split_at(status.models.len().min(MODELS));
        let mut text = shown.join(", ");
        if !more.is_empty() {
            text.push_str(&format!(", and {} more", more.len()));
        }
        line("models", &text)?;
    }
    if let Some(outage) = outage(&status.model) {
        line("model", &outage)?;
    }
    if let Some(problem) = &status.problem {
        line("problem", problem)?;
    }
    if let Some(install) = &status.install {
        line("install", install)?;
    }
    Ok(())
}

/// Writes the lines about the children, from the answer of `/admin/fleet`. Nothing is written for null.
pub(super) fn fleet(fleet: &Value, out: &mut dyn Write) -> io::Result<()> {
    for home in fleet["homes"].as_array().into_iter().flatten() {
        let mut line = |subject: &str, text: &str| writeln!(out, "{subject:<8} {text}");
        for child in home["children"].as_array().into_iter().flatten() {
            let due = child["due"].as_str();
            let due = due.map(|due| format!(", to be replaced ({due})"));
            let text = format!(
                "{} {}: {} turns, {} threads and {} ahead, {} MiB, {} s old{}",
                child["number"],
                child["state"].as_str().unwrap_or_default(),
                child["turns"],
                child["threads"],
                child["warm_threads"],
                child["resident_bytes"].as_u64().unwrap_or_default() >> 20,
                child["age_seconds"],
                due.unwrap_or_default(),
            );
            line("child", &text)?;
        }
        let turns = &home["turns"];
        let text = format!(
            "{} run of {}, {} requests wait",
            turns["running"], turns["capacity"], turns["waiting"]
        );
        line("turns", &text)?;
        let replaced = home["replaced"].as_array().into_iter().flatten();
        let replaced: Vec<String> = replaced
            .filter(|one| one["children"].as_u64() > Some(0))
            .filter_map(|one| Some(format!("{} {}", one["children"], one["reason"].as_str()?)))
            .collect();
        let replaced = match replaced.is_empty() {
            true => "none".to_owned(),
            false => replaced.join(", "),
        };
        line("replaced", &replaced)?;
        let circuit = &home["circuit"];
        let state = circuit["state"].as_str().unwrap_or_default();
        let text = match state {
            "closed" => "closed".to_owned(),
            _ => format!("{state}, {} failures in a row", circuit["failures"]),
        };
        line("circuit", &text)?;
    }
    Ok(())
}

/// The model's outage. `None` if no outage is known.
fn outage(model: &ModelReport) -> Option<String> {
    let state = match model.state {
        Reach::Reachable => return None,
        Reach::Silent => "silent",
        Reach::Unreachable => "unreachable",
    };
    let since = clock::utc(model.since.unwrap_or_default().saturating_mul(1000));
    let seconds = model.seconds.unwrap_or_default();
    Some(format!("{state} since {since} ({seconds} s)"))
}

fn codex(status: &CodexStatus) -> String {
    let version = match (&status.version, status.supported) {
        (Some(version), true) => format!("{version}, tested"),
        (Some(version), false) => format!("{version}, not tested with this gateway"),
        (None, _) => "none that runs".to_owned(),
    };
    match (&status.cli_path, status.rehearsal) {
        (_, true) => format!("{version}, rehearsing with a scripted model"),
        (Some(path), false) => format!("{version}, {}", path.display()),
        (None, false) => version,
    }
}

fn login(status: &CodexStatus, sign_in: &str) -> String {
    let text = match (status.logged_in, status.auth_mode.as_deref()) {
        (true, Some("apikey")) => "an API key".to_owned(),
        (true, Some("chatgpt")) => "ChatGPT".to_owned(),
        (true, Some("chatgptAuthTokens")) => "ChatGPT, by external tokens".to_owned(),
        (true, Some(other)) => other.to_owned(),
        (true, None) => "none is needed".to_owned(),
        (false, _) => format!("nobody; run `{sign_in}`"),
    };
    let text = match &status.plan {
        Some(plan) => format!("{text}, plan {plan}"),
        None => text,
    };
    match status.login_in_progress {
        true => format!("{text}; a sign-in is under way"),
        false => text,
    }
}

fn used(window: &UsageWindow) -> String {
    let length = match window.window_minutes {
        Some(minutes) if minutes % 1440 == 0 => format!(" of {} d", minutes / 1440),
        Some(minutes) if minutes % 60 == 0 => format!(" of {} h", minutes / 60),
        Some(minutes) => format!(" of {minutes} min"),
        None => String::new(),
    };
    let resets = window.resets_at.map(|seconds| {
        let at = clock::utc(seconds.saturating_mul(1000));
        format!(" until {at}")
    });
    format!(
        "{:.0} %{length} used{}",
        window.used_percent,
        resets.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests;
