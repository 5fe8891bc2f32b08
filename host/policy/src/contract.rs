//! Checks of a policy's results. A result that fails them reaches neither a client nor Codex.

use super::fault::Fault;
use airlock_types::wit::{
    Brief, Frame, InputItem, Output, Pattern, Plan, Request, Resume, Tool, Verdict,
};

/// The most briefs of a plan.
const CANDIDATES: usize = 20;

/// The most characters of a tool's name, as in the Responses API.
const TOOL_NAME: usize = 64;

/// The most bytes of the key of a handoff.
const KEY_BYTES: usize = 256;

/// The most bytes of a pattern with its event name. It is kept as long as the text continues.
const PATTERN_BYTES: usize = 4 << 10;

/// Checks the plan of a request.
pub(super) fn plan(plan: &Plan, request: &Request) -> Result<(), Fault> {
    let count = plan.briefs.len();
    if !(1..=CANDIDATES).contains(&count) {
        return broken(format!("{count} briefs"));
    }
    if request.nested && count > 1 {
        return broken("a nested request fans out".to_owned());
    }
    let attachments = request.attachments.len();
    let mut briefs = plan.briefs.iter();
    briefs.try_for_each(|it| brief(it, attachments))?;
    plan.tools.iter().try_for_each(tool)?;
    let resume = plan.resume.as_ref();
    resume.map_or(Ok(()), |it| resumed(it, count, attachments))
}

fn tool(tool: &Tool) -> Result<(), Fault> {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !(1..=TOOL_NAME).contains(&tool.name.len()) || !tool.name.bytes().all(known) {
        return broken(format!("a tool named {:?}", tool.name));
    }
    Ok(())
}

fn resumed(resume: &Resume, briefs: usize, attachments: usize) -> Result<(), Fault> {
    if briefs > 1 {
        return broken("a fan-out resumes a turn".to_owned());
    }
    let mut results = resume.results.iter();
    results.try_for_each(|result| exist(&result.output, attachments))
}

/// Checks a verdict.
pub(super) fn verdict(verdict: &Verdict, attachments: usize) -> Result<(), Fault> {
    match verdict {
        Verdict::Show(it) | Verdict::Consult(it) => brief(it, attachments),
        Verdict::Pick(choice) if choice.extra.as_deref().is_some_and(breaks) => {
            broken("a choice's extra has several lines".to_owned())
        }
        Verdict::Wait(_) | Verdict::Pick(_) | Verdict::Fail(_) => Ok(()),
    }
}

fn brief(brief: &Brief, attachments: usize) -> Result<(), Fault> {
    exist(&brief.input, attachments)
}

fn exist(input: &[InputItem], attachments: usize) -> Result<(), Fault> {
    for item in input {
        if let InputItem::Attachment(number) = item
            && usize::try_from(*number).is_ok_and(|number| number >= attachments)
        {
            return broken(format!("attachment {number} of {attachments}"));
        }
    }
    Ok(())
}

/// Checks the output of a batch.
pub(super) fn output(output: &Output) -> Result<(), Fault> {
    if let Some(handoff) = &output.handoff
        && handoff
            .key
            .as_deref()
            .is_some_and(|key| key.len() > KEY_BYTES)
    {
        return broken(format!("a key of more than {KEY_BYTES} bytes"));
    }
    frames(&output.frames)
}

/// Checks a pattern: each of its frames must be one server-sent event.
pub(super) fn pattern(pattern: Option<&Pattern>) -> Result<(), Fault> {
    let Some(Pattern {
        event,
        before,
        after,
        ..
    }) = pattern
    else {
        return Ok(());
    };
    let name = event.as_ref().map_or(0, String::len);
    if before.len() + after.len() + name > PATTERN_BYTES {
        return broken(format!("a pattern of more than {PATTERN_BYTES} bytes"));
    }
    if breaks(before) || breaks(after) {
        return broken("a pattern has several lines".to_owned());
    }
    named(event.as_deref())
}

/// Checks frames: each must be one server-sent event.
pub(super) fn frames(frames: &[Frame]) -> Result<(), Fault> {
    for frame in frames {
        // A line break would end the frame and begin another. Clients ignore an event without data.
        if frame.data.is_empty() || breaks(&frame.data) {
            return broken("a frame's data is empty or has several lines".to_owned());
        }
        named(frame.event.as_deref())?;
    }
    Ok(())
}

fn named(event: Option<&str>) -> Result<(), Fault> {
    if event.is_some_and(|event| event.is_empty() || breaks(event)) {
        return broken("a frame's event name is empty or has several lines".to_owned());
    }
    Ok(())
}

fn breaks(text: &str) -> bool {
    memchr::memchr2(b'\n', b'\r', text.as_bytes()).is_some()
}

fn broken<T>(what: String) -> Result<T, Fault> {
    Err(Fault::Contract(what))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use airlock_types::wit::{Attachment, Choice, Handoff, ToolResult};

    fn frame(event: Option<&str>, data: &str) -> Frame {
        Frame {
            event: event.map(str::to_owned),
            data: data.to_owned(),
        }
    }

    fn brief_with(input: Vec<InputItem>) -> Brief {
        Brief {
            model: None,
            effort: None,
            summary: None,
            instructions: String::new(),
            input,
            output_schema: None,
            tools: false,
        }
    }

    fn plan_with(briefs: Vec<Brief>) -> Plan {
        Plan {
            streaming: true,
            model: None,
            instructions: String::new(),
            history: Vec::new(),
            tools: Vec::new(),
            resume: None,
            briefs,
            notes: String::new(),
            ignored: Vec::new(),
        }
    }

    fn request(attachments: usize, nested: bool) -> Request {
        let attachment = Attachment {
            media_type: "image/png".to_owned(),
            size: 1,
            digest: String::new(),
            path: String::new(),
        };
        Request {
            id: String::new(),
            arrived: 0,
            dialect: String::new(),
            body: String::new(),
            attachments: vec![attachment; attachments],
            settings: String::new(),
            nested,
        }
    }

    #[test]
    fn a_frame_is_one_event() {
        frames(&[frame(None, "{}"), frame(Some("done"), "[DONE]")]).unwrap();
        for bad in [
            frame(None, ""),
            frame(None, "a\nb"),
            frame(None, "a\r"),
            frame(Some("a\nb"), "{}"),
            frame(Some(""), "{}"),
        ] {
            let fault = frames(&[frame(None, "{}"), bad]).unwrap_err();
            assert!(matches!(fault, Fault::Contract(_)), "{fault}");
        }
    }

    #[test]
    fn a_brief_names_only_attachments_that_exist() {
        let input = vec![InputItem::Text("look".to_owned()), InputItem::Attachment(1)];
        let candidate = plan_with(vec![brief_with(Vec::new()), brief_with(input.clone())]);
        plan(&candidate, &request(2, false)).unwrap();
        assert!(plan(&candidate, &request(1, false)).is_err());
        verdict(&Verdict::Show(brief_with(input.clone())), 2).unwrap();
        assert!(verdict(&Verdict::Consult(brief_with(input)), 1).is_err());
    }

    #[test]
    fn a_plan_has_one_to_twenty_briefs_and_a_nested_request_one() {
        let candidate = |count, nested| {
            let briefs = vec![brief_with(Vec::new()); count];
            plan(&plan_with(briefs), &request(0, nested)).is_ok()
        };
        let fine = [(1, false), (1, true), (20, false)];
        let broken = [(0, false), (2, true), (21, false)];
        assert!(fine.iter().all(|&(count, nested)| candidate(count, nested)));
        assert!(
            !broken
                .iter()
                .any(|&(count, nested)| candidate(count, nested))
        );
    }

    #[test]
    fn a_choices_extra_is_one_line() {
        let pick = |extra: &str| {
            let extra = Some(extra.to_owned());
            verdict(
                &Verdict::Pick(Choice {
                    candidate: 1,
                    extra,
                }),
                0,
            )
        };
        pick("{}").unwrap();
        assert!(pick("{\n}").is_err());
    }

    #[test]
    fn a_tools_name_is_one_that_codex_takes() {
        let named = |name: &str| {
            let mut candidate = plan_with(vec![brief_with(Vec::new())]);
            candidate.tools.push(Tool {
                name: name.to_owned(),
                description: String::new(),
                parameters: "{}".to_owned(),
                param: String::new(),
            });
            plan(&candidate, &request(0, false)).is_ok()
        };
        assert!(
            ["f", "a-B_9", &"x".repeat(64)]
                .iter()
                .all(|name| named(name))
        );
        let broken = ["", "a.b", "a b", "é", "a\n", &"x".repeat(65)];
        assert!(!broken.iter().any(|name| named(name)));
    }

    #[test]
    fn one_turn_resumes_with_results_that_exist() {
        let resuming = |briefs: usize, attachment: u32| {
            let mut candidate = plan_with(vec![brief_with(Vec::new()); briefs]);
            let result = ToolResult {
                call: "call_1".to_owned(),
                output: vec![InputItem::Attachment(attachment)],
            };
            candidate.resume = Some(Resume {
                key: String::new(),
                results: vec![result],
            });
            plan(&candidate, &request(1, false)).is_ok()
        };
        assert!(resuming(1, 0));
        assert!(!resuming(1, 1) && !resuming(2, 0));
    }

    #[test]
    fn a_pattern_makes_one_event() {
        let around = |event: Option<&str>, before: &str, after: &str| {
            pattern(Some(&Pattern {
                event: event.map(str::to_owned),
                before: before.to_owned(),
                after: after.to_owned(),
                report: false,
            }))
        };
        assert!(pattern(None).is_ok());
        around(Some("delta"), "", "").unwrap();
        around(None, &"x".repeat(PATTERN_BYTES - 1), "x").unwrap();
        for (event, before, after) in [
            (None, "a\n", ""),
            (None, "", "\rb"),
            (Some(""), "", ""),
            (Some("a\nb"), "", ""),
            (None, "xx", "x".repeat(PATTERN_BYTES - 1).as_str()),
            (Some("x"), "", "x".repeat(PATTERN_BYTES).as_str()),
        ] {
            assert!(
                around(event, before, after).is_err(),
                "{event:?} {before} {after}"
            );
        }
    }

    #[test]
    fn a_key_is_bounded() {
        let handed = |bytes: usize| {
            let handoff = Handoff {
                source: 0,
                key: Some("k".repeat(bytes)),
            };
            let frames = Vec::new();
            output(&Output {
                frames,
                handoff: Some(handoff),
            })
        };
        handed(KEY_BYTES).unwrap();
        assert!(handed(KEY_BYTES + 1).is_err());
    }
}
