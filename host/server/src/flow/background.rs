//! Background responses: turns that run without their client, whose frames go to a log and whose end is stored.

use std::sync::Arc;

use tracing::Instrument as _;

use super::objects::{BackgroundResponse, ObjectRecorder};
use super::plan::PlannedRequest;
use super::pump::{Pump, StreamPiece};
use super::response::FlowBody;
use super::{Flow, FlowResponse};
use airlock_policy::{Client, Fault, Release};
use airlock_store::{FrameLogWriter, LoggedFrame};
use airlock_types::failure::Failure;
use airlock_types::wit::{Context, Ending, Frame, ProblemKind};

impl Flow {
    /// Creates the object of a planned request, and runs its turns in a task. The client receives `body`, or follows the log
    /// if it requested a stream.
    ///
    /// # Errors
    /// The object cannot be created.
    pub(super) async fn run_in_background(
        &self,
        mut planned: PlannedRequest,
        mut recorder: ObjectRecorder,
        key: &str,
        body: String,
    ) -> Result<FlowResponse, Failure> {
        let owner = planned.objects.owner.clone();
        let models = self
            .check(&planned.conversation, &planned.plan.briefs)
            .await?;
        if planned.objects.connection.is_some() {
            let message = "A response cannot run in the background of a WebSocket.";
            return Err(Failure::new(
                ProblemKind::Unsupported,
                "not_supported",
                message,
            ));
        }
        let response = BackgroundResponse::begin(&self.objects, &owner, key)?;
        recorder.create().await?;
        let ignored_parameters = std::mem::take(&mut planned.plan.ignored);
        let log = planned.plan.streaming.then(|| {
            let writer = self.objects.log(&owner, key);
            let reader = writer.reader();
            (ResponseLog::new(writer), reader)
        });
        let (log, body) = match log {
            Some((log, reader)) => (Some(log), FlowBody::Log(reader)),
            None => (None, FlowBody::Json(body)),
        };
        let (flow, span) = (
            self.clone(),
            tracing::info_span!("background", response = key),
        );
        let task = async move {
            flow.background(planned, models, recorder, (response, log))
                .await;
        };
        self.tasks.spawn("background", task.instrument(span));
        Ok(FlowResponse {
            ignored_parameters,
            continuation: None,
            body,
        })
    }

    /// Runs a background response to its end.
    async fn background(
        self,
        planned: PlannedRequest,
        models: Vec<String>,
        recorder: ObjectRecorder,
        (response, log): (Arc<BackgroundResponse>, Option<ResponseLog>),
    ) {
        let release = planned.session.release().clone();
        let client = planned.client;
        let context = self.context(&planned);
        let begin = async {
            let admitted = self.admit(planned, models).await?;
            self.begin(admitted).await
        };
        let begun = tokio::select! {
            biased;
            () = response.cancelled() => Err(Ending::Interrupted),
            () = self.tasks.requests_aborted() => Err(Ending::Failed(Failure::stopping().problem)),
            begun = begin => begun.map_err(|failure| {
                tracing::warn!(cause = ?failure.cause, "failed: {failure}");
                Ending::Failed(failure.problem)
            }),
        };
        let ended = match begun {
            Ok((pump, _)) => drive_to_log(pump.with_recorder(recorder), log, &response).await,
            Err(ending) => end_unstarted(&release, client, &context, &ending, recorder, log).await,
        };
        if let Err(fault) = ended {
            // Without a task the object is reported as lost, and without an end the log is dropped.
            tracing::error!(%fault, "a background response failed by its policy");
        }
    }
}

/// Drives the pump of a background response to its end.
async fn drive_to_log(
    mut pump: Pump,
    mut log: Option<ResponseLog>,
    response: &BackgroundResponse,
) -> Result<(), Fault> {
    // The first events of the stream do not wait for the model.
    append(&mut log, &pump.keep_alive().await?);
    let mut is_cancelled = false;
    loop {
        pump.decide().await;
        match pump.next_ready().await {
            Some(StreamPiece::Frames(frames)) => append(&mut log, &frames),
            Some(StreamPiece::Last(frames, failure)) => {
                if let Some(failure) = failure {
                    tracing::warn!(cause = ?failure.cause, "failed: {failure}");
                }
                append(&mut log, &frames);
                end(log);
                return Ok(());
            }
            Some(StreamPiece::Heartbeat) => {}
            Some(StreamPiece::Broken(fault, _)) => {
                tracing::error!(cause = ?fault.cause, "failed: {fault}");
                return Ok(());
            }
            None if pump.is_done() => {
                end(log);
                return Ok(());
            }
            None => tokio::select! {
                biased;
                () = response.cancelled(), if !is_cancelled => {
                    is_cancelled = true;
                    pump.interrupt();
                }
                // Followers receive heartbeats of their own.
                _ = pump.wait() => {}
            },
        }
    }
}

/// Ends a response whose turns have not begun, with a reply of its own.
async fn end_unstarted(
    release: &Release,
    client: Client,
    context: &Context,
    ending: &Ending,
    mut recorder: ObjectRecorder,
    mut log: Option<ResponseLog>,
) -> Result<(), Fault> {
    let mut session = release.session_for(client).await?;
    session.open(context).await?;
    let mut closing = session.finish(ending).await?;
    recorder.end(closing.object.take()).await;
    let mut sequence = super::pump::SequenceNumbers::default();
    sequence.insert(&mut closing.frames);
    append(&mut log, &closing.frames);
    end(log);
    Ok(())
}

fn append(log: &mut Option<ResponseLog>, frames: &[Frame]) {
    if log.as_mut().is_some_and(|log| !log.append(frames)) {
        tracing::debug!("the log of a background response is dropped: it is too large");
        *log = None;
    }
}

fn end(log: Option<ResponseLog>) {
    if let Some(log) = log {
        log.writer.end();
    }
}

/// The frame log of a response, which has the numbers of its frames.
struct ResponseLog {
    writer: FrameLogWriter,
    /// The number of the next numbered frame.
    next: u64,
}

impl ResponseLog {
    fn new(writer: FrameLogWriter) -> Self {
        Self { writer, next: 0 }
    }

    /// Appends frames in which the numbers have been inserted. False: the log was dropped.
    fn append(&mut self, frames: &[Frame]) -> bool {
        frames.iter().all(|frame| {
            let number = frame.number.map(|_| self.next);
            self.next += u64::from(number.is_some());
            self.writer.append(LoggedFrame {
                number,
                event: frame.event.as_deref().map(Into::into),
                data: frame.data.clone().into(),
            })
        })
    }
}
