//! The labels of a finished request: its route and its outcome.

/// The route of a request. A closed list, because paths come from clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Chat,
    Responses,
    Messages,
    Models,
    Probes,
    Metrics,
    Admin,
    /// The account and the state of Codex.
    Codex,
    Other,
}

impl Route {
    pub(super) const ALL: [(Self, &'static str); 9] = [
        (Self::Chat, "/v1/chat/completions"),
        (Self::Responses, "/v1/responses"),
        (Self::Messages, "/v1/messages"),
        (Self::Models, "/v1/models"),
        (Self::Probes, "/healthz"),
        (Self::Metrics, "/metrics"),
        (Self::Admin, "/admin"),
        (Self::Codex, "/api/codex"),
        (Self::Other, "other"),
    ];

    pub(super) fn of(path: &str) -> Self {
        match path {
            "/v1/chat/completions" => Self::Chat,
            "/v1/responses" => Self::Responses,
            "/v1/messages" => Self::Messages,
            "/v1/models" => Self::Models,
            "/healthz" | "/readyz" => Self::Probes,
            "/metrics" => Self::Metrics,
            path if path.starts_with("/v1/responses/") => Self::Responses,
            path if path == "/v1/conversations" || path.starts_with("/v1/conversations/") => {
                Self::Responses
            }
            path if path.starts_with("/v1/messages/") => Self::Messages,
            path if path.starts_with("/v1/models/") => Self::Models,
            path if path.starts_with("/admin/") => Self::Admin,
            path if path.starts_with("/api/codex/") => Self::Codex,
            _ => Self::Other,
        }
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestOutcome {
    /// The whole response was sent.
    Ok,
    /// The client's error: a status of 400 to 499.
    Refused,
    /// The gateway's or the model's error: a status from 500 on, or a stream that ended with an error.
    Failed,
    /// The client left before the end.
    Left,
}

impl RequestOutcome {
    pub(super) const ALL: [(Self, &'static str); 4] = [
        (Self::Ok, "ok"),
        (Self::Refused, "refused"),
        (Self::Failed, "failed"),
        (Self::Left, "left"),
    ];
}
