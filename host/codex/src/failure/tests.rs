//! Every recorded failure of the model, as Codex 0.169.0 reports it, and the failure for clients.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use serde_json::json;

use super::*;

fn ending(error: &Value) -> Ending {
    let error: TurnError = serde_json::from_value(error.clone()).unwrap();
    of_turn(Some(&error)).ending
}

#[test]
fn each_recorded_failure_has_its_kind_and_code() {
    use ProblemKind::{InvalidRequest, NotFound, Overloaded, RateLimited, Upstream};
    let status = |name: &str, status: Option<u16>| json!({ name: { "httpStatusCode": status } });
    let table = [
        (
            status("responseTooManyFailedAttempts", Some(429)),
            RateLimited,
            "rate_limit_exceeded",
        ),
        (
            json!("usageLimitExceeded"),
            RateLimited,
            "insufficient_quota",
        ),
        (json!("internalServerError"), Upstream, "upstream_error"),
        (json!("serverOverloaded"), Overloaded, "server_overloaded"),
        (
            json!("rateLimitExceeded"),
            RateLimited,
            "rate_limit_exceeded",
        ),
        (json!("other"), Upstream, "upstream_error"),
        (
            json!("contextWindowExceeded"),
            InvalidRequest,
            "context_length_exceeded",
        ),
        (
            status("httpConnectionFailed", Some(401)),
            Overloaded,
            "codex_not_signed_in",
        ),
        (
            status("httpConnectionFailed", Some(403)),
            Overloaded,
            "codex_not_signed_in",
        ),
        (
            status("httpConnectionFailed", Some(413)),
            InvalidRequest,
            "request_too_large",
        ),
        (
            status("httpConnectionFailed", None),
            Upstream,
            "upstream_unreachable",
        ),
        (json!("modelNotFound"), NotFound, "model_not_found"),
        (
            json!("cyberPolicy"),
            InvalidRequest,
            "content_policy_violation",
        ),
        (json!("unauthorized"), Overloaded, "codex_not_signed_in"),
        (json!("somethingNew"), Upstream, "upstream_error"),
        (Value::Null, Upstream, "upstream_error"),
    ];
    for (info, kind, code) in table {
        let error = json!({"message": "at http://10.0.0.1/v1 in /home/x", "codexErrorInfo": info});
        let Ending::Failed(problem) = ending(&error) else {
            panic!("{info}")
        };
        assert_eq!(
            (problem.kind, problem.code.as_deref()),
            (kind, Some(code)),
            "{info}"
        );
        assert!(
            !problem.message.contains("10.0.0.1") && !problem.message.contains("/home"),
            "{info}"
        );
    }
}

#[test]
fn only_a_401_means_that_the_account_is_refused() {
    let refused = |info: Value| {
        let error = json!({"message": "", "codexErrorInfo": info});
        is_refused(&serde_json::from_value(error).unwrap())
    };
    assert!(refused(json!("unauthorized")));
    assert!(refused(
        json!({"httpConnectionFailed": {"httpStatusCode": 401}})
    ));
    assert!(!refused(
        json!({"httpConnectionFailed": {"httpStatusCode": 403}})
    ));
    assert!(!refused(json!("other")));
}

#[test]
fn a_limit_has_a_retry_after() {
    let error = json!({"message": "", "codexErrorInfo": "rateLimitExceeded"});
    let Ending::Failed(problem) = ending(&error) else {
        panic!("not failed")
    };
    assert!(problem.retry_after_seconds.is_some());
}

#[test]
fn a_400_of_the_model_has_its_message() {
    let body = r#"{"error": {"message": "Invalid 'input'", "type": "invalid_request_error", "code": null}}"#;
    let Ending::Failed(problem) = ending(&json!({"message": body, "codexErrorInfo": "other"}))
    else {
        panic!("not failed")
    };
    assert_eq!(problem.kind, ProblemKind::InvalidRequest);
    assert!(problem.message.contains("Invalid 'input'"));
}

#[test]
fn a_400_of_the_model_names_its_field() {
    let param = |error: Value| {
        let body = json!({ "error": error }).to_string();
        let Ending::Failed(problem) = ending(&json!({"message": body, "codexErrorInfo": "other"}))
        else {
            panic!("not failed")
        };
        problem.param
    };
    let too_long = "Invalid 'input[1].call_id': string too long.";
    for (error, expected) in [
        (
            json!({"message": too_long, "param": "input[1].call_id"}),
            Some("input[1].call_id"),
        ),
        (
            json!({"message": too_long, "param": null}),
            Some("input[1].call_id"),
        ),
        (json!({"message": too_long}), Some("input[1].call_id")),
        (
            json!({"message": "The model doesn't accept 'input[1].call_id'.", "param": null}),
            Some("input[1].call_id"),
        ),
        (
            json!({"message": "Invalid schema for function 'f.g'.", "param": "tools[0].parameters"}),
            Some("tools[0].parameters"),
        ),
        (json!({"message": "No", "param": "store"}), Some("store")),
        (
            json!({"message": "The model 'gpt-5.5' isn't 'input'ed."}),
            None,
        ),
        (json!({"message": "Invalid 'gpt-5.5'."}), None),
        (json!({"message": "No", "param": "a\nb"}), None),
        (json!({"message": "No", "param": ""}), None),
        (json!({"message": "No", "param": 5}), None),
    ] {
        assert_eq!(param(error.clone()).as_deref(), expected, "{error}");
    }
}

#[test]
fn older_codexs_and_silent_models_are_recognised_by_their_messages() {
    let code = |message: &str| {
        let Ending::Failed(problem) =
            ending(&json!({"message": message, "codexErrorInfo": "other"}))
        else {
            panic!("not failed")
        };
        problem.code.unwrap()
    };
    let raw = r#"{"error": {"message": "too long", "code": "context_length_exceeded"}}"#;
    assert_eq!(code(raw), "context_length_exceeded");
    let idle = "stream disconnected before completion: idle timeout waiting for SSE";
    assert_eq!(code(idle), "upstream_timeout");
}

#[test]
fn a_cut_answer_is_no_failure() {
    let cut = json!({"message": "Incomplete response returned, reason: max_output_tokens", "codexErrorInfo": "other"});
    assert_eq!(ending(&cut), Ending::Incomplete(Shortfall::MaxOutputTokens));
    let filtered = json!({
        "message": "stream disconnected before completion: Incomplete response returned, reason: content_filter",
        "codexErrorInfo": "other",
    });
    assert_eq!(
        ending(&filtered),
        Ending::Incomplete(Shortfall::ContentFilter)
    );
}

#[test]
fn failed_calls_are_distinguished() {
    let code = |error| of_call("turn/start", error).problem.code.unwrap();
    let refused = |code, message: &str| {
        CallError::Refused(RpcError {
            code,
            message: message.to_owned(),
        })
    };
    assert_eq!(code(CallError::Closed), "codex_exited");
    assert_eq!(code(CallError::TimedOut), "codex_timeout");
    assert_eq!(
        code(refused(-32001, "Server overloaded; retry later.")),
        "server_overloaded"
    );
    assert_eq!(
        code(refused(-32602, "Input too large")),
        "context_length_exceeded"
    );
    assert_eq!(
        code(refused(-32600, "failed to load /home/x")),
        "upstream_error"
    );
}

#[test]
fn a_failed_connection_is_recognised_by_its_message() {
    let reconnecting = |details: &str, status: Option<u16>| {
        json!({"message": "Reconnecting... 2/5", "additionalDetails": details,
            "codexErrorInfo": {"responseStreamDisconnected": {"httpStatusCode": status}}})
    };
    let table = [
        ("Connection failed: error sending request", None, true),
        ("request timed out", None, true),
        (
            "stream disconnected before completion: Connection refused (os error 111)",
            None,
            true,
        ),
        (
            "stream disconnected before completion: Transport error: network error",
            None,
            false,
        ),
        (
            "stream disconnected before completion: stream closed before response.completed",
            None,
            false,
        ),
        ("Connection failed: error sending request", Some(503), false),
    ];
    for (details, status, expected) in table {
        let error: TurnError = serde_json::from_value(reconnecting(details, status)).unwrap();
        assert_eq!(is_unreachable(&error), expected, "{details}");
        let ending = unanswered_by_model(Duration::from_secs(60), Some(&error)).ending;
        let Ending::Failed(problem) = ending else {
            panic!("{details}")
        };
        let code = match (expected, status) {
            (true, _) => "upstream_unreachable",
            (false, Some(_)) => "server_overloaded",
            (false, None) => "upstream_error",
        };
        assert_eq!(problem.code.as_deref(), Some(code), "{details}");
    }
}
