//! Finds the parameters of a chat completion that a policy honours: renders each in a request of its own, whose plan must
//! show its effect.

use super::report::CheckStatus;
use airlock_policy::trial::request;
use airlock_policy::{CallResult, PolicyCall, Release, Replay};
use airlock_types::wit::{Attachment, InputItem, Plan, ProblemKind};

/// A user's message of text.
const TEXT: &str = r#"{"role":"user","content":"Hi"}"#;

/// A message with an image that the host has lifted out.
const IMAGE: &str = r#"{"role":"user","content":[{"type":"text","text":"Hi"},{"type":"image_url","image_url":{"url":"attachment:0"}}]}"#;

/// A call of a function, and its result.
const RESULT: &str = r#"{"role":"user","content":"Hi"},{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"look","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c","content":"seen"}"#;

/// A request with one parameter, and the test that a plan has its effect.
struct ParameterProbe {
    /// The name in reports and in a plan's `ignored`.
    name: &'static str,
    /// Members of the body, each followed by a comma.
    members: &'static str,
    messages: &'static str,
    honoured: fn(&Plan) -> bool,
}

const PROBES: [ParameterProbe; 9] = [
    ParameterProbe {
        name: "model",
        members: "",
        messages: TEXT,
        honoured: |plan| plan.model.is_some() || plan.briefs.iter().any(|it| it.model.is_some()),
    },
    ParameterProbe {
        name: "stream",
        members: r#""stream":true,"#,
        messages: TEXT,
        honoured: |plan| plan.streaming,
    },
    ParameterProbe {
        name: "images",
        members: "",
        messages: IMAGE,
        honoured: |plan| {
            let mut inputs = plan.briefs.iter().flat_map(|brief| &brief.input);
            inputs.any(|item| matches!(item, InputItem::Attachment(0)))
                || plan
                    .history
                    .iter()
                    .any(|item| item.contains("attachment:0"))
        },
    },
    ParameterProbe {
        name: "tools",
        members: r#""tools":[{"type":"function","function":{"name":"look","parameters":{"type":"object","properties":{}}}}],"#,
        messages: TEXT,
        honoured: |plan| !plan.tools.is_empty() && plan.briefs.iter().any(|brief| brief.tools),
    },
    ParameterProbe {
        name: "tool messages",
        members: "",
        messages: RESULT,
        honoured: |plan| {
            let results = ["function_call_output", "seen"];
            plan.history
                .iter()
                .any(|item| results.iter().all(|word| item.contains(word)))
        },
    },
    ParameterProbe {
        name: "response_format",
        members: r#""response_format":{"type":"json_schema","json_schema":{"name":"x","schema":{"type":"object","properties":{}}}},"#,
        messages: TEXT,
        honoured: |plan| {
            plan.briefs
                .iter()
                .any(|brief| brief.output_schema.is_some())
        },
    },
    ParameterProbe {
        name: "reasoning_effort",
        members: r#""reasoning_effort":"high","#,
        messages: TEXT,
        honoured: |plan| plan.briefs.iter().any(|brief| brief.effort.is_some()),
    },
    ParameterProbe {
        name: "reasoning",
        members: r#""reasoning":{"summary":"detailed"},"#,
        messages: TEXT,
        honoured: |plan| {
            let mut summaries = plan.briefs.iter().map(|brief| brief.summary.as_deref());
            summaries.any(|summary| summary == Some("detailed"))
        },
    },
    ParameterProbe {
        name: "parallel_calls",
        members: r#""parallel_calls":2,"#,
        messages: TEXT,
        honoured: |plan| plan.briefs.len() == 2,
    },
];

/// Names of parameters, by their outcome.
#[derive(Debug, Default)]
struct ProbeOutcomes {
    honoured: Vec<&'static str>,
    refused: Vec<&'static str>,
    ignored: Vec<&'static str>,
    /// The plan neither has the parameter nor names it as ignored.
    dropped: Vec<&'static str>,
    failed: Vec<&'static str>,
}

/// Renders all probes. Returns the status and the details for people.
pub(super) async fn probe(release: &Release) -> (CheckStatus, String) {
    let mut outcomes = ProbeOutcomes::default();
    for probe in &PROBES {
        let list = match render(release, probe).await {
            CallResult::Plan(plan) if (probe.honoured)(&plan) => &mut outcomes.honoured,
            CallResult::Plan(plan) if plan.ignored.iter().any(|it| it == probe.name) => {
                &mut outcomes.ignored
            }
            CallResult::Plan(_) => &mut outcomes.dropped,
            CallResult::Refused(problem) if problem.kind != ProblemKind::Internal => {
                &mut outcomes.refused
            }
            _ => &mut outcomes.failed,
        };
        list.push(probe.name);
    }
    outcomes.report()
}

async fn render(release: &Release, probe: &ParameterProbe) -> CallResult {
    let mut replay = match Replay::on(release).await {
        Ok(replay) => replay,
        Err(fault) => return CallResult::Fault(fault.to_string()),
    };
    let ParameterProbe {
        members, messages, ..
    } = probe;
    let body = format!(r#"{{"model":"gpt-5.5",{members}"messages":[{messages}]}}"#);
    let mut request = request(&body);
    if *messages == IMAGE {
        request.attachments.push(Attachment {
            media_type: "image/png".to_owned(),
            size: 67,
            digest: "0".repeat(64),
            path: "messages[0].content[1].image_url.url".to_owned(),
        });
    }
    replay.call(&PolicyCall::Render(request)).await
}

impl ProbeOutcomes {
    fn report(&self) -> (CheckStatus, String) {
        let lists = [
            ("refused", &self.refused),
            ("ignored", &self.ignored),
            ("dropped without a word", &self.dropped),
            ("failed", &self.failed),
        ];
        let lists = lists.iter().filter(|(_, names)| !names.is_empty());
        let lists: Vec<String> = lists
            .map(|(what, names)| format!("{what}: {}", names.join(", ")))
            .collect();
        let honoured = self.honoured.join(", ");
        match lists.as_slice() {
            [] => (CheckStatus::Ok, format!("honoured: {honoured}")),
            lists => (
                CheckStatus::Warn,
                format!("{}; honoured: {honoured}", lists.join("; ")),
            ),
        }
    }
}
