//! The inputs that the checks share.

use airlock_types::wit::{Context, Problem, ProblemKind, Request};

/// The dialect of the gateway's routes.
pub(super) const DIALECT: &str = "chat-completions";

/// The time that every policy is given, in milliseconds since 1970.
pub(super) const NOW: u64 = 1_700_000_000_000;

/// A failure of the model.
pub(super) fn broken_stream() -> Problem {
    Problem {
        kind: ProblemKind::Upstream,
        code: Some("stream_broken".to_owned()),
        message: "The model's stream broke.".to_owned(),
        param: None,
        retry_after_seconds: None,
    }
}

/// A request with this body. The release adds its own settings.
pub(super) fn request(body: &str) -> Request {
    Request {
        id: "req_check".to_owned(),
        arrived: NOW,
        dialect: DIALECT.to_owned(),
        body: body.to_owned(),
        attachments: Vec::new(),
        settings: String::new(),
        nested: false,
    }
}

/// The context of a reply or panel. The replay adds the notes of the plan.
pub(super) fn context() -> Context {
    Context {
        id: "req_check".to_owned(),
        arrived: NOW,
        dialect: DIALECT.to_owned(),
        model: "gpt-test".to_owned(),
        notes: String::new(),
    }
}
