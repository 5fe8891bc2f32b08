//! What a request becomes: a plan, a turn, a reply. The only place that sees both Codex and the policy.

mod admission; // who may start
mod pump; // from events to frames

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use self::admission::Admission;
pub(crate) use self::pump::{Piece, Pump};
use crate::attachments::Attachments;
use crate::codex::Codex;
use crate::config::{Config, Limits};
use crate::failure::Failure;
use crate::policy::Release;
use crate::wit::{Context, Problem, ProblemKind, Request};

/// The dialect that the list of models is written in. It has one form in all of OpenAI's APIs.
const MODELS_DIALECT: &str = "chat-completions";

/// All that requests share: one policy, one Codex, one line to wait in. Clones share it.
#[derive(Clone)]
pub(crate) struct Flow {
    release: Release,
    codex: Codex,
    admission: Arc<Admission>,
    limits: Arc<Limits>,
    /// The policy's settings, a JSON object.
    settings: Arc<str>,
}

/// A request as it came in.
pub(crate) struct Incoming {
    /// `req_…`
    pub(crate) id: String,
    /// Unix milliseconds.
    pub(crate) arrived: u64,
    /// The API that the client speaks, named by its route.
    pub(crate) dialect: &'static str,
    /// JSON, unread.
    pub(crate) body: String,
    /// The memory that the body takes up, given back as soon as Codex has it.
    pub(crate) memory: Option<OwnedSemaphorePermit>,
}

/// What a client gets.
pub(crate) struct Reply {
    /// Parameters of the request that are not honoured.
    pub(crate) ignored: Vec<String>,
    /// The answer.
    pub(crate) answer: Answer,
}

/// An answer, in the form that the client asked for.
pub(crate) enum Answer {
    /// Frames as they come. Dropping the pump stops the turn. Boxed: it is some hundred bytes more than the other.
    Stream(Box<Pump>),
    /// The finished response, as JSON.
    Whole(String),
}

impl Flow {
    /// Brings together what requests need.
    pub(crate) fn new(config: &Config, release: Release, codex: Codex) -> Self {
        let settings = serde_json::json!({ "strict": config.strict }).to_string();
        Self {
            release,
            codex,
            admission: Arc::new(Admission::new(&config.limits)),
            limits: Arc::new(config.limits.clone()),
            settings: settings.into(),
        }
    }

    /// Answers one request. Until this returns, a failure is an HTTP status; from then on it is a frame.
    ///
    /// Dropping the future, or the reply that it gives, stops whatever runs for this request.
    pub(crate) async fn start(&self, incoming: Incoming) -> Result<Reply, Failure> {
        let mut session = self.release.session().await?;
        let (body, attachments) = Attachments::lift(incoming.body);
        let request = Request {
            id: incoming.id,
            arrived: incoming.arrived,
            dialect: incoming.dialect.to_owned(),
            body,
            attachments: attachments.described(),
            settings: self.settings.as_ref().to_owned(),
        };
        let plan = session.render(&request).await?;
        // Before the line: who cannot be served at all must not wait to hear so.
        self.codex.wait_ready().await?;
        let permit = self.admission.enter(&mut session).await?;
        let turn = self
            .codex
            .start_turn(plan.brief, &attachments, permit)
            .await?;
        tracing::Span::current().record("model", turn.model());
        // The body and its images are as large as anything here, and Codex has them now.
        drop(attachments);
        let context = Context {
            id: request.id,
            arrived: request.arrived,
            dialect: request.dialect,
            model: turn.model().to_owned(),
            notes: plan.notes,
        };
        drop((request.body, incoming.memory));
        session.open(&context).await?;
        let pump = Pump::new(session, turn, plan.streaming, self.limits.heartbeat);
        let answer = if plan.streaming {
            Answer::Stream(Box::new(
                pump.until_first(self.limits.first_event_wait).await?,
            ))
        } else {
            Answer::Whole(pump.whole().await?)
        };
        Ok(Reply {
            ignored: plan.ignored,
            answer,
        })
    }

    /// The list of models as JSON.
    pub(crate) async fn models(&self) -> Result<String, Failure> {
        let models = self.codex.models().await?;
        let mut session = self.release.session().await?;
        Ok(session.list_models(MODELS_DIALECT, &models).await?)
    }

    /// One model as JSON.
    pub(crate) async fn model(&self, id: &str) -> Result<String, Failure> {
        let models = self.codex.models().await?;
        let Some(model) = models.iter().find(|model| model.id == id) else {
            let message =
                format!("The model `{id}` does not exist. GET /v1/models lists those that do.");
            return Err(
                Failure::new(ProblemKind::NotFound, "model_not_found", message).at("model"),
            );
        };
        let mut session = self.release.session().await?;
        Ok(session.show_model(MODELS_DIALECT, model).await?)
    }

    /// The version of the Codex that answers, or what stands between a request and a turn.
    pub(crate) fn ready(&self) -> Result<Option<String>, Problem> {
        self.codex.ready().map(|()| self.codex.version())
    }
}
