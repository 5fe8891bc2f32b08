//! The response to a request, in the form that its client requested.

use super::response_stream::ResponseStream;
use airlock_store::FrameLogReader;
use airlock_types::wit::Frame;

/// The response to a request.
pub struct FlowResponse {
    /// Parameters of the request that are not honoured.
    pub ignored_parameters: Vec<String>,
    /// How the turn that called the client's tools continued. None: the request has no tool results.
    pub continuation: Option<Continuation>,
    /// The body.
    pub body: FlowBody,
}

/// How a turn continues with the results of its tool calls. The answer is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Continuation {
    /// The parked turn resumed.
    Resumed,
    /// The parked turn was gone, and a new turn continues its conversation.
    Rebuilt,
}

impl FlowResponse {
    /// The response to a request that needs no turn.
    pub(super) fn answered(body: FlowBody) -> Self {
        Self {
            ignored_parameters: Vec::new(),
            continuation: None,
            body,
        }
    }
}

/// The body of a response, in the form that the client requested.
pub enum FlowBody {
    /// Frames as they come. Dropping it stops the turns.
    Stream(ResponseStream),
    /// The frames of a background response. Dropping it stops nothing.
    Log(FrameLogReader),
    /// A stream that needs no turn. At least one frame.
    Frames(Vec<Frame>),
    /// The complete response.
    Json(String),
}
