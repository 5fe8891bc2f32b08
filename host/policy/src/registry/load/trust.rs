//! What is said of a build beside it, and who vouches for it.

use super::Loader;
use crate::registry::FOLDER;
use crate::registry::find::FoundBuild;
use crate::registry::folder::{self, Sidecar};
use crate::trust::{Signed, pinned};

impl Loader<'_> {
    /// What is said beside the policy, where its build was read.
    pub(super) fn beside(&self, found: &FoundBuild) -> Result<Sidecar, String> {
        folder::beside(&found.folder.join(format!("{}.toml", found.name)))
    }

    /// What pins its digest: a file from elsewhere is held to what the folder says too.
    fn pins(&self, found: &FoundBuild, beside: &Sidecar) -> Result<Vec<String>, String> {
        let folder = self.config.data_dir.join(FOLDER);
        let path = folder.join(format!("{}.toml", found.name));
        let own = folder::beside(&path)?.digest;
        Ok(beside.digest.clone().into_iter().chain(own).collect())
    }

    /// Who vouches for it.
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
