//! Checks whether a component is fit to serve: its imports and world, its manifest, the conformance set, and hostile inputs.

mod hostile; // inputs that neither clients nor Codex should send
mod parameters; // the parameters of requests that it honours
mod report; // the report
mod stats; // time and memory of calls
mod trial; // one hostile input

use serde_json::Map;

use self::report::CheckRecorder;
pub use self::report::{CheckProgress, CheckReport, CheckResult, CheckStatus};
use self::stats::CallStats;
use airlock_policy::config::PolicyConfig;
use airlock_policy::trial::DIALECT;
use airlock_policy::{Engine, LoadError, Release, ReleaseOptions, conform, settle_settings};
use airlock_types::wit::Description;

/// The size in bytes above which a component is slow to load.
const LARGE: usize = 32 << 20;

/// The share of a limit above which its use is a warning.
const HIGH: f64 = 0.5;

/// Checks a component with this configuration. `show` receives the beginning of each step and each result.
pub async fn check(
    config: &PolicyConfig,
    name: &str,
    bytes: &[u8],
    show: &mut (dyn FnMut(CheckProgress) + Send),
) -> CheckReport {
    let mut recorder = CheckRecorder::new(show);
    let mut calls = CallStats::default();
    let size = format!("{} bytes", bytes.len());
    recorder.add("size", warn_if(bytes.len() > LARGE), size);
    let digest = airlock_policy::digest(bytes);
    recorder.ok("digest", format!("sha256:{digest}"));
    if let Some(release) = load(config, name, bytes, &mut recorder).await {
        exercise(&release, &mut calls, &mut recorder).await;
        compare_with_limits(&release, &calls, &mut recorder);
    }
    recorder.finish(calls)
}

fn warn_if(doubtful: bool) -> CheckStatus {
    match doubtful {
        true => CheckStatus::Warn,
        false => CheckStatus::Ok,
    }
}

/// Runs the conformance set, the parameters and the hostile inputs.
async fn exercise(release: &Release, calls: &mut CallStats, recorder: &mut CheckRecorder<'_>) {
    recorder.begin("running the conformance set");
    match conform(release).await {
        Ok(()) => recorder.ok("conformance", "the whole set, twice, with equal answers"),
        Err(error) => recorder.fail("conformance", error.to_string()),
    }
    let (status, detail) = parameters::probe(release).await;
    recorder.add("parameters", status, detail);
    for case in hostile::cases() {
        let subject = format!("hostile: {}", case.name);
        recorder.begin(format!("trying {}", case.name));
        match trial::run(release, &case, calls).await {
            Ok(summary) => recorder.ok(&subject, summary),
            Err(fault) => recorder.fail(&subject, fault),
        }
    }
}

/// Loads the component as a release with its default settings, and records each step. `None` once one has failed.
async fn load(
    config: &PolicyConfig,
    name: &str,
    bytes: &[u8],
    recorder: &mut CheckRecorder<'_>,
) -> Option<Release> {
    let engine = match Engine::new(&config.sandbox) {
        Ok(engine) => engine,
        Err(error) => {
            recorder.fail("sandbox", error.to_string());
            return None;
        }
    };
    let kibibytes = bytes.len() >> 10;
    recorder.begin(format!("compiling {kibibytes} KiB of WebAssembly"));
    let release = match Release::load(&engine, name, bytes, terms(config, "{}".to_owned())) {
        Ok(release) => release,
        Err(error) => {
            recorder.fail(load_subject(&error), error.to_string());
            return None;
        }
    };
    let version = release.world_version();
    recorder.ok("world", format!("airlock:policy@{version}"));
    match release.imports_wasi() {
        false => recorder.ok("imports", "nothing"),
        true => recorder.ok("imports", "WASI 0.2, of which nothing is granted"),
    }
    match release.describe().await {
        Ok(description) => {
            check_manifest(description.as_ref(), recorder);
            with_default_settings(config, &release, description.as_ref(), recorder).await
        }
        Err(fault) => {
            recorder.fail("manifest", fault.to_string());
            None
        }
    }
}

fn terms(config: &PolicyConfig, settings: String) -> ReleaseOptions {
    ReleaseOptions {
        settings,
        wasi: config.wasi,
        ..ReleaseOptions::of(config)
    }
}

/// The check that an error of loading fails.
fn load_subject(error: &LoadError) -> &'static str {
    match error {
        LoadError::Import { .. } | LoadError::Wasi { .. } => "imports",
        LoadError::Misfit { .. } => "world",
        LoadError::Invalid { .. }
        | LoadError::Refused { .. }
        | LoadError::Failed { .. }
        | LoadError::Busy { .. }
        | LoadError::Settings { .. } => "component",
    }
}

/// The release with the defaults of the settings that its manifest declares. `None` if it refuses them.
async fn with_default_settings(
    config: &PolicyConfig,
    release: &Release,
    description: Option<&Description>,
    recorder: &mut CheckRecorder<'_>,
) -> Option<Release> {
    let settled = settle_settings(description, &config.common_settings(), &Map::new());
    let release = match settled {
        Ok(settings) => release.on(terms(config, settings)),
        Err(detail) => {
            recorder.fail("settings", detail);
            return None;
        }
    };
    let accepted = match release {
        Ok(release) => release.accepts().await.map(|()| release),
        Err(error) => Err(error),
    };
    match accepted {
        Ok(release) => {
            recorder.ok("settings", release.settings());
            Some(release)
        }
        Err(error) => {
            recorder.fail("settings", error.to_string());
            None
        }
    }
}

fn check_manifest(description: Option<&Description>, recorder: &mut CheckRecorder<'_>) {
    let Some(it) = description else {
        let none = "none: the policy speaks a version of the world that has none";
        recorder.warn("manifest", none);
        return;
    };
    let list = |names: &[String]| match names {
        [] => "none".to_owned(),
        names => names.join(", "),
    };
    let names: Vec<String> = it.settings.iter().map(|one| one.name.clone()).collect();
    let text = format!(
        "{} {}; dialects: {}; strategies: {}; settings: {}",
        it.name,
        it.version,
        list(&it.dialects),
        list(&it.strategies),
        list(&names)
    );
    recorder.ok("manifest", text);
    if it.name.is_empty() || it.version.is_empty() {
        recorder.warn("manifest", "it has no name or no version");
    }
    if !it.dialects.iter().any(|dialect| dialect == DIALECT) {
        let missing = format!("it does not name {DIALECT}, which is what clients speak");
        recorder.warn("manifest", missing);
    }
    let mut unique = names.clone();
    unique.sort();
    unique.dedup();
    if unique.len() < names.len() {
        recorder.fail("manifest", "two settings have the same name");
    }
}

/// Compares the longest call and the largest memory with their limits.
fn compare_with_limits(release: &Release, calls: &CallStats, recorder: &mut CheckRecorder<'_>) {
    let allowance = release.allowance();
    if let Some((export, longest)) = calls.longest() {
        let allowed = allowance.call_time;
        let high = longest.as_secs_f64() > allowed.as_secs_f64() * HIGH;
        let text = format!(
            "the longest call is {export}, {:.1} ms of {} ms",
            longest.as_secs_f64() * 1e3,
            allowed.as_millis()
        );
        recorder.add("time", warn_if(high), text);
    }
    let (used, allowed) = (calls.memory_bytes(), allowance.memory_bytes);
    let high = used as f64 > allowed as f64 * HIGH;
    let text = format!("at most {} KiB of {} KiB", used >> 10, allowed >> 10);
    recorder.add("memory", warn_if(high), text);
}

#[cfg(test)]
mod tests;
