//! Parsers of settings' values: a TOML value, or the text of a variable or flag, becomes one kind of value. Errors say
//! what is expected; the caller adds the key.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Value;

use super::validate;
use airlock_base::quantity::{self, Bounds, in_range, narrow};
use airlock_base::secrets::Secret;
use airlock_codex::config::LoginMode;
use airlock_policy::config::{PolicySource, SHIPPED};
use airlock_store::config::StoreMode;

/// What the paths of a source are relative to.
pub(super) struct PathBase<'a> {
    /// The folder of relative paths.
    pub(super) folder: &'a Path,
    /// The folder that `~` stands for.
    pub(super) home: Option<&'a Path>,
}

impl PathBase<'_> {
    /// The absolute path that a value names.
    pub(super) fn path(&self, value: &Value) -> Result<PathBuf, String> {
        self.resolve(text(value)?)
    }

    /// The path of a folder that exists.
    pub(super) fn existing_folder(&self, value: &Value) -> Result<PathBuf, String> {
        let path = self.path(value)?;
        match path.is_dir() {
            true => Ok(path),
            false => Err(format!("there is no folder {}", path.display())),
        }
    }

    /// The shipped policy, or the path of a file that exists.
    pub(super) fn policy(&self, value: &Value) -> Result<PolicySource, String> {
        let name = text(value)?;
        if name == SHIPPED {
            return Ok(PolicySource::Shipped);
        }
        let path = self.resolve(name)?;
        match path.is_file() {
            true => Ok(PolicySource::File(path)),
            false => Err(format!(
                "there is no file {}; `{SHIPPED}` is the policy inside airlock",
                path.display()
            )),
        }
    }

    fn resolve(&self, text: &str) -> Result<PathBuf, String> {
        if text.is_empty() {
            return Err("must not be empty".to_owned());
        }
        let path = match (text.strip_prefix("~/"), self.home) {
            (Some(rest), Some(home)) => home.join(rest),
            (Some(_), None) => return Err("starts with ~, but HOME is not set".to_owned()),
            (None, _) => self.folder.join(text),
        };
        std::path::absolute(&path).map_err(|error| error.to_string())
    }
}

/// An IP address with a port.
pub(super) fn address(value: &Value) -> Result<SocketAddr, String> {
    let text = text(value)?;
    text.parse()
        .map_err(|_| format!("{text:?} is not an address; write 127.0.0.1:8787 or [::1]:8787"))
}

/// A key. A header carries it, so it is printable ASCII without spaces.
pub(super) fn secret(value: &Value) -> Result<Secret, String> {
    let secret = text(value).map_err(|_| "must be text".to_owned())?;
    if secret.is_empty() || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("must be printable ASCII without spaces, and not empty".to_owned());
    }
    Ok(Secret::new(secret))
}

/// Text that is not blank.
pub(super) fn name(value: &Value) -> Result<String, String> {
    let name = text(value)?;
    match name.trim().is_empty() {
        true => Err("must not be empty".to_owned()),
        false => Ok(name.to_owned()),
    }
}

/// A URL to which a key may be sent.
pub(super) fn url(value: &Value) -> Result<String, String> {
    let url = text(value)?;
    validate::url(url).map(|()| url.to_owned())
}

/// A program with its arguments: a list, or text with spaces between them.
pub(super) fn command(value: &Value) -> Result<Vec<String>, String> {
    match value {
        Value::String(text) => Ok(text.split_whitespace().map(str::to_owned).collect()),
        list => texts(list, |_| Ok(())),
    }
}

/// Which login Codex uses.
pub(super) fn login_mode(value: &Value) -> Result<LoginMode, String> {
    match text(value)? {
        "shared" => Ok(LoginMode::Shared),
        "separate" => Ok(LoginMode::Separate),
        other => Err(format!("{other:?} is neither \"shared\" nor \"separate\"")),
    }
}

/// Where objects are stored.
pub(super) fn store_mode(value: &Value) -> Result<StoreMode, String> {
    match text(value)? {
        "disk" => Ok(StoreMode::Disk),
        "memory" => Ok(StoreMode::Memory),
        "off" => Ok(StoreMode::Off),
        other => Err(format!(
            "{other:?} is neither \"disk\" nor \"memory\" nor \"off\""
        )),
    }
}

/// A log filter, as `RUST_LOG` has it.
pub(super) fn log_filter(value: &Value) -> Result<String, String> {
    let filter = text(value)?;
    match tracing_subscriber::EnvFilter::try_new(filter) {
        Ok(_) => Ok(filter.to_owned()),
        Err(error) => Err(format!("{filter:?} is not a filter: {error}")),
    }
}

/// A whole number within bounds.
pub(super) fn count<T: TryFrom<u64>>(value: &Value, bounds: Bounds) -> Result<T, String> {
    let number = quantity::number(value)?;
    narrow(in_range(number, bounds, |number| number.to_string())?)
}

/// A size in bytes within bounds.
pub(super) fn bytes<T: TryFrom<u64>>(value: &Value, bounds: Bounds) -> Result<T, String> {
    let bytes = quantity::bytes(value)?;
    narrow(in_range(bytes, bounds, quantity::show_bytes)?)
}

/// A duration whose milliseconds are within bounds.
pub(super) fn duration(value: &Value, bounds: Bounds) -> Result<Duration, String> {
    let millis = quantity::millis(value)?;
    in_range(millis, bounds, quantity::show_millis).map(Duration::from_millis)
}

/// A boolean, or text that is commonly read as one.
pub(super) fn boolean(value: &Value) -> Result<bool, String> {
    match (value, value.as_str()) {
        (Value::Boolean(on), _) => Ok(*on),
        (_, Some("true" | "1" | "yes" | "on")) => Ok(true),
        (_, Some("false" | "0" | "no" | "off")) => Ok(false),
        _ => Err("must be true or false".to_owned()),
    }
}

/// A list, or text with commas between its parts. Each part must pass the check.
pub(super) fn texts(
    value: &Value,
    check: fn(&str) -> Result<(), String>,
) -> Result<Vec<String>, String> {
    let parts = match value {
        Value::String(text) => text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .collect(),
        Value::Array(parts) => parts.iter().map(text).collect::<Result<Vec<_>, _>>()?,
        other => {
            return Err(format!(
                "must be a list of texts, [\"one\", \"another\"], or in a variable one,another; not {}",
                other.type_str()
            ));
        }
    };
    parts
        .into_iter()
        .map(|part| check(part).map(|()| part.to_owned()))
        .collect()
}

fn text(value: &Value) -> Result<&str, String> {
    value
        .as_str()
        .ok_or_else(|| format!("must be text, not {}", value.type_str()))
}
