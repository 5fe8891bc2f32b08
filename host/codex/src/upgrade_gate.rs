//! The upgrade gate: checks that an installed Codex still has the protocol that the gateway uses.
//!
//! Codex can write the schema of its protocol (`codex app-server generate-json-schema`). Before the first start of a binary,
//! its schema is compared with the table of what the gateway uses. Additions pass. If a part is missing or has changed, the
//! binary is not started, and the error names the versions that work.

mod compare; // the comparison
mod document; // a schema, walked by paths
mod shape; // the shape of a value
mod used; // the tables: what the gateway uses, and its description by the tested Codex

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::Mutex;
use tokio::time::timeout;

pub use self::compare::{Comparison, MethodComparison};
use self::document::Document;
use self::used::{Tested, Used};
use super::binary::{Binary, BinaryError};
use super::command::CodexCommand;

/// How long the schema may take to be generated and read. 0.169.0 takes 0.13 s.
const DEADLINE: Duration = Duration::from_secs(20);

/// The file with the whole schema, in the folder that Codex fills (0.163.0 to 0.169.0). That of 0.169.0 has 0.96 MB.
const BUNDLE: &str = "codex_app_server_protocol.schemas.json";

/// Bytes of that file that are read.
const BUNDLE_BYTES: u64 = 64 << 20;

/// Bytes of Codex's output that are read. Codex prints nothing.
const PRINTED_BYTES: u64 = 4096;

/// The prefix of the names of temporary folders.
const FOLDER: &str = "schema-";

/// The age from which a temporary folder counts as abandoned.
const STALE: Duration = Duration::from_secs(300);

/// The gate, with the verdict on the binary that was compared last.
#[derive(Clone, Debug, Default)]
pub(super) struct UpgradeGate {
    known: Arc<Mutex<Option<CachedVerdict>>>,
}

/// A binary, and whether it is compatible.
type CachedVerdict = (BinaryIdentity, Result<(), BinaryError>);

/// The identity of a binary, which changes when its file is replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
struct BinaryIdentity {
    path: PathBuf,
    /// The version, as the file may be a script that stays the same while it starts another binary.
    version: String,
    bytes: u64,
    modified: Option<SystemTime>,
}

impl BinaryIdentity {
    async fn of(binary: &Binary) -> io::Result<Self> {
        let file = tokio::fs::metadata(&binary.path).await?;
        Ok(Self {
            path: binary.path.clone(),
            version: binary.version.clone(),
            bytes: file.len(),
            modified: file.modified().ok(),
        })
    }
}

impl UpgradeGate {
    /// Admits a binary whose protocol is compatible. A binary is compared once, and again when its file changes.
    ///
    /// # Errors
    /// Part of what the gateway uses is missing, or a Codex newer than those tested does not write its schema.
    pub(super) async fn admit(
        &self,
        command: &CodexCommand,
        binary: &Binary,
    ) -> Result<(), BinaryError> {
        // Concurrent callers wait for one comparison.
        let mut known = self.known.lock().await;
        let identity = BinaryIdentity::of(binary).await.ok();
        if let (Some(identity), Some((compared, verdict))) = (&identity, known.as_ref())
            && identity == compared
        {
            return verdict.clone();
        }
        let compared = compare(command, binary).await;
        let unread = compared.is_err();
        let verdict = judge(binary, compared);
        // A schema that could not be read is read again the next time.
        let is_final = verdict.is_ok() || !unread;
        *known = identity
            .filter(|_| is_final)
            .map(|identity| (identity, verdict.clone()));
        verdict
    }
}

/// The verdict on a binary. Logs every fault.
fn judge(binary: &Binary, compared: io::Result<Comparison>) -> Result<(), BinaryError> {
    let version = binary.version.as_str();
    match compared {
        Ok(comparison) => {
            let faults = comparison.faults();
            if faults.is_empty() {
                let additions = comparison.additions();
                tracing::debug!(version, additions, "this codex's protocol fits");
                return Ok(());
            }
            for fault in &faults {
                tracing::error!(version, "this codex's protocol does not fit: {fault}");
            }
            Err(BinaryError::IncompatibleProtocol {
                path: binary.path.clone(),
                version: version.to_owned(),
                faults,
            })
        }
        Err(error) if binary.supported => {
            tracing::warn!(%error, version, "this codex does not report its protocol; its version is a tested one");
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(BinaryError::Failed {
            path: binary.path.clone(),
            cause: error.to_string(),
        }),
        Err(error) => Err(BinaryError::UnknownProtocol {
            path: binary.path.clone(),
            version: version.to_owned(),
            cause: error.to_string(),
        }),
    }
}

/// Compares the protocol of this binary with what the gateway uses.
///
/// # Errors
/// The binary does not print its schema, or takes longer than 20 s.
pub(super) async fn compare(command: &CodexCommand, binary: &Binary) -> io::Result<Comparison> {
    let compared = timeout(DEADLINE, async {
        let document = generate(command, binary).await?;
        let work = move || {
            let broken = || io::Error::other("the gateway's own tables are broken");
            let used = Used::load().ok_or_else(broken)?;
            let tested = Tested::load().ok_or_else(broken)?;
            Ok(compare::compare(&document, &used, &tested))
        };
        tokio::task::spawn_blocking(work).await?
    });
    compared
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Makes Codex write its schema into a temporary folder.
async fn generate(command: &CodexCommand, binary: &Binary) -> io::Result<Document> {
    let below = command.home.temporary.clone();
    let folder = tokio::task::spawn_blocking(move || SchemaFolder::new(&below)).await??;
    let Some(name) = folder.0.to_str() else {
        return Err(io::Error::other("the data directory's name is not UTF-8"));
    };
    let arguments = [
        "app-server",
        "generate-json-schema",
        "--experimental",
        "--out",
        name,
    ];
    command
        .stdout_of(&binary.path, &arguments, PRINTED_BYTES)
        .await?;
    let read = move || {
        let text = bounded(&folder.0.join(BUNDLE))?;
        drop(folder);
        let root = serde_json::from_slice(&text)?;
        Document::new(root).ok_or_else(|| io::Error::other("what it wrote is not such a schema"))
    };
    tokio::task::spawn_blocking(read).await?
}

fn bounded(path: &Path) -> io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut text = Vec::new();
    let file = std::fs::File::open(path)?;
    file.take(BUNDLE_BYTES).read_to_end(&mut text)?;
    Ok(text)
}

/// A temporary folder. Dropping the value removes it.
#[derive(Debug)]
struct SchemaFolder(PathBuf);

impl SchemaFolder {
    /// Makes a folder, and removes abandoned ones.
    fn new(below: &Path) -> io::Result<Self> {
        for entry in std::fs::read_dir(below)?.flatten() {
            let is_ours = entry
                .file_name()
                .as_encoded_bytes()
                .starts_with(FOLDER.as_bytes());
            let modified = entry.metadata().and_then(|about| about.modified()).ok();
            let age = modified.and_then(|modified| modified.elapsed().ok());
            if is_ours && age.is_some_and(|age| age > STALE) {
                // Another process may have removed it.
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
        let path = below.join(format!("{FOLDER}{:016x}", rand::random::<u64>()));
        std::fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for SchemaFolder {
    fn drop(&mut self) {
        // What stays is removed once it is old.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests;
