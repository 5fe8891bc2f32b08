//! The JSON of Codex 0.169.0, from recordings.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::plan::Usage;

/// Unix time in milliseconds.
pub(super) fn now() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Unix time in seconds, with a fraction.
pub(super) fn seconds() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs_f64()
}

pub(super) fn initialized(client: &str) -> Value {
    json!({
        "userAgent": format!("{client}/0.169.0 (Debian 12.0.0; x86_64) unknown"),
        "codexHome": std::env::temp_dir(),
        "platformFamily": "unix",
        "platformOs": "linux",
    })
}

pub(super) fn thread(id: &str, params: &Value, model: &str) -> Value {
    let ephemeral = params
        .get("ephemeral")
        .and_then(Value::as_bool)
        .unwrap_or(false);
    let seconds = now() / 1000;
    json!({
        "id": id, "environments": params.get("environments").cloned().unwrap_or(json!([])), "extra": null,
        "sessionId": id, "forkedFromId": null, "attachedToThreadId": null, "parentThreadId": null,
        "preview": "", "ephemeral": ephemeral, "section": null, "sectionEnteredAt": null, "projectId": null,
        "historyMode": "paginated", "modelProvider": "openai", "model": model, "reasoningEffort": null,
        "createdAt": seconds, "updatedAt": seconds, "recencyAt": seconds, "status": {"type": "idle"},
        "path": null, "cwd": params.get("cwd"), "cliVersion": "0.169.0", "originator": "airlock",
        "source": "vscode", "canAcceptDirectInput": true, "threadSource": null, "agentNickname": null,
        "agentRole": null, "gitInfo": null, "name": null, "daybreakEnabled": null, "turns": [],
    })
}

pub(super) fn thread_started(thread: &Value, params: &Value, model: &str) -> Value {
    let sandbox = match params.get("sandbox").and_then(Value::as_str) {
        Some("workspace-write") => {
            json!({"type": "workspaceWrite", "writableRoots": [], "networkAccess": false,
            "excludeTmpdirEnvVar": false, "excludeSlashTmp": false})
        }
        Some("danger-full-access") => json!({"type": "dangerFullAccess"}),
        _ => json!({"type": "readOnly", "networkAccess": false}),
    };
    json!({
        "thread": thread, "model": model, "modelProvider": "openai", "serviceTier": null, "disabledPluginIds": [],
        "cwd": params.get("cwd"), "runtimeWorkspaceRoots": [], "instructionSources": [],
        "approvalPolicy": params.get("approvalPolicy").cloned().unwrap_or(json!("never")),
        "approvalsReviewer": "user", "sandbox": sandbox, "activePermissionProfile": null,
        "reasoningEffort": null, "multiAgentMode": "explicitRequestOnly",
    })
}

/// A turn. `started` and `ended` are Unix milliseconds, or 0 for not yet.
pub(super) fn turn(
    id: &str,
    status: &str,
    error: &Value,
    items: &[Value],
    started: u64,
    ended: u64,
) -> Value {
    let seconds = |at: u64| {
        if at == 0 {
            Value::Null
        } else {
            json!(at / 1000)
        }
    };
    json!({
        "id": id, "rootTurnId": id, "items": items,
        "itemsView": if items.is_empty() { "notLoaded" } else { "summary" },
        "status": status, "error": error, "startedAt": seconds(started), "completedAt": seconds(ended),
        "durationMs": if ended == 0 { Value::Null } else { json!(ended.saturating_sub(started)) },
    })
}

pub(super) fn user_message(
    id: &str,
    content: &[Value],
    started: u64,
    completed: Option<u64>,
) -> Value {
    json!({
        "type": "userMessage", "id": id, "clientId": null, "content": content,
        "startedAtMs": started, "completedAtMs": completed,
    })
}

pub(super) fn agent_message(
    id: &str,
    text: &str,
    phase: Option<&str>,
    started: u64,
    completed: Option<u64>,
) -> Value {
    json!({
        "type": "agentMessage", "moderation": null, "id": id, "text": text, "phase": phase, "memoryCitation": null,
        "delivery": null, "questions": null, "startedAtMs": started, "completedAtMs": completed,
    })
}

pub(super) fn reasoning(
    id: &str,
    summary: &[String],
    raw: &str,
    started: u64,
    completed: Option<u64>,
) -> Value {
    let content: &[&str] = if raw.is_empty() { &[] } else { &[raw] };
    json!({
        "type": "reasoning", "id": id, "summary": summary, "content": content,
        "startedAtMs": started, "completedAtMs": completed,
    })
}

pub(super) fn turn_error(message: &str, info: &Value, details: Option<&str>) -> Value {
    json!({"message": message, "codexErrorInfo": info, "additionalDetails": details, "misalignment": null})
}

pub(super) fn token_usage(total: Usage, last: Usage) -> Value {
    json!({"total": tokens(total), "last": tokens(last), "modelContextWindow": 258_400})
}

fn tokens(usage: Usage) -> Value {
    json!({
        "totalTokens": usage.input + usage.output, "inputTokens": usage.input,
        "cachedInputTokens": usage.cached, "cacheWriteInputTokens": 0,
        "outputTokens": usage.output, "reasoningOutputTokens": usage.reasoning,
    })
}

/// The end of a response of the model, with usage in the forms of Codex and of the model's API.
pub(super) fn response(id: &str, usage: Option<Usage>) -> Value {
    let metadata = usage.map(|usage| {
        let usage_metadata = json!({
            "input_tokens": usage.input, "input_tokens_details": {"cached_tokens": usage.cached},
            "output_tokens": usage.output, "output_tokens_details": {"reasoning_tokens": usage.reasoning},
            "total_tokens": usage.input + usage.output,
        });
        json!({"amount": null, "metadata": usage_metadata})
    });
    json!({"responseId": id, "usage": usage.map(tokens), "usageMetadata": metadata})
}

pub(super) fn raw_user(id: &str, content: &[Value]) -> Value {
    let parts = content.iter().map(|item| match item.get("text") {
        Some(text) => json!({"type": "input_text", "text": text}),
        None => json!({"type": "input_image", "image_url": item.get("url"), "detail": "original"}),
    });
    json!({"type": "message", "id": id, "role": "user", "content": parts.collect::<Vec<_>>()})
}

pub(super) fn raw_message(id: &str, text: &str, phase: Option<&str>) -> Value {
    let part = json!({"type": "output_text", "text": text, "annotations": []});
    let mut item = json!({"type": "message", "status": "completed", "id": id, "role": "assistant", "content": [part]});
    if let (Some(phase), Some(members)) = (phase, item.as_object_mut()) {
        members.insert("phase".to_owned(), json!(phase));
    }
    item
}

pub(super) fn raw_reasoning(id: &str, summary: &[String], raw: &str) -> Value {
    let summary = summary
        .iter()
        .map(|text| json!({"type": "summary_text", "text": text}));
    let content = (!raw.is_empty()).then(|| json!([{"type": "reasoning_text", "text": raw}]));
    json!({"type": "reasoning", "id": id, "summary": summary.collect::<Vec<_>>(), "content": content,
        "encrypted_content": null})
}

pub(super) fn raw_call(id: &str, name: &str, arguments: &str) -> Value {
    json!({"type": "function_call", "status": "completed", "id": format!("fc_{id}"), "name": name,
        "arguments": arguments, "call_id": id})
}

pub(super) fn raw_output(id: &str, output: &Value) -> Value {
    json!({"type": "function_call_output", "id": format!("fco_{id}"), "call_id": id, "output": output})
}

pub(super) fn rate_limits() -> Value {
    json!({"rateLimits": {
        "limitId": "codex", "limitName": null, "normalModelSlug": null, "primary": null, "secondary": null,
        "credits": null, "individualLimit": null, "spendControlReached": null, "planType": null,
        "rateLimitReachedType": null,
    }})
}

/// The notifications of a thread that is idle and unsubscribed, with `thread_unload_delay_secs = 0`.
pub(super) fn unloaded(thread: &str) -> Vec<(&'static str, Value)> {
    vec![
        (
            "thread/status/changed",
            json!({"threadId": thread, "status": {"type": "notLoaded"}}),
        ),
        ("thread/closed", json!({"threadId": thread})),
    ]
}
