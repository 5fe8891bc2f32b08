//! Finds the build that a name and a digest mean: in the folder, in the store, or the embedded one.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::super::config::{PolicyConfig, PolicySource};
use super::folder::{self, Build};
use super::history::ReleaseRecord;
use super::{FOLDER, RegistryError, STORE};
use crate::release::digest;
use crate::{EMBEDDED, SHIPPED};

/// The fewest digits of a digest that may name a build.
const DIGITS: usize = 6;

/// A build that was found.
pub(super) struct FoundBuild {
    pub(super) name: String,
    /// The component. Empty if it was not read.
    pub(super) bytes: Vec<u8>,
    pub(super) digest: String,
    pub(super) signature: Option<String>,
    /// The folder with its `NAME.toml`.
    pub(super) folder: PathBuf,
    /// Whether it is the embedded policy.
    pub(super) embedded: bool,
}

/// Finds builds.
#[derive(Clone, Copy)]
pub(super) struct Finder<'a> {
    pub(super) config: &'a PolicyConfig,
    /// The remembered releases.
    pub(super) known: &'a [ReleaseRecord],
}

impl Finder<'_> {
    /// Finds a build. `digits`: the first digits of its digest, if the name is not enough.
    pub(super) async fn find(
        &self,
        name: &str,
        digits: Option<&str>,
    ) -> Result<FoundBuild, RegistryError> {
        match digits {
            Some(digits) => self.exactly(name, digits).await,
            None => self.plain(name).await,
        }
    }

    /// Finds a build that was active once. The embedded policy replaces a shipped policy of another version of the gateway.
    pub(super) async fn again(
        &self,
        name: &str,
        digest: &str,
    ) -> Result<FoundBuild, RegistryError> {
        match self.exactly(name, digest).await {
            Err(RegistryError::NotFound(_)) if name == SHIPPED => Ok(embedded(self.config)),
            found => found,
        }
    }

    /// The remembered build of these digits, without its component, which is not needed if its code is cached. `None` if
    /// signatures count, because checking them needs the component.
    pub(super) fn unread(&self, name: &str, digits: &str) -> Option<FoundBuild> {
        let policies = &self.config;
        let signed = policies.require_signature || !policies.public_keys.is_empty();
        let mut known = self.known.iter();
        let is_meant = |it: &&ReleaseRecord| it.name == name && it.digest.starts_with(digits);
        let one = known.find(is_meant)?;
        if signed || name == SHIPPED || digits.len() < DIGITS || known.any(|it| is_meant(&it)) {
            return None;
        }
        Some(FoundBuild {
            name: name.to_owned(),
            bytes: Vec::new(),
            digest: one.digest.clone(),
            signature: None,
            folder: self.sidecar_folder(name),
            embedded: false,
        })
    }

    /// Finds the build of these digits: a remembered one, or one of the folder.
    async fn exactly(&self, name: &str, digits: &str) -> Result<FoundBuild, RegistryError> {
        let digits = digits
            .strip_prefix("sha256:")
            .unwrap_or(digits)
            .to_ascii_lowercase();
        if digits.len() < DIGITS || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(RegistryError::Unclear(format!(
                "a build is named by {DIGITS} or more hexadecimal digits of its digest"
            )));
        }
        let known = self.known.iter();
        let known = known.filter(|it| it.name == name && it.digest.starts_with(&digits));
        let mut known: Vec<&str> = known.map(|it| it.digest.as_str()).collect();
        let stored = match known.as_slice() {
            [digest] => self.stored(name, digest).await?,
            _ => None,
        };
        // The component in the folder may have a newer signature, so it goes first if signatures count.
        let policies = &self.config;
        let signed = policies.require_signature || !policies.public_keys.is_empty();
        let stored = match stored {
            Some(stored) if !signed || stored.embedded => return Ok(stored),
            stored => stored,
        };
        let mut found = Vec::new();
        for build in self.builds(name)? {
            // A file that cannot be read cannot match.
            let read = blocking(move || read(build.name.clone(), &build.path)).await;
            let Ok(read) = read else { continue };
            if read.digest.starts_with(&digits)
                && !found.iter().any(|it: &FoundBuild| it.digest == read.digest)
            {
                found.push(read);
            }
        }
        if name == SHIPPED && embedded_digest().starts_with(&digits) {
            found.push(embedded(self.config));
        }
        if found.is_empty() {
            found.extend(stored);
        }
        known.retain(|digest| !found.iter().any(|it| it.digest == **digest));
        match (found.len(), known.as_slice()) {
            (1, []) => Ok(found.remove(0)),
            (0, []) => Err(RegistryError::NotFound(format!(
                "{name} has no build with the digest {digits}…; `airlock policy list` shows those that there are"
            ))),
            (0, [one]) => Err(RegistryError::NotFound(format!(
                "the component of {name}@{} is gone: it is neither in {} nor in {}",
                short(one),
                self.config.data_dir.join(FOLDER).display(),
                store(self.config).display()
            ))),
            _ => Err(RegistryError::Unclear(format!(
                "{name} has several builds whose digest begins with {digits}: give more digits"
            ))),
        }
    }

    /// Finds the build of a name: its only or plain file, else its newest remembered build.
    async fn plain(&self, name: &str) -> Result<FoundBuild, RegistryError> {
        let mut builds = self.builds(name)?;
        if let Some(plain) = builds.iter().position(Build::is_plain) {
            builds = vec![builds.swap_remove(plain)];
        }
        match builds.as_slice() {
            [build] => {
                let build = build.clone();
                return blocking(move || read(build.name.clone(), &build.path)).await;
            }
            [] if name == SHIPPED => return Ok(embedded(self.config)),
            [] => {}
            [..] => {
                let files: Vec<_> = builds
                    .iter()
                    .map(|build| build.path.file_name().unwrap_or_default().to_string_lossy())
                    .collect();
                return Err(RegistryError::Unclear(format!(
                    "{name} has several builds ({}): select one with {name}@DIGEST, or name one {name}.wasm",
                    files.join(", ")
                )));
            }
        }
        let known = self.known.iter().rev().find(|it| it.name == name);
        if let Some(known) = known
            && let Some(found) = self.stored(name, &known.digest).await?
        {
            return Ok(found);
        }
        Err(RegistryError::NotFound(format!(
            "there is no policy {name}: put {name}.wasm into the folder {FOLDER} of the data directory"
        )))
    }

    fn builds(&self, name: &str) -> Result<Vec<Build>, RegistryError> {
        let folder = self.config.data_dir.join(FOLDER);
        let mut builds = folder::builds(&folder).map_err(|cause| RegistryError::File {
            what: folder.display().to_string(),
            cause,
        })?;
        builds.retain(|build| build.name == name);
        Ok(builds)
    }

    /// Reads a remembered build from the store. `None` if its file is missing or has changed.
    async fn stored(&self, name: &str, digest: &str) -> Result<Option<FoundBuild>, RegistryError> {
        if name == SHIPPED && digest == embedded_digest() {
            return Ok(Some(embedded(self.config)));
        }
        let path = store(self.config).join(format!("{digest}.wasm"));
        let (name, digest) = (name.to_owned(), digest.to_owned());
        let folder = self.sidecar_folder(&name);
        let found = blocking(move || match path.exists() {
            true => read(name, &path).map(|found| Some(FoundBuild { folder, ..found })),
            false => Ok(None),
        });
        Ok(found.await?.filter(|found| found.digest == digest))
    }
}

impl Finder<'_> {
    /// The folder with the `NAME.toml` of a stored build: the folder of policies, or that of the configured file.
    fn sidecar_folder(&self, name: &str) -> PathBuf {
        let folder = self.config.data_dir.join(FOLDER);
        let configured = self.config.source.as_ref().and_then(PolicySource::file);
        let configured = configured.filter(|path| name_of(path) == name);
        match configured.and_then(|path| path.parent()) {
            Some(beside) if !folder.join(format!("{name}.toml")).exists() => beside.to_owned(),
            _ => folder,
        }
    }
}

/// The digest of the embedded policy.
fn embedded_digest() -> &'static str {
    static DIGEST: OnceLock<String> = OnceLock::new();
    DIGEST.get_or_init(|| digest(EMBEDDED))
}

/// The embedded policy.
pub(super) fn embedded(config: &PolicyConfig) -> FoundBuild {
    FoundBuild {
        name: SHIPPED.to_owned(),
        bytes: EMBEDDED.to_vec(),
        digest: embedded_digest().to_owned(),
        signature: None,
        folder: config.data_dir.join(FOLDER),
        embedded: true,
    }
}

/// The name of a configured file's policy: by the folder's rule, or the nearest valid name.
pub(super) fn name_of(path: &Path) -> String {
    if let Some(build) = Build::at(path) {
        return build.name;
    }
    let stem = path
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .to_ascii_lowercase();
    let plain: String = stem
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(64)
        .collect();
    let plain = plain.trim_start_matches('-');
    if folder::is_name(plain) {
        plain.to_owned()
    } else {
        "policy".to_owned()
    }
}

/// Reads a build and its signature.
pub(super) fn read(name: String, path: &Path) -> Result<FoundBuild, RegistryError> {
    let build = Build {
        name,
        path: path.to_owned(),
    };
    let file = |cause| RegistryError::File {
        what: path.display().to_string(),
        cause,
    };
    let bytes = build.read().map_err(file)?;
    Ok(FoundBuild {
        digest: digest(&bytes),
        signature: build.signature().map_err(file)?,
        folder: path.parent().map(Path::to_owned).unwrap_or_default(),
        name: build.name,
        bytes,
        embedded: false,
    })
}

/// The folder of stored components.
pub(super) fn store(config: &PolicyConfig) -> PathBuf {
    config.data_dir.join(STORE)
}

/// The first 12 digits of a digest.
pub(super) fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

/// Runs work with files on a blocking thread.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RegistryError> + Send + 'static,
) -> Result<T, RegistryError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(RegistryError::File {
            what: "a file".to_owned(),
            cause: io::Error::other(error),
        }),
    }
}
