//! The parameters and results of the app-server's methods, as far as the gateway uses them. Names are Codex's own (0.169.0,
//! `generate-json-schema`).

use std::borrow::Cow;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Unused notifications, which `initialize` switches off (`optOutNotificationMethods`).
pub(super) const UNREAD: &[&str] = &[
    "app/list/updated",
    "mcpServer/startupStatus/updated",
    "remoteControl/status/changed",
    "skills/changed",
    "thread/readState/changed",
    "thread/settings/updated",
    "thread/started",
    "thread/status/changed",
];

/// The error code of an overloaded Codex. The call was not started, so it may be repeated.
pub(super) const OVERLOADED: i64 = -32001;

/// The error code of invalid parameters. Of the gateway's parameters, Codex refuses only an input that is too long in this way
/// (`input_too_large`, 0.169.0).
pub(super) const INVALID_PARAMS: i64 = -32602;

/// Codex's request for the result of a tool call.
pub(super) const TOOL_CALL: &str = "item/tool/call";

/// The maximum number of characters of text in one `turn/start` (`input_too_large`).
pub(super) const INPUT_CHARS: usize = 1_048_576;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct InitializeParams {
    pub(super) client_info: ClientInfo,
    pub(super) capabilities: Capabilities,
}

#[derive(Debug, Serialize)]
pub(super) struct ClientInfo {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) version: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Capabilities {
    /// Required for `environments` and `dynamicTools`.
    pub(super) experimental_api: bool,
    pub(super) opt_out_notification_methods: &'static [&'static str],
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct InitializeResponse {
    /// The client's name and Codex's version: `airlock/0.169.0 (…)`.
    pub(super) user_agent: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ThreadStartParams<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) model: Option<&'a str>,
    pub(super) ephemeral: bool,
    pub(super) approval_policy: &'static str,
    pub(super) sandbox: &'static str,
    /// Empty: no command can run, and no login shell starts.
    pub(super) environments: [(); 0],
    /// Replaces Codex's own instructions of 17 KB. An empty text removes them.
    pub(super) base_instructions: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) config: Option<ThreadConfig<'a>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) dynamic_tools: &'a [DynamicTool],
    /// Requests the model's raw output. Only that shows what Codex has cut out of a message, and when a response has all its
    /// calls.
    pub(super) experimental_raw_events: bool,
}

/// Settings of one thread. They keep the spelling of `config.toml`.
#[derive(Debug, Serialize)]
pub(super) struct ThreadConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) model_catalog_json: Option<&'a Path>,
    /// How long answers are: `low`, `medium`, `high`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) model_verbosity: Option<&'a str>,
}

impl<'a> ThreadConfig<'a> {
    /// None if there is nothing to set.
    pub(super) fn new(
        model_catalog_json: Option<&'a Path>,
        model_verbosity: Option<&'a str>,
    ) -> Option<Self> {
        let is_empty = model_catalog_json.is_none() && model_verbosity.is_none();
        (!is_empty).then_some(Self {
            model_catalog_json,
            model_verbosity,
        })
    }
}

/// A function that the model may call. The gateway provides the result.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "function", rename_all = "camelCase")]
pub(super) struct DynamicTool {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) input_schema: Box<RawValue>,
    /// The request's field that the schema came from.
    #[serde(skip)]
    pub(super) param: String,
}

/// The result of a tool call.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ToolCallResponse<'a> {
    pub(super) content_items: Vec<ContentItem<'a>>,
    pub(super) success: bool,
}

#[derive(Debug, Serialize)]
#[serde(
    tag = "type",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub(super) enum ContentItem<'a> {
    InputText { text: &'a str },
    InputImage { image_url: &'a str },
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ThreadStartResponse {
    pub(super) thread: Thread,
    pub(super) model: String,
    pub(super) approval_policy: serde_json::Value,
    pub(super) sandbox: SandboxPolicy,
}

#[derive(Debug, Deserialize)]
pub(super) struct Thread {
    pub(super) id: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SandboxPolicy {
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) network_access: bool,
}

impl ThreadStartResponse {
    /// Whether the thread is confined as requested: read-only, without network, and without approvals.
    pub(super) fn is_confined(&self) -> bool {
        self.approval_policy == "never"
            && self.sandbox.kind == "readOnly"
            && !self.sandbox.network_access
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct InjectItemsParams<'a> {
    pub(super) thread_id: &'a str,
    pub(super) items: &'a [Cow<'a, RawValue>],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TurnStartParams<'a> {
    pub(super) thread_id: &'a str,
    pub(super) input: &'a [UserInput<'a>],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) effort: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) summary: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) output_schema: Option<&'a RawValue>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub(super) enum UserInput<'a> {
    Text { text: &'a str },
    Image { url: &'a str },
}

#[derive(Debug, Deserialize)]
pub(super) struct TurnStartResponse {
    pub(super) turn: TurnId,
}

#[derive(Debug, Deserialize)]
pub(super) struct TurnId {
    pub(super) id: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TurnInterruptParams<'a> {
    pub(super) thread_id: &'a str,
    pub(super) turn_id: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ThreadUnsubscribeParams<'a> {
    pub(super) thread_id: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ModelListParams {
    pub(super) include_hidden: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cursor: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ModelListResponse {
    pub(super) data: Vec<Model>,
    pub(super) next_cursor: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Model {
    pub(super) id: String,
    #[serde(default)]
    pub(super) display_name: String,
    #[serde(default)]
    pub(super) description: String,
    #[serde(default)]
    pub(super) is_default: bool,
    #[serde(default)]
    pub(super) hidden: bool,
    #[serde(default)]
    pub(super) supported_reasoning_efforts: Vec<ReasoningEffort>,
    pub(super) default_reasoning_effort: Option<String>,
    #[serde(default)]
    pub(super) input_modalities: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReasoningEffort {
    pub(super) reasoning_effort: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct ConfigReadResponse {
    pub(super) config: EffectiveConfig,
}

/// Codex's effective settings. The members have the spelling of `config.toml`.
#[derive(Debug, Deserialize)]
pub(super) struct EffectiveConfig {
    pub(super) model: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AccountReadResponse {
    pub(super) account: Option<AccountInfo>,
    #[serde(default)]
    pub(super) requires_openai_auth: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct AccountInfo {
    /// The kind of account: `apiKey`, `chatgpt`.
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// The plan, for ChatGPT only: `plus`, `pro`.
    #[serde(default, rename = "planType")]
    pub(super) plan_type: Option<String>,
}

/// The parameters of a call without parameters.
#[derive(Debug, Serialize)]
pub(super) struct Nothing {}

/// A result whose content does not matter.
#[derive(Debug, Deserialize)]
pub(super) struct Ignored {}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn echo(approval: &str, sandbox: &str) -> ThreadStartResponse {
        let text = format!(
            r#"{{"thread":{{"id":"t"}},"model":"m","approvalPolicy":{approval},"sandbox":{sandbox}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn only_read_only_without_network_and_never_is_confined() {
        assert!(echo(r#""never""#, r#"{"type":"readOnly","networkAccess":false}"#).is_confined());
        assert!(!echo(r#""on-request""#, r#"{"type":"readOnly"}"#).is_confined());
        assert!(!echo(r#"{"granular":{}}"#, r#"{"type":"readOnly"}"#).is_confined());
        assert!(!echo(r#""never""#, r#"{"type":"readOnly","networkAccess":true}"#).is_confined());
        assert!(!echo(r#""never""#, r#"{"type":"workspaceWrite"}"#).is_confined());
        assert!(!echo(r#""never""#, r#"{"type":"dangerFullAccess"}"#).is_confined());
    }

    #[test]
    fn nothing_that_is_decoded_is_switched_off() {
        let decoded = [
            "item/agentMessage/delta",
            "item/reasoning/summaryTextDelta",
            "item/reasoning/textDelta",
            "item/started",
            "item/completed",
            "thread/tokenUsage/updated",
            "error",
            "turn/started",
            "turn/completed",
        ];
        for method in decoded {
            assert!(!UNREAD.contains(&method), "{method}");
        }
    }
}
