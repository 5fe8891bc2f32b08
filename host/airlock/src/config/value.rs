//! Values of settings: read from TOML or text, checked against their range, and written back.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Value;

use super::names;
use airlock_base::quantity::{bytes, in_range, millis, narrow, number, show_bytes, show_millis};
use airlock_base::secrets::Secret;
use airlock_codex::config::LoginMode;
use airlock_policy::config::{PolicySource, SHIPPED};

/// Where a setting's value lives, and so what kind of value it is.
pub(crate) enum Slot<'a> {
    /// An IP address with a port.
    Address(&'a mut SocketAddr),
    /// Text that is never printed.
    Secret(&'a mut Option<Secret>),
    /// A name, for somebody else to know.
    Word(&'a mut Option<String>),
    /// A list of names as `Host` gives them; separated by commas outside the file.
    Hosts(&'a mut Vec<String>),
    /// A list of web origins; separated by commas outside the file.
    Origins(&'a mut Vec<String>),
    /// A list of minisign's public keys; separated by commas outside the file.
    Keys(&'a mut Vec<String>),
    /// An http or https URL.
    Url(&'a mut Option<String>),
    /// A program with its arguments; separated by spaces outside the file.
    Command(&'a mut Vec<String>),
    /// An existing file of a policy, or the policy inside the program.
    Policy(&'a mut Option<PolicySource>),
    /// An existing folder.
    Directory(&'a mut Option<PathBuf>),
    /// A path that need not exist yet.
    Path(&'a mut Option<PathBuf>),
    /// A folder that is made when it is missing.
    Folder(&'a mut PathBuf),
    /// Yes or no.
    Switch(&'a mut bool),
    /// Whose login.
    Login(&'a mut LoginMode),
    /// A log filter.
    Filter(&'a mut String),
    /// A number of things.
    Count(&'a mut usize),
    /// A number of sandboxes.
    Instances(&'a mut u32),
    /// A size in bytes.
    Bytes(&'a mut usize),
    /// A duration.
    Wait(&'a mut Duration),
}

/// What relative paths of a source are relative to, and what `~` stands for.
pub(super) struct Place<'a> {
    pub(super) folder: &'a Path,
    pub(super) home: Option<&'a Path>,
}

impl Slot<'_> {
    /// The kind and unit of the value, for people.
    pub(crate) fn unit(&self) -> &'static str {
        match self {
            Slot::Address(_) => "IP:PORT",
            Slot::Secret(_) => "text",
            Slot::Word(_) => "name",
            Slot::Hosts(_) => "list of hosts; in a variable, commas between them",
            Slot::Origins(_) => "list of origins; in a variable, commas between them",
            Slot::Keys(_) => "list of minisign keys; in a variable, commas between them",
            Slot::Url(_) => "URL",
            Slot::Command(_) => {
                "list: a program, and an argument each; in a variable, spaces between them"
            }
            Slot::Policy(_) => "existing file, or shipped",
            Slot::Directory(_) => "existing folder",
            Slot::Path(_) | Slot::Folder(_) => "path",
            Slot::Switch(_) => "true or false",
            Slot::Login(_) => "shared or separate",
            Slot::Filter(_) => "filter",
            Slot::Count(_) | Slot::Instances(_) => "number",
            Slot::Bytes(_) => "bytes, or KiB, MiB, GiB",
            Slot::Wait(_) => "ms, s, min or h",
        }
    }

    /// Takes a value. The error says what is expected, not which key: the caller knows that.
    pub(super) fn set(
        self,
        value: &Value,
        range: (u64, u64),
        place: &Place<'_>,
    ) -> Result<(), String> {
        let check = |number: u64, show: fn(u64) -> String| in_range(number, range, show);
        match self {
            Slot::Address(slot) => {
                let address = text(value)?;
                *slot = address.parse().map_err(|_| {
                    format!("{address:?} is no address; write 127.0.0.1:8787 or [::1]:8787")
                })?;
            }
            Slot::Secret(slot) => {
                let secret = text(value).map_err(|_| "must be text".to_owned())?;
                // It travels in a header, where nothing else survives.
                if secret.is_empty() || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
                    return Err("must be printable ASCII without spaces, and not empty".to_owned());
                }
                *slot = Some(Secret::new(secret));
            }
            Slot::Word(slot) => {
                let word = text(value)?;
                if word.trim().is_empty() {
                    return Err("must not be empty".to_owned());
                }
                *slot = Some(word.to_owned());
            }
            Slot::Url(slot) => {
                let url = text(value)?;
                names::url(url)?;
                *slot = Some(url.to_owned());
            }
            Slot::Command(slot) => {
                let words = match value {
                    Value::String(words) => words.split_whitespace().map(str::to_owned).collect(),
                    list => texts(list, |_| Ok(()))?,
                };
                *slot = words;
            }
            Slot::Hosts(slot) => *slot = texts(value, names::host)?,
            Slot::Origins(slot) => *slot = texts(value, names::origin)?,
            Slot::Keys(slot) => *slot = texts(value, names::key)?,
            Slot::Policy(slot) => {
                let named = text(value)?;
                *slot = Some(match named == SHIPPED {
                    true => PolicySource::Shipped,
                    false => PolicySource::File(file(place.resolve(named)?)?),
                });
            }
            Slot::Directory(slot) => {
                let path = place.resolve(text(value)?)?;
                if !path.is_dir() {
                    return Err(format!("there is no folder {}", path.display()));
                }
                *slot = Some(path);
            }
            Slot::Path(slot) => *slot = Some(place.resolve(text(value)?)?),
            Slot::Folder(slot) => *slot = place.resolve(text(value)?)?,
            Slot::Switch(slot) => *slot = switch(value)?,
            Slot::Login(slot) => {
                *slot = match text(value)? {
                    "shared" => LoginMode::Shared,
                    "separate" => LoginMode::Separate,
                    other => {
                        return Err(format!("{other:?} is neither \"shared\" nor \"separate\""));
                    }
                }
            }
            Slot::Filter(slot) => {
                let filter = text(value)?;
                tracing_subscriber::EnvFilter::try_new(filter)
                    .map_err(|error| format!("{filter:?} is no filter: {error}"))?;
                *slot = filter.to_owned();
            }
            Slot::Count(slot) => *slot = narrow(check(number(value)?, |n| n.to_string())?)?,
            Slot::Instances(slot) => *slot = narrow(check(number(value)?, |n| n.to_string())?)?,
            Slot::Bytes(slot) => *slot = narrow(check(bytes(value)?, show_bytes)?)?,
            Slot::Wait(slot) => *slot = Duration::from_millis(check(millis(value)?, show_millis)?),
        }
        Ok(())
    }

    /// The value as the file would say it, or nothing where nothing is set. A secret is masked.
    pub(crate) fn show(&self) -> Option<Value> {
        let path = |path: &PathBuf| Value::String(path.display().to_string());
        Some(match self {
            Slot::Address(slot) => Value::String(slot.to_string()),
            Slot::Secret(slot) => slot
                .as_ref()
                .map(|_| Value::String("(secret)".to_owned()))?,
            Slot::Word(slot) | Slot::Url(slot) => Value::String((*slot).clone()?),
            Slot::Command(slot) if slot.is_empty() => return None,
            Slot::Command(slot) => Value::Array(slot.iter().cloned().map(Value::String).collect()),
            Slot::Hosts(slot) | Slot::Origins(slot) | Slot::Keys(slot) => {
                Value::Array(slot.iter().cloned().map(Value::String).collect())
            }
            Slot::Policy(slot) => match slot.as_ref()? {
                PolicySource::Shipped => Value::String(SHIPPED.to_owned()),
                PolicySource::File(file) => path(file),
            },
            Slot::Directory(slot) | Slot::Path(slot) => path(slot.as_ref()?),
            Slot::Folder(slot) => path(slot),
            Slot::Switch(slot) => Value::Boolean(**slot),
            Slot::Login(LoginMode::Shared) => Value::String("shared".to_owned()),
            Slot::Login(LoginMode::Separate) => Value::String("separate".to_owned()),
            Slot::Filter(slot) => Value::String((*slot).clone()),
            Slot::Count(slot) => Value::Integer(i64::try_from(**slot).unwrap_or(i64::MAX)),
            Slot::Instances(slot) => Value::Integer(i64::from(**slot)),
            Slot::Bytes(slot) => Value::String(show_bytes(**slot as u64)),
            Slot::Wait(slot) => Value::String(show_millis(
                u64::try_from(slot.as_millis()).unwrap_or(u64::MAX),
            )),
        })
    }
}

/// A path at which there is a file.
fn file(path: PathBuf) -> Result<PathBuf, String> {
    match path.is_file() {
        true => Ok(path),
        false => Err(format!(
            "there is no file {}; `{SHIPPED}` is the policy inside airlock",
            path.display()
        )),
    }
}

impl Place<'_> {
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

fn text(value: &Value) -> Result<&str, String> {
    value
        .as_str()
        .ok_or_else(|| format!("must be text, not {}", value.type_str()))
}

fn texts(value: &Value, check: fn(&str) -> Result<(), String>) -> Result<Vec<String>, String> {
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

fn switch(value: &Value) -> Result<bool, String> {
    match (value, value.as_str()) {
        (Value::Boolean(on), _) => Ok(*on),
        (_, Some("true" | "1" | "yes" | "on")) => Ok(true),
        (_, Some("false" | "0" | "no" | "off")) => Ok(false),
        _ => Err("must be true or false".to_owned()),
    }
}
