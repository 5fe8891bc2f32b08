//! Whether a component is fit to serve: what it is, what it says of itself, what it does, and what it does when all goes
//! wrong.

mod hostile; // what no client and no Codex should send
mod parameters; // what of a request it honours
mod trial; // one such request, timed

use serde::Serialize;
use serde_json::Map;

use self::trial::Figures;
use airlock_policy::config::PolicyConfig;
use airlock_policy::{Engine, LoadError, Release, ReleaseOptions, conform, settle_settings};
use airlock_types::wit::Description;

/// What the gateway's routes speak.
const DIALECT: &str = "chat-completions";

/// Bytes of a component beyond which loading it is slow.
const LARGE: usize = 32 << 20;

/// Of what is allowed, the part that is much.
const MUCH: f64 = 0.5;

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mark {
    /// It passed.
    Ok,
    /// It serves, but perhaps not as meant.
    Warn,
    /// It failed.
    Fail,
}

/// One line of a report.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// What was looked at: `world`.
    pub subject: String,
    /// The outcome.
    pub mark: Mark,
    /// What a person should know of it.
    pub detail: String,
}

/// All checks of a component.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Each check, in the order in which they ran.
    pub checks: Vec<Check>,
    /// What the calls with hostile inputs took, by export.
    pub calls: Figures,
    /// None fails.
    pub passed: bool,
}

/// How a report comes about.
#[derive(Clone, Debug)]
pub enum Progress {
    /// What is done from now on, which may take long: `compiling`.
    Begun(String),
    /// A check ended.
    Done(Check),
}

/// A report in the making, shown line by line: some checks take minutes.
struct Checks<'a> {
    all: Vec<Check>,
    show: &'a mut (dyn FnMut(Progress) + Send),
}

impl Checks<'_> {
    fn begin(&mut self, what: impl Into<String>) {
        (self.show)(Progress::Begun(what.into()));
    }

    fn add(&mut self, subject: &str, mark: Mark, detail: impl Into<String>) {
        let check = Check {
            subject: subject.to_owned(),
            mark,
            detail: detail.into(),
        };
        (self.show)(Progress::Done(check.clone()));
        self.all.push(check);
    }

    fn all_well(&self) -> bool {
        self.all.iter().all(|check| check.mark != Mark::Fail)
    }
}

/// Checks a component on the terms that this configuration gives. `show` is called as each check begins and is done.
pub async fn check(
    config: &PolicyConfig,
    name: &str,
    bytes: &[u8],
    show: &mut (dyn FnMut(Progress) + Send),
) -> Report {
    let mut checks = Checks {
        all: Vec::new(),
        show,
    };
    let mut calls = Figures::default();
    let mark = if bytes.len() > LARGE {
        Mark::Warn
    } else {
        Mark::Ok
    };
    checks.add("size", mark, format!("{} bytes", bytes.len()));
    let digest = airlock_policy::digest(bytes);
    checks.add("digest", Mark::Ok, format!("sha256:{digest}"));
    if let Some(release) = load(config, name, bytes, &mut checks).await {
        checks.begin("running the conformance set");
        match conform(&release).await {
            Ok(()) => checks.add(
                "conformance",
                Mark::Ok,
                "the whole set, twice, with equal answers",
            ),
            Err(error) => checks.add("conformance", Mark::Fail, error.to_string()),
        }
        let (mark, detail) = parameters::probe(&release).await;
        checks.add("parameters", mark, detail);
        for case in hostile::cases() {
            let subject = format!("hostile: {}", case.name);
            checks.begin(format!("trying {}", case.name));
            match trial::run(&release, &case, &mut calls).await {
                Ok(told) => checks.add(&subject, Mark::Ok, told),
                Err(why) => checks.add(&subject, Mark::Fail, why),
            }
        }
        spent(&release, &calls, &mut checks);
    }
    Report {
        passed: checks.all_well(),
        checks: checks.all,
        calls,
    }
}

/// From the bytes to a release with its settings, and a line for each step on the way.
async fn load(
    config: &PolicyConfig,
    name: &str,
    bytes: &[u8],
    checks: &mut Checks<'_>,
) -> Option<Release> {
    let engine = match Engine::new(&config.sandbox) {
        Ok(engine) => engine,
        Err(error) => {
            checks.add("sandbox", Mark::Fail, error.to_string());
            return None;
        }
    };
    let terms = |settings: String| ReleaseOptions {
        settings,
        wasi: config.wasi,
        ..ReleaseOptions::of(config)
    };
    checks.begin(format!(
        "compiling {} KiB of WebAssembly",
        bytes.len() >> 10
    ));
    let release = match Release::load(&engine, name, bytes, terms("{}".to_owned())) {
        Ok(release) => release,
        Err(error) => {
            let subject = match &error {
                LoadError::Import { .. } | LoadError::Wasi { .. } => "imports",
                LoadError::Misfit { .. } => "world",
                LoadError::Invalid { .. }
                | LoadError::Refused { .. }
                | LoadError::Failed { .. }
                | LoadError::Busy { .. }
                | LoadError::Settings { .. } => "component",
            };
            checks.add(subject, Mark::Fail, error.to_string());
            return None;
        }
    };
    let version = release.world_version();
    checks.add("world", Mark::Ok, format!("airlock:policy@{version}.0"));
    match release.imports_wasi() {
        false => checks.add("imports", Mark::Ok, "nothing"),
        true => checks.add("imports", Mark::Ok, "WASI 0.2, of which nothing is granted"),
    }
    let described = match release.session().await {
        Ok(mut session) => session.describe().await,
        Err(fault) => Err(fault),
    };
    let description = match described {
        Ok(description) => description,
        Err(fault) => {
            checks.add("manifest", Mark::Fail, fault.to_string());
            return None;
        }
    };
    manifest(description.as_ref(), checks);
    let settled = settle_settings(description.as_ref(), &config.common_settings(), &Map::new());
    let release = match settled {
        Ok(settings) => release.on(terms(settings)),
        Err(detail) => {
            checks.add("settings", Mark::Fail, detail);
            return None;
        }
    };
    let accepted = match release {
        Ok(release) => release.accepts().await.map(|()| release),
        Err(error) => Err(error),
    };
    match accepted {
        Ok(release) => {
            checks.add("settings", Mark::Ok, release.settings());
            Some(release)
        }
        Err(error) => {
            checks.add("settings", Mark::Fail, error.to_string());
            None
        }
    }
}

fn manifest(description: Option<&Description>, checks: &mut Checks<'_>) {
    let Some(it) = description else {
        let old = "none: the policy speaks a version of the world that has none";
        checks.add("manifest", Mark::Warn, old);
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
    checks.add("manifest", Mark::Ok, text);
    if it.name.is_empty() || it.version.is_empty() {
        checks.add("manifest", Mark::Warn, "it has no name or no version");
    }
    if !it.dialects.iter().any(|dialect| dialect == DIALECT) {
        let missing = format!("it does not name {DIALECT}, which is what clients speak");
        checks.add("manifest", Mark::Warn, missing);
    }
    let mut unique = names.clone();
    unique.sort();
    unique.dedup();
    if unique.len() < names.len() {
        checks.add("manifest", Mark::Fail, "two settings have the same name");
    }
}

/// How much of what is allowed was used.
fn spent(release: &Release, calls: &Figures, checks: &mut Checks<'_>) {
    let allowance = release.allowance();
    if let Some((export, longest)) = calls.longest() {
        let allowed = allowance.call_time;
        let much = longest.as_secs_f64() > allowed.as_secs_f64() * MUCH;
        let text = format!(
            "the longest call is {export}, {:.1} ms of {} ms",
            longest.as_secs_f64() * 1e3,
            allowed.as_millis()
        );
        checks.add("time", if much { Mark::Warn } else { Mark::Ok }, text);
    }
    let (used, allowed) = (calls.memory_bytes(), allowance.memory_bytes);
    let much = used as f64 > allowed as f64 * MUCH;
    let text = format!("at most {} KiB of {} KiB", used >> 10, allowed >> 10);
    checks.add("memory", if much { Mark::Warn } else { Mark::Ok }, text);
}

#[cfg(test)]
mod tests;
