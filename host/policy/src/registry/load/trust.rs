//! The `NAME.toml` of a build, its pins and its signature.

use super::Loader;
use crate::registry::FOLDER;
use crate::registry::find::FoundBuild;
use crate::registry::folder::{self, Sidecar};
use crate::trust::{Signed, pinned};

impl Loader<'_> {
    /// Reads the `NAME.toml` of the build's folder.
    pub(super) fn beside(&self, found: &FoundBuild) -> Result<Sidecar, String> {
        folder::beside(&found.folder.join(format!("{}.toml", found.name)))
    }

    /// The pins of its digest: that of its own `NAME.toml`, and that of the folder of policies.
    fn pins(&self, found: &FoundBuild, beside: &Sidecar) -> Result<Vec<String>, String> {
        let folder = self.config.data_dir.join(FOLDER);
        let path = folder.join(format!("{}.toml", found.name));
        let own = folder::beside(&path)?.digest;
        Ok(beside.digest.clone().into_iter().chain(own).collect())
    }

    /// Checks the pins and the signature. Returns the key that signed the build, if any.
    pub(super) fn trusted(
        &self,
        found: &FoundBuild,
        beside: &Sidecar,
    ) -> Result<Option<String>, String> {
        for pin in self.pins(found, beside)? {
            pinned(&found.digest, &pin).map_err(|error| error.to_string())?;
        }
        if found.embedded {
            return Ok(None);
        }
        let signed = self.trust.check(&found.bytes, found.signature.as_deref());
        match signed.map_err(|error| error.to_string())? {
            Signed::By(key) => Ok(Some(key)),
            Signed::Unsigned => Ok(None),
        }
    }
}
