//! The field of the configuration that a setting sets: its kind of value, how it is parsed, and how it is printed.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use toml::Value;

use super::validate;
use super::value::{self, PathBase};
use airlock_base::quantity::{Bounds, show_bytes, show_millis};
use airlock_base::secrets::Secret;
use airlock_codex::config::LoginMode;
use airlock_policy::config::{PolicySource, SHIPPED};
use airlock_store::config::StoreMode;

/// A field of the configuration, by its kind of value.
pub(crate) enum SettingField<'a> {
    /// An IP address with a port.
    Address(&'a mut SocketAddr),
    /// Text that is never printed.
    Secret(&'a mut Option<Secret>),
    /// A name whose meaning a policy or Codex knows.
    Name(&'a mut Option<String>),
    /// A list of host names as in `Host`; separated by commas outside the file.
    Hosts(&'a mut Vec<String>),
    /// A list of web origins; separated by commas outside the file.
    Origins(&'a mut Vec<String>),
    /// A list of minisign public keys; separated by commas outside the file.
    PublicKeys(&'a mut Vec<String>),
    /// An https URL, or http on loopback.
    Url(&'a mut Option<String>),
    /// A program with its arguments; separated by spaces outside the file.
    Command(&'a mut Vec<String>),
    /// An existing file of a policy, or the shipped policy.
    Policy(&'a mut Option<PolicySource>),
    /// A folder that must exist.
    ExistingFolder(&'a mut Option<PathBuf>),
    /// A path that need not exist yet.
    Path(&'a mut Option<PathBuf>),
    /// A folder that is created when it is missing.
    Folder(&'a mut PathBuf),
    /// A boolean.
    Bool(&'a mut bool),
    /// Which login Codex uses.
    LoginMode(&'a mut LoginMode),
    /// Where objects are stored.
    StoreMode(&'a mut StoreMode),
    /// A log filter.
    LogFilter(&'a mut String),
    /// A whole number.
    Count(&'a mut usize),
    /// A whole number of 32 bits.
    Count32(&'a mut u32),
    /// A whole number of 64 bits.
    Count64(&'a mut u64),
    /// A size in bytes.
    Bytes(&'a mut usize),
    /// A size in bytes of 64 bits.
    Bytes64(&'a mut u64),
    /// A duration.
    Duration(&'a mut std::time::Duration),
}

impl SettingField<'_> {
    /// The kind and unit of the value, as `airlock config` prints them.
    pub(crate) fn unit(&self) -> &'static str {
        match self {
            SettingField::Address(_) => "IP:PORT",
            SettingField::Secret(_) => "text",
            SettingField::Name(_) => "name",
            SettingField::Hosts(_) => "list of hosts; in a variable, commas between them",
            SettingField::Origins(_) => "list of origins; in a variable, commas between them",
            SettingField::PublicKeys(_) => {
                "list of minisign keys; in a variable, commas between them"
            }
            SettingField::Url(_) => "URL",
            SettingField::Command(_) => {
                "list: a program, and an argument each; in a variable, spaces between them"
            }
            SettingField::Policy(_) => "existing file, or shipped",
            SettingField::ExistingFolder(_) => "existing folder",
            SettingField::Path(_) | SettingField::Folder(_) => "path",
            SettingField::Bool(_) => "true or false",
            SettingField::LoginMode(_) => "shared or separate",
            SettingField::StoreMode(_) => "disk, memory or off",
            SettingField::LogFilter(_) => "filter",
            SettingField::Count(_) | SettingField::Count32(_) | SettingField::Count64(_) => {
                "number"
            }
            SettingField::Bytes(_) | SettingField::Bytes64(_) => "bytes, or KiB, MiB, GiB",
            SettingField::Duration(_) => "ms, s, min or h",
        }
    }

    /// Parses a value into the field.
    ///
    /// # Errors
    /// What is expected in place of the value. The caller adds the key.
    pub(super) fn set(
        self,
        value: &Value,
        bounds: Bounds,
        base: &PathBase<'_>,
    ) -> Result<(), String> {
        match self {
            Self::Address(field) => *field = value::address(value)?,
            Self::Secret(field) => *field = Some(value::secret(value)?),
            Self::Name(field) => *field = Some(value::name(value)?),
            Self::Hosts(field) => *field = value::texts(value, validate::host)?,
            Self::Origins(field) => *field = value::texts(value, validate::origin)?,
            Self::PublicKeys(field) => *field = value::texts(value, validate::public_key)?,
            Self::Url(field) => *field = Some(value::url(value)?),
            Self::Command(field) => *field = value::command(value)?,
            Self::Policy(field) => *field = Some(base.policy(value)?),
            Self::ExistingFolder(field) => *field = Some(base.existing_folder(value)?),
            Self::Path(field) => *field = Some(base.path(value)?),
            Self::Folder(field) => *field = base.path(value)?,
            Self::Bool(field) => *field = value::boolean(value)?,
            Self::LoginMode(field) => *field = value::login_mode(value)?,
            Self::StoreMode(field) => *field = value::store_mode(value)?,
            Self::LogFilter(field) => *field = value::log_filter(value)?,
            Self::Count(field) => *field = value::count(value, bounds)?,
            Self::Count32(field) => *field = value::count(value, bounds)?,
            Self::Count64(field) => *field = value::count(value, bounds)?,
            Self::Bytes(field) => *field = value::bytes(value, bounds)?,
            Self::Bytes64(field) => *field = value::bytes(value, bounds)?,
            Self::Duration(field) => *field = value::duration(value, bounds)?,
        }
        Ok(())
    }

    /// The value as the file writes it, with a secret masked. None: the field is not set.
    pub(crate) fn show(&self) -> Option<Value> {
        Some(match self {
            Self::Address(field) => Value::String(field.to_string()),
            Self::Secret(field) => field
                .as_ref()
                .map(|_| Value::String("(secret)".to_owned()))?,
            Self::Name(field) | Self::Url(field) => Value::String((*field).clone()?),
            Self::Command(field) if field.is_empty() => return None,
            Self::Command(field)
            | Self::Hosts(field)
            | Self::Origins(field)
            | Self::PublicKeys(field) => {
                Value::Array(field.iter().cloned().map(Value::String).collect())
            }
            Self::Policy(field) => match field.as_ref()? {
                PolicySource::Shipped => Value::String(SHIPPED.to_owned()),
                PolicySource::File(file) => show_path(file),
            },
            Self::ExistingFolder(field) | Self::Path(field) => show_path(field.as_ref()?),
            Self::Folder(field) => show_path(field),
            Self::Bool(field) => Value::Boolean(**field),
            Self::LoginMode(LoginMode::Shared) => Value::String("shared".to_owned()),
            Self::LoginMode(LoginMode::Separate) => Value::String("separate".to_owned()),
            Self::StoreMode(field) => Value::String(store_mode(**field).to_owned()),
            Self::LogFilter(field) => Value::String((*field).clone()),
            Self::Count(field) => Value::Integer(i64::try_from(**field).unwrap_or(i64::MAX)),
            Self::Count32(field) => Value::Integer(i64::from(**field)),
            Self::Count64(field) => Value::Integer(i64::try_from(**field).unwrap_or(i64::MAX)),
            Self::Bytes(field) => Value::String(show_bytes(**field as u64)),
            Self::Bytes64(field) => Value::String(show_bytes(**field)),
            Self::Duration(field) => Value::String(show_millis(
                u64::try_from(field.as_millis()).unwrap_or(u64::MAX),
            )),
        })
    }
}

fn store_mode(mode: StoreMode) -> &'static str {
    match mode {
        StoreMode::Disk => "disk",
        StoreMode::Memory => "memory",
        StoreMode::Off => "off",
    }
}

fn show_path(path: &Path) -> Value {
    Value::String(path.display().to_string())
}
