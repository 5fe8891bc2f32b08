//! The plan's notes: the attributes of a request that `translate` and `synthesize` need.

use serde::{Deserialize, Serialize};

use crate::bindings::airlock::policy::types::Problem;
use crate::json;
use crate::problem::upstream;
use crate::tools::ToolNotes;

/// The notes of a plan. Absent fields are false or none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct PlanNotes {
    /// Respond with server-sent events.
    #[serde(skip_serializing_if = "is_no")]
    pub(crate) streaming: bool,
    /// End the stream with a chunk of usage.
    #[serde(skip_serializing_if = "is_no")]
    pub(crate) include_usage: bool,
    /// Send reasoning as `reasoning_content`.
    #[serde(skip_serializing_if = "is_no")]
    pub(crate) reasoning: bool,
    /// The form of the answer that the client expects.
    #[serde(skip_serializing_if = "Structure::is_free")]
    pub(crate) structure: Structure,
    /// The request's field that set the reasoning effort of its only turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) effort: Option<String>,
    /// The terms of a fan-out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fan_out: Option<FanOutTerms>,
    /// How many choices the response has, if several. Each is a turn, from source 1 on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) choices: Option<u32>,
    /// The functions that the model may call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tools: Option<ToolNotes>,
    /// Sequences that end the answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) stop: Vec<String>,
    /// What only the request's dialect has.
    #[serde(skip_serializing_if = "DialectNotes::is_chat")]
    pub(crate) dialect: DialectNotes,
}

/// What the reply of one dialect needs besides the notes that all dialects have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DialectNotes {
    /// Chat completions.
    #[default]
    Chat,
    Messages(MessagesNotes),
    Responses(ResponsesNotes),
}

impl DialectNotes {
    fn is_chat(&self) -> bool {
        *self == Self::Chat
    }
}

/// The notes of a request to the Messages API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct MessagesNotes {
    /// The estimated tokens of the input, which `message_start` reports.
    pub(crate) input_tokens: u64,
    /// Whether and how the reasoning is sent.
    pub(crate) thinking: ThinkingDisplay,
}

/// How the Messages API sends reasoning (`thinking`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ThinkingDisplay {
    /// No `thinking` blocks.
    #[default]
    Disabled,
    /// Blocks with the summary, and its signature.
    Summarized,
    /// Blocks with a signature and empty text.
    Omitted,
}

/// The notes of a request to the Responses API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ResponsesNotes {
    /// The members of the Response object that repeat the request, as the text of one JSON object: `instructions`, `metadata`,
    /// `tools`, `tool_choice`, `text`, `reasoning`, `previous_response_id` and others.
    pub(crate) echo: String,
    /// Whether reasoning items have their `encrypted_content`.
    pub(crate) encrypted_reasoning: bool,
    /// The tools whose calls are not plain function calls, by the names under which the model knows them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) renamed_tools: Vec<RenamedTool>,
    /// None if the response is not stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stored: Option<StoredNotes>,
    /// What becomes of the answer if it is the summary of a conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) compaction: Option<CompactionNotes>,
    /// None if the response goes over HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) websocket: Option<WebSocketNotes>,
}

/// What becomes of the summary of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CompactionNotes {
    /// The only item of a response.
    Response,
    /// The last item of a compaction object.
    Object {
        /// The items before it, the user's messages, as elements of a JSON array.
        messages: String,
    },
}

/// The notes of a response that is sent as messages of a WebSocket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct WebSocketNotes {
    /// The client's name for the response's events: ASCII letters, digits, `_`, `.` and `-`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stream_id: Option<String>,
}

/// The notes of a response that is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct StoredNotes {
    /// Whether the response runs in the background.
    #[serde(skip_serializing_if = "is_no")]
    pub(crate) background: bool,
    /// The identifier of the conversation that receives its items.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) conversation: Option<String>,
}

/// A tool of the Responses API that the model knows as a plain function.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RenamedTool {
    /// The function's name for the model.
    pub(crate) function: String,
    /// The tool's name for the client.
    pub(crate) name: String,
    /// The namespace that the call names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) namespace: Option<String>,
    /// Whether it is a `custom` tool, whose call has the text `input` in place of arguments.
    #[serde(skip_serializing_if = "is_no")]
    pub(crate) custom: bool,
}

/// The terms of a fan-out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct FanOutTerms {
    /// How many candidates, from 2.
    pub(crate) candidates: u32,
    /// Show the candidates on the stream.
    pub(crate) shown: bool,
    /// The name of the strategy.
    pub(crate) strategy: String,
    /// How many answers suffice once the grace time has passed. At most `candidates`.
    pub(crate) quorum: u32,
    /// The grace time: how long other candidates may still run once the quorum has answered, in milliseconds.
    pub(crate) grace_ms: u64,
    /// How long the candidates may run in total, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) deadline_ms: Option<u64>,
    /// The effort of the synthesis, and the request's field that set it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) effort: Option<(String, String)>,
    /// The reasoning summary of the synthesis.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) summary: Option<String>,
    /// The schema of the answer, as one line of JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) schema: Option<String>,
}

/// The form of the answer that the client expects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Structure {
    /// Any text.
    #[default]
    Free,
    /// One JSON object. Codex does not enforce it, so the policy checks it.
    Object,
    /// JSON that satisfies a schema, which the model enforces.
    Schema,
}

impl Structure {
    /// Fails where the client expects one JSON object and `answer` is none.
    ///
    /// # Errors
    ///
    /// `upstream`, with the code `invalid_json_output`.
    pub(crate) fn check(self, answer: &str) -> Result<(), Problem> {
        // No recursion: an answer may nest deeply.
        if self != Self::Object || json::is_object(answer) {
            return Ok(());
        }
        Err(upstream(
            "invalid_json_output",
            "the model did not answer with one JSON object; send the request again, or give a `json_schema`, which the model enforces",
        ))
    }

    fn is_free(&self) -> bool {
        *self == Self::Free
    }
}

impl PlanNotes {
    /// Compact JSON.
    pub(crate) fn to_text(&self) -> String {
        json::to_line(self)
    }

    /// Parses what `to_text` wrote. The host returns the notes unchanged; anything else gives the default.
    pub(crate) fn from_text(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_no(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::OfferedTool;

    /// A fan-out with all optional fields, and one with none.
    fn fan_outs() -> [FanOutTerms; 2] {
        let all = FanOutTerms {
            candidates: 20,
            shown: true,
            strategy: "judge".to_owned(),
            quorum: 3,
            grace_ms: 3_600_000,
            deadline_ms: Some(86_400_000),
            effort: Some(("high".to_owned(), "reasoning_effort".to_owned())),
            summary: Some("auto".to_owned()),
            schema: Some(r#"{"a":"\"\u0000"}"#.to_owned()),
        };
        let none = FanOutTerms {
            candidates: 2,
            strategy: "merge".to_owned(),
            quorum: 2,
            ..FanOutTerms::default()
        };
        [all, none]
    }

    fn tools() -> ToolNotes {
        let strict = Some(r#"{"a":"\"\u0000"}"#.to_owned());
        ToolNotes {
            offered: ["a.b", "c"]
                .map(|name| OfferedTool {
                    name: name.to_owned(),
                    path: (name == "c").then(|| "input[7]".to_owned()),
                    strict: strict.clone().filter(|_| name == "c"),
                })
                .to_vec(),
            required: true,
            single: true,
            conversation: "0f".to_owned(),
        }
    }

    fn dialects() -> [DialectNotes; 3] {
        let messages = MessagesNotes {
            input_tokens: 7,
            thinking: ThinkingDisplay::Omitted,
        };
        let responses = ResponsesNotes {
            echo: r#"{"instructions":"\"\u0000"}"#.to_owned(),
            encrypted_reasoning: true,
            renamed_tools: vec![RenamedTool {
                function: "a__b".to_owned(),
                name: "b".to_owned(),
                namespace: Some("a".to_owned()),
                custom: true,
            }],
            stored: Some(StoredNotes {
                background: true,
                conversation: Some("conv_1".to_owned()),
            }),
            compaction: Some(CompactionNotes::Object {
                messages: r#"{"a":"\u0000"}"#.to_owned(),
            }),
            websocket: Some(WebSocketNotes {
                stream_id: Some("s.1".to_owned()),
            }),
        };
        [
            DialectNotes::Chat,
            DialectNotes::Messages(messages),
            DialectNotes::Responses(responses),
        ]
    }

    #[test]
    fn notes_survive_a_round_trip() {
        let fan_outs = fan_outs().map(Some);
        for structure in [Structure::Free, Structure::Object, Structure::Schema] {
            for fan_out in fan_outs.iter().chain([&None]) {
                for bits in 0..16 {
                    let notes = PlanNotes {
                        streaming: bits & 1 != 0,
                        include_usage: bits & 2 != 0,
                        reasoning: bits & 4 != 0,
                        structure,
                        effort: (bits & 1 != 0).then(|| "reasoning.effort".to_owned()),
                        fan_out: fan_out.clone(),
                        choices: (bits & 2 != 0).then_some(20),
                        tools: (bits & 8 != 0).then(tools),
                        stop: vec!["\n".to_owned(); bits & 1],
                        dialect: dialects()[bits % 3].clone(),
                    };
                    assert_eq!(PlanNotes::from_text(&notes.to_text()), notes);
                }
            }
        }
        assert_eq!(PlanNotes::default().to_text(), "{}");
        assert_eq!(PlanNotes::from_text("not ours"), PlanNotes::default());
    }
}
