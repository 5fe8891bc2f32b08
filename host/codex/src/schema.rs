//! The upgrade gate: whether an installed Codex still speaks the protocol that we use.
//!
//! Codex tells its own protocol (`codex app-server generate-json-schema`). Before a binary is started for the first
//! time, what it tells is compared with what we use: additions pass; what is missing or has become something else
//! keeps it from being started, with the versions that work. Nothing has run then, and nobody's request was lost.

mod compare; // what differs
mod document; // a schema, walked by paths
mod shape; // what a value may be
mod used; // what we use, and what it is in the tested Codex

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::Mutex;
use tokio::time::timeout;

pub use self::compare::{Checked, Comparison};
use self::document::Document;
use self::used::{Tested, Used};
use super::binary::{Binary, BinaryError};
use super::launch::Launch;

/// How long a Codex may take to tell its protocol, and we to read it. 0.169.0 takes 0.13 s.
const DEADLINE: Duration = Duration::from_secs(20);

/// The file that holds all of it, in the folder that Codex fills (0.163.0 to 0.169.0). That of 0.169.0 has 0.96 MB.
const BUNDLE: &str = "codex_app_server_protocol.schemas.json";

/// Bytes of that file that are read.
const BUNDLE_BYTES: u64 = 64 << 20;

/// Bytes of what Codex prints meanwhile that are read. It prints nothing.
const PRINTED_BYTES: u64 = 4096;

/// What our folders for it are called.
const FOLDER: &str = "schema-";

/// Of a comparison that takes longer nobody waits any more.
const STALE: Duration = Duration::from_secs(300);

/// Remembers the Codex that was compared last.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    known: Arc<Mutex<Option<Compared>>>,
}

/// A Codex, and whether it fits.
type Compared = (Identity, Result<(), BinaryError>);

/// What tells one binary from another that came into its place.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Identity {
    path: PathBuf,
    /// What the path starts may be elsewhere, behind a script that stays as it is.
    version: String,
    bytes: u64,
    modified: Option<SystemTime>,
}

impl Identity {
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

impl Gate {
    /// Lets a Codex pass whose protocol fits. It is compared once, and again when its file is another.
    ///
    /// # Errors
    /// That something which we use is missing, or that a Codex newer than those tested does not tell its protocol.
    pub async fn admit(&self, launch: &Launch, binary: &Binary) -> Result<(), BinaryError> {
        // Whoever comes meanwhile waits for the one comparison.
        let mut known = self.known.lock().await;
        let identity = Identity::of(binary).await.ok();
        if let (Some(identity), Some((compared, verdict))) = (&identity, known.as_ref())
            && identity == compared
        {
            return verdict.clone();
        }
        let compared = compare(launch, binary).await;
        let unread = compared.is_err();
        let verdict = judge(binary, compared);
        // What failed once may work the next time: a newer Codex that told nothing is asked again.
        let keeps = verdict.is_ok() || !unread;
        *known = identity
            .filter(|_| keeps)
            .map(|identity| (identity, verdict.clone()));
        verdict
    }
}

/// What a comparison means for a binary, with all of it in the log.
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
            Err(BinaryError::Misfit {
                path: binary.path.clone(),
                version: version.to_owned(),
                faults,
            })
        }
        Err(error) if binary.supported => {
            tracing::warn!(%error, version, "this codex does not tell its protocol; its version is a tested one");
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(BinaryError::Failed {
            path: binary.path.clone(),
            cause: error.to_string(),
        }),
        Err(error) => Err(BinaryError::Untold {
            path: binary.path.clone(),
            version: version.to_owned(),
            cause: error.to_string(),
        }),
    }
}

/// Compares what this binary tells of its protocol with what we use.
///
/// # Errors
/// That it does not tell it, or takes longer than 20 s.
pub async fn compare(launch: &Launch, binary: &Binary) -> io::Result<Comparison> {
    let compared = timeout(DEADLINE, async {
        let document = generate(launch, binary).await?;
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

/// Has Codex write its schema into a folder of ours, which is gone afterwards.
async fn generate(launch: &Launch, binary: &Binary) -> io::Result<Document> {
    let below = launch.home().temporary.clone();
    let folder = tokio::task::spawn_blocking(move || Folder::new(&below)).await??;
    let Some(name) = folder.0.to_str() else {
        return Err(io::Error::other("the data directory's name is no UTF-8"));
    };
    let arguments = [
        "app-server",
        "generate-json-schema",
        "--experimental",
        "--out",
        name,
    ];
    launch
        .printed(&binary.path, &arguments, PRINTED_BYTES)
        .await?;
    let read = move || {
        let text = bounded(&folder.0.join(BUNDLE))?;
        drop(folder);
        let root = serde_json::from_slice(&text)?;
        Document::new(root).ok_or_else(|| io::Error::other("what it wrote is no such schema"))
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

/// A folder that goes with its value.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    /// Makes one, and removes what gateways that were killed have left.
    fn new(below: &Path) -> io::Result<Self> {
        for entry in std::fs::read_dir(below)?.flatten() {
            let is_ours = entry
                .file_name()
                .as_encoded_bytes()
                .starts_with(FOLDER.as_bytes());
            let modified = entry.metadata().and_then(|about| about.modified()).ok();
            let age = modified.and_then(|modified| modified.elapsed().ok());
            if is_ours && age.is_some_and(|age| age > STALE) {
                // Somebody else may have.
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
        let path = below.join(format!("{FOLDER}{:016x}", rand::random::<u64>()));
        std::fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What stays is removed by a later one.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests;
