//! Refusals of Codex's requests. Every request is refused, except for those that another module handles.

use serde_json::value::RawValue;
use serde_json::{Value, json};

/// The reason that is sent to Codex.
const REFUSAL: &str = "the gateway refuses this";

/// The refusal of a request from Codex: one line, without a line end.
///
/// Approvals are declined, upon which the model goes on. Other requests (tools, questions to the user, tokens, …) get an error,
/// which Codex also treats as a refusal (0.169.0, recording `09_approval_client_answers_error`).
pub(super) fn refusal(id: &RawValue, method: &str) -> String {
    let answer = match method {
        "item/commandExecution/requestApproval" | "item/fileChange/requestApproval" => {
            json!({ "result": { "decision": "decline" } })
        }
        "execCommandApproval" | "applyPatchApproval" => {
            // An object in the schemas of 0.163.0 and later.
            json!({ "result": { "decision": { "denied": { "rejection": REFUSAL } } } })
        }
        _ => json!({ "error": { "code": -32601, "message": REFUSAL } }),
    };
    // The id is returned exactly as received, number or string.
    let body = match &answer {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| format!(",\"{name}\":{value}"))
            .collect(),
        _ => String::new(),
    };
    format!("{{\"id\":{}{body}}}", id.get())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn answer(id: &str, method: &str) -> Value {
        let id = RawValue::from_string(id.to_owned()).unwrap();
        serde_json::from_str(&refusal(&id, method)).unwrap()
    }

    #[test]
    fn approvals_are_declined() {
        assert_eq!(
            answer("0", "item/commandExecution/requestApproval"),
            json!({"id": 0, "result": {"decision": "decline"}})
        );
        assert_eq!(
            answer("7", "item/fileChange/requestApproval"),
            json!({"id": 7, "result": {"decision": "decline"}})
        );
        assert_eq!(
            answer("1", "applyPatchApproval"),
            json!({"id": 1, "result": {"decision": {"denied": {"rejection": REFUSAL}}}})
        );
    }

    #[test]
    fn other_requests_get_an_error_with_the_same_id() {
        for method in [
            "item/tool/call",
            "item/tool/requestUserInput",
            "account/chatgptAuthTokens/refresh",
            "new/thing",
        ] {
            let answer = answer("\"abc\"", method);
            assert_eq!(answer["id"], "abc");
            assert_eq!(answer["error"]["code"], -32601);
        }
    }
}
