//! Puts a rule of the house before the system message of the plan that the shipped policy makes.

use crate::Policy;
use crate::bindings::airlock::policy::prompt as shipped;
use crate::bindings::airlock::policy::types::{Problem, Request};
use crate::bindings::exports::airlock::policy::prompt::{Action, Guest, Plan, Resume, ToolResult};

/// A rule for every answer.
const HOUSE_RULE: &str = "Answer in at most five sentences, unless the user asks for more.";

impl Guest for Policy {
    fn render(request: Request) -> Result<Action, Problem> {
        // The shipped plan has tools, images, formats, efforts and fan-outs.
        Ok(match shipped::render(&request)? {
            shipped::Action::Run(plan) => Action::Run(with_house_rule(plan)),
            shipped::Action::Load(keys) => Action::Load(keys),
            shipped::Action::Respond(response) => Action::Respond(response),
            shipped::Action::Follow(position) => Action::Follow(position),
            shipped::Action::Stop(key) => Action::Stop(key),
        })
    }
}

fn with_house_rule(plan: shipped::Plan) -> Plan {
    let mut instructions = HOUSE_RULE.to_owned();
    if !plan.instructions.is_empty() {
        instructions.push_str("\n\n");
        instructions.push_str(&plan.instructions);
    }
    Plan {
        instructions,
        ..exported(plan)
    }
}

/// The same plan: the imported and the exported type are two types with the same members.
fn exported(plan: shipped::Plan) -> Plan {
    let result = |result: shipped::ToolResult| ToolResult {
        call: result.call,
        output: result.output,
    };
    let resume = |resume: shipped::Resume| Resume {
        key: resume.key,
        results: resume.results.into_iter().map(result).collect(),
    };
    Plan {
        streaming: plan.streaming,
        model: plan.model,
        instructions: plan.instructions,
        history: plan.history,
        tools: plan.tools,
        resume: plan.resume.map(resume),
        briefs: plan.briefs,
        notes: plan.notes,
        ignored: plan.ignored,
        raw_items: plan.raw_items,
        object: plan.object,
        background: plan.background,
        lock: plan.lock,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(instructions: &str) -> shipped::Plan {
        shipped::Plan {
            streaming: true,
            model: None,
            instructions: instructions.to_owned(),
            history: vec!["{}".to_owned()],
            tools: Vec::new(),
            resume: None,
            briefs: Vec::new(),
            notes: "notes".to_owned(),
            ignored: vec!["temperature".to_owned()],
            raw_items: false,
            object: None,
            background: None,
            lock: None,
        }
    }

    #[test]
    fn the_house_speaks_first_and_the_rest_of_the_plan_stays() {
        let ruled = with_house_rule(plan("Be kind."));
        assert_eq!(ruled.instructions, format!("{HOUSE_RULE}\n\nBe kind."));
        assert!(ruled.streaming);
        assert_eq!(ruled.history, ["{}"]);
        assert_eq!(ruled.notes, "notes");
        assert_eq!(ruled.ignored, ["temperature"]);
    }

    #[test]
    fn without_a_system_message_the_rule_stands_alone() {
        assert_eq!(with_house_rule(plan("")).instructions, HOUSE_RULE);
    }
}
