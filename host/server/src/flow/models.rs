//! The list of models, written by the policy.

use super::plan::unsupported_dialect;
use super::{Caller, Flow};
use airlock_policy::Session;
use airlock_types::failure::Failure;
use airlock_types::wit::ProblemKind;

impl Flow {
    /// The list of models as JSON of this dialect.
    ///
    /// # Errors
    /// Codex cannot list its models, or the policy fails.
    pub async fn models(&self, dialect: &str, caller: &Caller) -> Result<String, Failure> {
        let models = self.codex.models().await?;
        let mut session = self.models_session(dialect, caller).await?;
        Ok(session.list_models(dialect, &models).await?)
    }

    /// One model as JSON of this dialect.
    ///
    /// # Errors
    /// `model_not_found`, and those of [`Flow::models`].
    pub async fn model(&self, dialect: &str, id: &str, caller: &Caller) -> Result<String, Failure> {
        let models = self.codex.models().await?;
        let Some(model) = models.iter().find(|model| model.id == id) else {
            let message =
                format!("The model `{id}` does not exist. GET /v1/models lists those that do.");
            return Err(
                Failure::new(ProblemKind::NotFound, "model_not_found", message).at("model"),
            );
        };
        let mut session = self.models_session(dialect, caller).await?;
        Ok(session.show_model(dialect, model).await?)
    }

    /// Whether the policy that a request with this canary key would get supports a dialect.
    ///
    /// # Errors
    /// There is no policy.
    pub async fn supports(&self, dialect: &str, canary_key: &str) -> Result<bool, Failure> {
        Ok(self
            .rollout
            .choose_for(canary_key, dialect)
            .await?
            .is_some())
    }

    /// A session of the caller's release, without a shadow or a tape.
    async fn models_session(&self, dialect: &str, caller: &Caller) -> Result<Session, Failure> {
        let chosen = self.rollout.choose_for(&caller.canary_key, dialect).await?;
        let release = chosen.ok_or_else(|| unsupported_dialect(dialect))?.release;
        caller.metrics.served_by(release.meter());
        Ok(release.session_for(caller.client).await?)
    }
}
