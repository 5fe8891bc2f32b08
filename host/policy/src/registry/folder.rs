//! The folder for operators' policies: components `NAME.wasm` or `NAME@ANYTHING.wasm`, each with an optional `NAME.toml` and
//! signature.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::config;
use crate::release::OnFault;
use crate::sandbox::SandboxLimits;
use airlock_base::quantity::{self, Bounds};

/// The largest component that is read: 64 MiB.
const COMPONENT_BYTES: u64 = 64 << 20;

/// The largest `NAME.toml` or signature: 1 MiB.
const BESIDE_BYTES: u64 = 1 << 20;

/// The most characters of a policy's name.
const NAME: usize = 64;

/// A component's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Build {
    /// The policy's name: the part before the first `@`.
    pub(super) name: String,
    pub(super) path: PathBuf,
}

/// The file `NAME.toml` beside a component.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sidecar {
    /// The only build that may be loaded: `sha256:…`.
    pub digest: Option<String>,
    /// The policy's settings.
    #[serde(default)]
    settings: toml::Table,
    /// Limits that differ from those of `[sandbox]`.
    #[serde(default)]
    limits: LimitOverrides,
    /// The action when it fails too often while it is active.
    #[serde(default)]
    pub on_fault: OnFault,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitOverrides {
    memory_bytes: Option<toml::Value>,
    call_time: Option<toml::Value>,
    request_time: Option<toml::Value>,
    event_bytes: Option<toml::Value>,
    output_bytes: Option<toml::Value>,
}

impl Build {
    /// The build of a file. `None` if the file's name is not that of a policy.
    pub(super) fn at(path: &Path) -> Option<Self> {
        let stem = path.file_name()?.to_str()?.strip_suffix(".wasm")?;
        let name = stem.split('@').next().unwrap_or(stem);
        is_name(name).then(|| Self {
            name: name.to_owned(),
            path: path.to_owned(),
        })
    }

    /// Whether the file is `NAME.wasm`, which a name without a digest means.
    pub(super) fn is_plain(&self) -> bool {
        self.path
            .file_stem()
            .is_some_and(|stem| stem == self.name.as_str())
    }

    /// Reads the component.
    pub(super) fn read(&self) -> io::Result<Vec<u8>> {
        read(&self.path, COMPONENT_BYTES)
    }

    /// Reads the signature, if there is one.
    pub(super) fn signature(&self) -> io::Result<Option<String>> {
        let mut path = self.path.clone().into_os_string();
        path.push(".minisig");
        optional(Path::new(&path))
    }
}

/// Whether this is a valid name of a policy: 1 to 64 of `a-z`, `0-9`, `-` and `_`, beginning with a letter or digit.
pub fn is_name(name: &str) -> bool {
    let inner =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    (1..=NAME).contains(&name.len()) && name.bytes().all(inner) && !name.starts_with(['-', '_'])
}

/// All builds of a folder, sorted by file name. A missing folder has none.
pub(super) fn builds(folder: &Path) -> io::Result<Vec<Build>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        found.extend(Build::at(&entry?.path()));
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(found)
}

/// Reads a `NAME.toml`. A missing file has the defaults.
pub(super) fn beside(path: &Path) -> Result<Sidecar, String> {
    let in_file = |what: String| format!("{}: {what}", path.display());
    match optional(path) {
        Ok(None) => Ok(Sidecar::default()),
        Ok(Some(text)) => toml::from_str(&text).map_err(|error: toml::de::Error| {
            in_file(
                error
                    .to_string()
                    .split_whitespace()
                    .collect::<Vec<_>>()
                    .join(" "),
            )
        }),
        Err(error) => Err(in_file(error.to_string())),
    }
}

fn bounded_bytes(value: &toml::Value, bounds: Bounds) -> Result<usize, String> {
    let bytes = quantity::bytes(value)?;
    quantity::narrow(quantity::in_range(bytes, bounds, quantity::show_bytes)?)
}

fn bounded_time(value: &toml::Value, bounds: Bounds) -> Result<Duration, String> {
    let millis = quantity::millis(value)?;
    quantity::in_range(millis, bounds, quantity::show_millis).map(Duration::from_millis)
}

impl Sidecar {
    /// The settings as JSON.
    pub(super) fn settings(&self) -> Result<Map<String, Value>, String> {
        match serde_json::to_value(&self.settings) {
            Ok(Value::Object(settings)) => Ok(settings),
            Ok(_) | Err(_) => Err("the settings are not JSON".to_owned()),
        }
    }

    /// The policy's limits: its own, else those of all policies.
    ///
    /// # Errors
    /// The limit that is invalid, and the reason.
    pub(super) fn allowance(&self, common: SandboxLimits) -> Result<SandboxLimits, String> {
        let limits = &self.limits;
        // Each has the bounds of its setting in `[sandbox]`.
        let bytes = |key: &str, bounds, value: &Option<toml::Value>, common: usize| match value {
            None => Ok(common),
            Some(value) => {
                bounded_bytes(value, bounds).map_err(|why| format!("limits.{key} {why}"))
            }
        };
        let time = |key: &str, bounds, value: &Option<toml::Value>, common| match value {
            None => Ok(common),
            Some(value) => bounded_time(value, bounds).map_err(|why| format!("limits.{key} {why}")),
        };
        let memory_bytes = bytes(
            "memory_bytes",
            config::MEMORY_BYTES,
            &limits.memory_bytes,
            common.memory_bytes,
        )?;
        if memory_bytes > common.memory_bytes {
            return Err("limits.memory_bytes is more than sandbox.memory_bytes, which every sandbox is made for".to_owned());
        }
        Ok(SandboxLimits {
            memory_bytes,
            call_time: time(
                "call_time",
                config::CALL_TIMEOUT,
                &limits.call_time,
                common.call_time,
            )?,
            request_time: time(
                "request_time",
                config::REQUEST_TIME,
                &limits.request_time,
                common.request_time,
            )?,
            event_bytes: bytes(
                "event_bytes",
                config::EVENT_BYTES,
                &limits.event_bytes,
                common.event_bytes,
            )?,
            output_bytes: bytes(
                "output_bytes",
                config::OUTPUT_BYTES,
                &limits.output_bytes,
                common.output_bytes,
            )?,
        })
    }
}

fn optional(path: &Path) -> io::Result<Option<String>> {
    match read(path, BESIDE_BYTES) {
        Ok(bytes) => String::from_utf8(bytes)
            .map(Some)
            .map_err(|_| io::Error::other("it is not text")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads a file of at most `most` bytes.
fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    // Reading a pipe or device might never end.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path)?;
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        let why = format!("it is larger than {} MiB", most >> 20);
        return Err(io::Error::other(why));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
