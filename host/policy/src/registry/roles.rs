//! Canary and shadow. A restart ends both.

use super::{Registry, RegistryError};
use crate::rollout::Canary;
use crate::shadow::Shadow;

impl Registry {
    /// Makes a build the canary, with a share of the requests in percent.
    ///
    /// # Errors
    /// As `activate`.
    pub async fn canary(
        &self,
        name: &str,
        digest: Option<&str>,
        percent: f64,
    ) -> Result<(), RegistryError> {
        if !(0.0..=100.0).contains(&percent) {
            return Err(RegistryError::Unclear(
                "percent must be from 0 to 100".to_owned(),
            ));
        }
        let (mut pending, release) = self.obtain(name, digest, false).await?;
        let about = release.about().clone();
        if about.number == self.active() {
            return Err(RegistryError::Unclear(format!(
                "{} is the active policy: it serves all requests already",
                about.name
            )));
        }
        self.commit(&mut pending)?;
        release.health().forget_lately();
        self.set(|roles| roles.canary = Some(Canary { release, percent }));
        tracing::info!(
            name = about.name,
            release = about.number,
            percent,
            "canary begun"
        );
        Ok(())
    }

    /// Ends the canary. Returns false if there is none.
    pub async fn end_canary(&self) -> bool {
        let _state = self.0.state.lock().await;
        let had = self.0.rollout.roles().canary.is_some();
        self.set(|roles| roles.canary = None);
        had
    }

    /// Makes a build the shadow.
    ///
    /// # Errors
    /// As `activate`.
    pub async fn shadow(&self, name: &str, digest: Option<&str>) -> Result<(), RegistryError> {
        let (mut pending, release) = self.obtain(name, digest, false).await?;
        let about = release.about().clone();
        if about.number == self.active() {
            return Err(RegistryError::Unclear(format!(
                "{} is the active policy: beside itself it has nothing to show",
                about.name
            )));
        }
        self.commit(&mut pending)?;
        release.health().forget_lately();
        let shadow = Shadow::new(release, &self.0.tasks);
        self.set(|roles| roles.shadow = Some(shadow));
        tracing::info!(name = about.name, release = about.number, "shadow begun");
        Ok(())
    }

    /// Ends the shadow. Returns false if there is none.
    pub async fn end_shadow(&self) -> bool {
        let _state = self.0.state.lock().await;
        let had = self.0.rollout.roles().shadow.is_some();
        self.set(|roles| roles.shadow = None);
        had
    }
}
