//! What the stand-in answers: the device flow, tokens, the account's workspaces and limits, and a model that checks them.

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use axum::{Router, body};
use serde_json::{Value, json};

use super::{ACCOUNT, Answer, Approval, PLANTED, Shared, Step, USER_CODE, token};

/// Bytes of a request's body that are read.
const BODY: usize = 8 << 20;

/// All of its routes.
pub(super) fn router(shared: Shared) -> Router {
    Router::new().fallback(answer).with_state(shared)
}

async fn answer(State(shared): State<Shared>, request: Request) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let method = request.method().as_str().to_owned();
    let bearer = request.headers().get("authorization");
    let bearer = bearer
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let _: Option<Bytes> = body::to_bytes(request.into_body(), BODY).await.ok();
    shared.requests.record(format!("{method} {path}"));
    let step = match path.as_str() {
        "/api/accounts/deviceauth/usercode" => Some(Step::UserCode),
        "/oauth/token" => Some(Step::Exchange),
        path if path.ends_with("/wham/accounts/check") => Some(Step::Check),
        _ => None,
    };
    let ordered = {
        let script = shared.script();
        let mut orders = script.answers.iter().rev();
        orders
            .find(|(of, _)| Some(*of) == step)
            .map(|(_, order)| *order)
    };
    match ordered {
        Some(Answer::Hang) => std::future::pending().await,
        Some(Answer::Status(status)) => failed(status),
        None => usual(&shared, &method, &path, &bearer),
    }
}

fn usual(shared: &Shared, method: &str, path: &str, bearer: &str) -> Response<Body> {
    match (method, path) {
        ("POST", "/api/accounts/deviceauth/usercode") => said(
            200,
            &json!({"device_auth_id": format!("devauth-{PLANTED}"), "user_code": USER_CODE, "interval": "1"}),
        ),
        ("POST", "/api/accounts/deviceauth/token") => {
            let approval = shared.script().approval;
            match approval {
                Approval::Pending => failed(403),
                Approval::Denied => failed(400),
                Approval::Expired => failed(410),
                Approval::Approved => said(
                    200,
                    &json!({"authorization_code": format!("code-{PLANTED}"), "code_challenge": format!("challenge-{PLANTED}"),
                        "code_verifier": format!("verifier-{PLANTED}")}),
                ),
            }
        }
        ("POST", "/oauth/token") => {
            let number = {
                let mut script = shared.script();
                script.tokens += 1;
                script.tokens
            };
            let access = token(ACCOUNT, &format!("access-{number}-"));
            said(
                200,
                &json!({"id_token": token(ACCOUNT, "id-"), "access_token": access,
                    "refresh_token": format!("refresh-{PLANTED}"), "token_type": "Bearer", "expires_in": 3600}),
            )
        }
        ("POST", "/oauth/revoke") => said(200, &json!({})),
        ("GET", path) if path.ends_with("/wham/accounts/check") => said(
            200,
            &json!({"accounts": [{"id": ACCOUNT, "account_user_id": format!("user-1__{ACCOUNT}"), "name": PLANTED,
                "structure": "personal", "plan_type": "plus", "workspace_backend_origin": "https://chatgpt.com",
                "account_routing_override": "NO_CONSTRAINT"}],
                "account_ordering": [ACCOUNT], "default_account_id": ACCOUNT}),
        ),
        ("GET", path) if path.ends_with("/wham/usage") => {
            let window = |used: u32, seconds: u32| {
                json!({"used_percent": used, "limit_window_seconds": seconds, "reset_after_seconds": 1000,
                    "reset_at": 1_900_000_000})
            };
            said(
                200,
                &json!({"user_id": "user-1", "account_id": ACCOUNT, "email": "user@example.invalid", "plan_type": "plus",
                    "rate_limit": {"allowed": true, "limit_reached": false, "primary_window": window(12, 18_000),
                        "secondary_window": window(34, 604_800)},
                    "credits": {"has_credits": false, "unlimited": false, "balance": "0"}}),
            )
        }
        ("GET", "/v1/responses") => failed(426),
        ("POST", "/v1/responses") => {
            let refused = shared.script().refused.clone();
            match refused.iter().any(|part| bearer.contains(part)) {
                true => failed(401),
                false => spoken(),
            }
        }
        ("GET", "/v1/models") => said(200, &json!({"models": []})),
        _ => failed(404),
    }
}

fn said(status: u16, body: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let headers = response.headers_mut();
    headers.insert(
        "content-type",
        axum::http::HeaderValue::from_static("application/json"),
    );
    headers.insert("x-planted", axum::http::HeaderValue::from_static(PLANTED));
    response
}

/// A failure whose words hold a secret.
fn failed(status: u16) -> Response<Body> {
    let message = format!("no: token=sk-{PLANTED} code_verifier={PLANTED}");
    said(
        status,
        &json!({"error": {"message": message, "code": "stand_in"}, "error_description": message}),
    )
}

/// An answer of the model, whoever asks.
fn spoken() -> Response<Body> {
    let message = json!({"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": "signed in", "annotations": []}]});
    let usage = json!({"input_tokens": 1, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 1,
        "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 2});
    let events = [
        json!({"type": "response.created", "response": {"id": "resp_1"}}),
        json!({"type": "response.output_item.added", "output_index": 0,
            "item": {"type": "message", "id": "msg_1", "role": "assistant", "status": "in_progress", "content": []}}),
        json!({"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0, "content_index": 0,
            "delta": "signed in"}),
        json!({"type": "response.output_item.done", "output_index": 0, "item": message}),
        json!({"type": "response.completed", "response": {"id": "resp_1", "usage": usage}}),
    ];
    let text: String = events
        .iter()
        .map(|event| {
            let name = event
                .get("type")
                .and_then(Value::as_str)
                .unwrap_or_default();
            format!("event: {name}\ndata: {event}\n\n")
        })
        .collect();
    let mut response = Response::new(Body::from(text));
    let kind = axum::http::HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert("content-type", kind);
    response
}
