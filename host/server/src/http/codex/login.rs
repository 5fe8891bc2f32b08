//! What a request to sign in says. Nothing of it comes back in an error but the names of its fields.

use axum::extract::Request;
use hyper::body::Body as _;
use serde_json::{Map, Value};

use crate::http::body::{self, Bodies};
use crate::http::failure::Refusal;
use airlock_codex::account::Tokens;
use airlock_codex::account::request::{Malformed, SignIn};
use airlock_types::failure::Failure;
use airlock_types::wit::ProblemKind;

/// The members that there are.
const MEMBERS: &[&str] = &[
    "type",
    "api_key",
    "access_token",
    "account_id",
    "plan_type",
    "takeover",
];

/// A sign-in that a client requests.
#[derive(Debug)]
pub(super) struct LoginRequest {
    pub(super) sign_in: SignIn,
    pub(super) takeover: bool,
}

/// Reads a request. An empty one asks for a device code.
pub(super) async fn read(request: Request, bodies: &Bodies) -> Result<LoginRequest, Refusal> {
    if request.body().is_end_stream() {
        return Ok(interpret(&Map::new())?);
    }
    let body::Text { text, memory: _ } = body::text(request, bodies).await?;
    // The error of the parser could quote what it has read.
    match serde_json::from_str(&text) {
        Ok(Value::Object(members)) => Ok(interpret(&members)?),
        Ok(_) => Err(Refusal::body("invalid_json", "The body is no JSON object.")),
        Err(_) if text.trim().is_empty() => Ok(interpret(&Map::new())?),
        Err(_) => Err(Refusal::body("invalid_json", "The body is no JSON.")),
    }
}

fn interpret(members: &Map<String, Value>) -> Result<LoginRequest, Failure> {
    if let Some(name) = members
        .keys()
        .find(|name| !MEMBERS.contains(&name.as_str()))
    {
        let plain: String = name
            .chars()
            .filter(char::is_ascii_graphic)
            .take(32)
            .collect();
        let message = format!(
            "there is no member {plain:?}; there are {}",
            MEMBERS.join(", ")
        );
        return Err(invalid("unknown_parameter", &message).at(plain));
    }
    let text = |name: &'static str| match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(_) => Err(invalid("invalid_type", &format!("{name} must be text")).at(name)),
    };
    let takeover = match members.get("takeover") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(takeover)) => *takeover,
        Some(_) => {
            let message = "takeover must be true or false";
            return Err(invalid("invalid_type", message).at("takeover"));
        }
    };
    let needed = |name: &'static str| {
        let missing = || invalid("missing_required_parameter", &format!("{name} is missing"));
        text(name)?.ok_or_else(|| missing().at(name))
    };
    let kind = text("type")?.unwrap_or("device_code");
    let (sign_in, takes): (_, &[&str]) = match kind {
        "device_code" => (Ok(SignIn::DeviceCode), &[]),
        "api_key" => (SignIn::api_key(needed("api_key")?), &["api_key"]),
        "chatgpt_tokens" => {
            let (account_id, plan_type) = (text("account_id")?, text("plan_type")?);
            let tokens = Tokens::new(needed("access_token")?, account_id, plan_type);
            (
                tokens.map(SignIn::Tokens),
                &["access_token", "account_id", "plan_type"],
            )
        }
        _ => {
            let message = "type must be device_code, api_key or chatgpt_tokens";
            return Err(invalid("invalid_value", message).at("type"));
        }
    };
    let stray = |name: &&String| {
        !matches!(name.as_str(), "type" | "takeover") && !takes.contains(&name.as_str())
    };
    if let Some(name) = members.keys().find(stray) {
        let message = format!("{name} does not go with the type {kind}");
        return Err(invalid("invalid_value", &message).at(name.as_str()));
    }
    let sign_in = sign_in
        .map_err(|Malformed { param, message }| invalid("invalid_value", &message).at(param))?;
    Ok(LoginRequest { sign_in, takeover })
}

fn invalid(code: &str, message: &str) -> Failure {
    Failure::new(ProblemKind::InvalidRequest, code, message)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use serde_json::json;

    use super::*;

    fn wanted(body: Value) -> Result<LoginRequest, Option<String>> {
        let Value::Object(members) = body else {
            return Err(None);
        };
        interpret(&members).map_err(|failure| failure.problem.param)
    }

    #[test]
    fn each_way_has_its_members() {
        let none = wanted(json!({})).unwrap();
        assert!(matches!(none.sign_in, SignIn::DeviceCode) && !none.takeover);
        let key =
            wanted(json!({"type": "api_key", "api_key": " sk-a ", "takeover": true})).unwrap();
        assert!(
            key.takeover && matches!(&key.sign_in, SignIn::ApiKey(key) if key.expose() == "sk-a")
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
            let refused = wanted(body.clone()).unwrap_err();
            assert_eq!(refused.as_deref(), Some(param), "{body}");
        }
    }
}
