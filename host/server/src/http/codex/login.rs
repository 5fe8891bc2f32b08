//! The body of a sign-in request. Errors repeat only names of members, never values.

use axum::extract::Request;
use hyper::body::Body as _;
use serde_json::{Map, Value};

use crate::http::body::BodyReader;
use crate::http::failure::HttpError;
use airlock_codex::account::ChatGptTokens;
use airlock_codex::account::request::{InvalidField, SignInRequest};
use airlock_types::failure::Failure;
use airlock_types::wit::ProblemKind;

/// The allowed members.
const MEMBERS: &[&str] = &[
    "type",
    "api_key",
    "access_token",
    "account_id",
    "plan_type",
    "takeover",
];

/// A request to sign in.
#[derive(Debug)]
pub(super) struct LoginRequest {
    pub(super) sign_in: SignInRequest,
    /// Ends a sign-in that is in progress.
    pub(super) takeover: bool,
}

/// Reads the body. An empty one is a sign-in by device code.
pub(super) async fn read(request: Request, bodies: &BodyReader) -> Result<LoginRequest, HttpError> {
    if request.body().is_end_stream() {
        return Ok(parse(&Map::new())?);
    }
    let (text, _) = bodies.read_json_text(request).await?;
    // The parser's error could quote the body.
    match serde_json::from_str(&text) {
        Ok(Value::Object(members)) => Ok(parse(&members)?),
        Ok(_) => Err(HttpError::body(
            "invalid_json",
            "The body is not a JSON object.",
        )),
        Err(_) if text.trim().is_empty() => Ok(parse(&Map::new())?),
        Err(_) => Err(HttpError::body("invalid_json", "The body is not JSON.")),
    }
}

fn parse(members: &Map<String, Value>) -> Result<LoginRequest, Failure> {
    check_names(members)?;
    let takeover = match members.get("takeover") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(takeover)) => *takeover,
        Some(_) => {
            let message = "takeover must be true or false";
            return Err(invalid("invalid_type", message).at("takeover"));
        }
    };
    let method = text(members, "type")?.unwrap_or("device_code");
    let (sign_in, allowed): (_, &[&str]) = match method {
        "device_code" => (Ok(SignInRequest::DeviceCode), &[]),
        "api_key" => (
            SignInRequest::api_key(required_text(members, "api_key")?),
            &["api_key"],
        ),
        "chatgpt_tokens" => {
            let account_id = text(members, "account_id")?;
            let plan_type = text(members, "plan_type")?;
            let access_token = required_text(members, "access_token")?;
            let tokens = ChatGptTokens::new(access_token, account_id, plan_type);
            (
                tokens.map(SignInRequest::Tokens),
                &["access_token", "account_id", "plan_type"],
            )
        }
        _ => {
            let message = "type must be device_code, api_key or chatgpt_tokens";
            return Err(invalid("invalid_value", message).at("type"));
        }
    };
    let is_stray = |name: &&String| {
        !matches!(name.as_str(), "type" | "takeover") && !allowed.contains(&name.as_str())
    };
    if let Some(name) = members.keys().find(is_stray) {
        let message = format!("{name} does not go with the type {method}");
        return Err(invalid("invalid_value", &message).at(name.as_str()));
    }
    let sign_in = sign_in
        .map_err(|InvalidField { param, message }| invalid("invalid_value", &message).at(param))?;
    Ok(LoginRequest { sign_in, takeover })
}

/// Refuses unknown members. The error repeats only the printable ASCII of the name.
fn check_names(members: &Map<String, Value>) -> Result<(), Failure> {
    let is_unknown = |name: &&String| !MEMBERS.contains(&name.as_str());
    let Some(name) = members.keys().find(is_unknown) else {
        return Ok(());
    };
    let plain: String = name
        .chars()
        .filter(char::is_ascii_graphic)
        .take(32)
        .collect();
    let message = format!(
        "there is no member {plain:?}; there are {}",
        MEMBERS.join(", ")
    );
    Err(invalid("unknown_parameter", &message).at(plain))
}

/// A member that is a string, null or absent.
fn text<'a>(
    members: &'a Map<String, Value>,
    name: &'static str,
) -> Result<Option<&'a str>, Failure> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(invalid("invalid_type", &format!("{name} must be text")).at(name)),
    }
}

/// A member that must be a string.
fn required_text<'a>(
    members: &'a Map<String, Value>,
    name: &'static str,
) -> Result<&'a str, Failure> {
    let missing = || invalid("missing_required_parameter", &format!("{name} is missing"));
    text(members, name)?.ok_or_else(|| missing().at(name))
}

fn invalid(code: &str, message: &str) -> Failure {
    Failure::new(ProblemKind::InvalidRequest, code, message)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use serde_json::json;

    use super::*;

    fn parsed(body: Value) -> Result<LoginRequest, Option<String>> {
        let Value::Object(members) = body else {
            return Err(None);
        };
        parse(&members).map_err(|failure| failure.problem.param)
    }

    #[test]
    fn each_method_has_its_members() {
        let none = parsed(json!({})).unwrap();
        assert!(matches!(none.sign_in, SignInRequest::DeviceCode) && !none.takeover);
        let key =
            parsed(json!({"type": "api_key", "api_key": " sk-a ", "takeover": true})).unwrap();
        assert!(
            key.takeover
                && matches!(&key.sign_in, SignInRequest::ApiKey(key) if key.expose() == "sk-a")
        );
        assert!(!format!("{key:?}").contains("sk-a"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (body, param) in [
            (json!({"type": "browser"}), "type"),
            (json!({"type": 1}), "type"),
            (json!({"kind": "x"}), "kind"),
            (json!({"takeover": "yes"}), "takeover"),
            (json!({"api_key": "sk-a"}), "api_key"),
            (json!({"type": "api_key"}), "api_key"),
            (json!({"type": "api_key", "api_key": ""}), "api_key"),
            (json!({"type": "api_key", "api_key": "a b"}), "api_key"),
            (json!({"type": "api_key", "api_key": 5}), "api_key"),
            (json!({"type": "chatgpt_tokens"}), "access_token"),
            (
                json!({"type": "chatgpt_tokens", "access_token": "x"}),
                "access_token",
            ),
        ] {
            let refused = parsed(body.clone()).unwrap_err();
            assert_eq!(refused.as_deref(), Some(param), "{body}");
        }
    }
}
