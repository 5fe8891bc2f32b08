//! What Codex asks of us, and our answer: no. Nothing is allowed unless something names it and allows it.

use serde_json::value::RawValue;
use serde_json::{Value, json};

/// Why, for whoever reads it.
const REFUSAL: &str = "the gateway refuses this";

/// The answer to a request of Codex's, one line without its end.
///
/// Approvals are declined: the model hears so and goes on. All else (tools, questions to the user, tokens, …) gets an
/// error, which Codex takes for a refusal too (0.169.0, recording `09_approval_client_answers_error`).
pub(super) fn refusal(id: &RawValue, method: &str) -> String {
    let answer = match method {
        "item/commandExecution/requestApproval" | "item/fileChange/requestApproval" => {
            json!({ "result": { "decision": "decline" } })
        }
        "execCommandApproval" | "applyPatchApproval" => {
            // An object since before 0.163.0, as the schema tells.
            json!({ "result": { "decision": { "denied": { "rejection": REFUSAL } } } })
        }
        _ => json!({ "error": { "code": -32601, "message": REFUSAL } }),
    };
    // The id is Codex's own and goes back exactly as it came, be it a number or a text.
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
    fn anything_else_is_an_error_under_the_same_id() {
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
