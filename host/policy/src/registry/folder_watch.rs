//! The background tasks of the registry: the guard, and, if `policies.watch` is on, loading new builds of the folder.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use tokio::time::interval;

use super::find::{blocking, read};
use super::folder::{self, Build};
use super::{ChangedBy, Registry, RegistryError};
use crate::release::LoadError;

/// The interval of looks at the folder.
const LOOK: Duration = Duration::from_millis(500);

/// The lengths and modification times of a component, its signature and its `NAME.toml`.
type Look = [Option<(u64, Option<SystemTime>)>; 3];

impl Registry {
    /// Starts the tasks.
    pub(super) fn watch(&self) {
        let registry = self.clone();
        let task = async move { registry.guard().await };
        self.stoppable("policy guard", task);
        if self.0.config.watch {
            let registry = self.clone();
            let task = async move { registry.look().await };
            self.stoppable("policy folder", task);
        }
    }

    fn stoppable(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let tasks = self.0.tasks.clone();
        self.0.tasks.spawn(name, async move {
            tokio::select! {
                () = tasks.stopping() => {}
                () = task => {}
            }
        });
    }

    /// Loads new builds. A new build of the active policy becomes active.
    async fn look(&self) {
        let looks = self.looks().unwrap_or_default().into_iter();
        let mut seen: BTreeMap<PathBuf, Look> =
            looks.map(|(build, look)| (build.path, look)).collect();
        let mut fresh: BTreeMap<PathBuf, Look> = BTreeMap::new();
        // Builds that could not be loaded in their present form.
        let mut refused: BTreeSet<PathBuf> = BTreeSet::new();
        let mut ticks = interval(LOOK);
        loop {
            ticks.tick().await;
            // An unreadable folder is not an empty one.
            let Ok(looks) = self.looks() else { continue };
            let is_there = |path: &PathBuf| looks.iter().any(|(build, _)| build.path == *path);
            seen.retain(|path, _| is_there(path));
            fresh.retain(|path, _| is_there(path));
            refused.retain(|path| is_there(path));
            for (build, look) in looks {
                if seen.get(&build.path) == Some(&look) {
                    continue;
                }
                // A file counts once it has not changed between two looks, because it may be half written.
                if fresh.get(&build.path) != Some(&look) {
                    fresh.insert(build.path, look);
                    continue;
                }
                // A new signature or `NAME.toml` of a build that was there does not activate it.
                let was = seen.get(&build.path).map(|look| &look[0]);
                let is_new = was != Some(&look[0]) || refused.contains(&build.path);
                match self.came(&build, is_new).await {
                    Err(error) if is_passing(&error) => {}
                    outcome => {
                        refused.remove(&build.path);
                        if let Err(error) = outcome {
                            tracing::warn!(name = build.name, %error, "a new build cannot serve");
                            refused.insert(build.path.clone());
                        }
                        fresh.remove(&build.path);
                        seen.insert(build.path, look);
                    }
                }
            }
        }
    }

    async fn came(&self, build: &Build, is_new: bool) -> Result<(), RegistryError> {
        let found = {
            let build = build.clone();
            blocking(move || read(build.name.clone(), &build.path)).await?
        };
        let before = self.loaded(&found).await;
        let (mut pending, release) = self.take_in(found, before, None, false).await?;
        let active = self.0.rollout.roles().active.about().clone();
        let about = release.about();
        let is_next = is_new && about.name == active.name && about.number != active.number;
        // A release that was rolled back becomes active only by an operator.
        if is_next && !pending.persisted.history.failed.contains(&about.number) {
            self.swap(&mut pending, &release, ChangedBy::name("watch"), false)?;
            return Ok(());
        }
        self.commit(&mut pending)
    }

    fn looks(&self) -> io::Result<Vec<(Build, Look)>> {
        let mut looks = Vec::new();
        for build in folder::builds(&self.folder())? {
            // The signature and the `NAME.toml` may come later.
            let beside = [
                build.path.clone(),
                build.path.with_extension("wasm.minisig"),
                build.path.with_file_name(format!("{}.toml", build.name)),
            ];
            let look = beside.map(|path| {
                let about = std::fs::metadata(path).ok()?;
                Some((about.len(), about.modified().ok()))
            });
            looks.push((build, look));
        }
        Ok(looks)
    }
}

/// Whether the cause of an error may pass.
pub(super) fn is_passing(error: &RegistryError) -> bool {
    match error {
        RegistryError::File { .. }
        | RegistryError::Unsaved(_)
        | RegistryError::Load(LoadError::Busy { .. }) => true,
        RegistryError::NotFound(_) | RegistryError::Unclear(_) | RegistryError::Load(_) => false,
    }
}
