//! Routes of the stand-in: the device flow, tokens, the account's workspaces and limits, and a model that checks tokens.

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use axum::{Router, body};
use serde_json::{Value, json};

use super::{ACCOUNT, Approval, IssuerState, PLANTED, SignInStep, StepResponse, USER_CODE, token};

/// Bytes that a request's body may have.
const BODY: usize = 8 << 20;

/// The router of the stand-in.
pub(super) fn router(state: IssuerState) -> Router {
    Router::new().fallback(respond).with_state(state)
}

async fn respond(State(state): State<IssuerState>, request: Request) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let method = request.method().as_str().to_owned();
    let bearer = request.headers().get("authorization");
    let bearer = bearer
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let _: Option<Bytes> = body::to_bytes(request.into_body(), BODY).await.ok();
    state.requests.record(format!("{method} {path}"));
    let step = match path.as_str() {
        "/api/accounts/deviceauth/usercode" => Some(SignInStep::UserCode),
        "/oauth/token" => Some(SignInStep::Exchange),
        path if path.ends_with("/wham/accounts/check") => Some(SignInStep::Check),
        _ => None,
    };
    let response = {
        let script = state.script();
        let mut responses = script.answers.iter().rev();
        responses
            .find(|(of, _)| Some(*of) == step)
            .map(|(_, order)| *order)
    };
    match response {
        Some(StepResponse::Hang) => std::future::pending().await,
        Some(StepResponse::Status(status)) => error_response(status),
        None => default_response(&state, &method, &path, &bearer),
    }
}

fn default_response(state: &IssuerState, method: &str, path: &str, bearer: &str) -> Response<Body> {
    match (method, path) {
        ("POST", "/api/accounts/deviceauth/usercode") => json_response(
            200,
            &json!({"device_auth_id": format!("devauth-{PLANTED}"), "user_code": USER_CODE, "interval": "1"}),
        ),
        ("POST", "/api/accounts/deviceauth/token") => {
            let approval = state.script().approval;
            match approval {
                Approval::Pending => error_response(403),
                Approval::Denied => error_response(400),
                Approval::Expired => error_response(410),
                Approval::Approved => json_response(
                    200,
                    &json!({"authorization_code": format!("code-{PLANTED}"), "code_challenge": format!("challenge-{PLANTED}"),
                        "code_verifier": format!("verifier-{PLANTED}")}),
                ),
            }
        }
        ("POST", "/oauth/token") => {
            let number = {
                let mut script = state.script();
                script.tokens += 1;
                script.tokens
            };
            let access = token(ACCOUNT, &format!("access-{number}-"));
            json_response(
                200,
                &json!({"id_token": token(ACCOUNT, "id-"), "access_token": access,
                    "refresh_token": format!("refresh-{PLANTED}"), "token_type": "Bearer", "expires_in": 3600}),
            )
        }
        ("POST", "/oauth/revoke") => json_response(200, &json!({})),
        ("GET", path) if path.ends_with("/wham/accounts/check") => json_response(
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
            json_response(
                200,
                &json!({"user_id": "user-1", "account_id": ACCOUNT, "email": "user@example.invalid", "plan_type": "plus",
                    "rate_limit": {"allowed": true, "limit_reached": false, "primary_window": window(12, 18_000),
                        "secondary_window": window(34, 604_800)},
                    "credits": {"has_credits": false, "unlimited": false, "balance": "0"}}),
            )
        }
        ("GET", "/v1/responses") => error_response(426),
        ("POST", "/v1/responses") => {
            let refused = state.script().refused.clone();
            match refused.iter().any(|part| bearer.contains(part)) {
                true => error_response(401),
                false => model_response(),
            }
        }
        ("GET", "/v1/models") => json_response(200, &json!({"models": []})),
        _ => error_response(404),
    }
}

fn json_response(status: u16, body: &Value) -> Response<Body> {
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

/// An error response whose message holds a secret.
fn error_response(status: u16) -> Response<Body> {
    let message = format!("no: token=sk-{PLANTED} code_verifier={PLANTED}");
    json_response(
        status,
        &json!({"error": {"message": message, "code": "stand_in"}, "error_description": message}),
    )
}

/// A streamed response of the model.
fn model_response() -> Response<Body> {
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
