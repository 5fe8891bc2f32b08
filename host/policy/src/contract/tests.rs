//! Checks of a policy's results.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use airlock_types::wit::{Attachment, Choice, Handoff, ToolResult, Transport};

fn frame(event: Option<&str>, data: &str) -> Frame {
    Frame {
        event: event.map(str::to_owned),
        data: data.to_owned(),
        number: None,
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
        verbosity: None,
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
        raw_items: false,
        object: None,
        background: None,
        lock: None,
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
        route: String::new(),
        path_parameters: Vec::new(),
        query: Vec::new(),
        seed: String::new(),
        transport: Transport::Http,
        has_store: true,
        loaded: None,
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
fn a_sequence_number_goes_between_two_characters_of_its_text() {
    let numbered = |data: &str, number| {
        frames(&[Frame {
            number: Some(number),
            ..frame(None, data)
        }])
    };
    for (data, number) in [("{}", 0), ("{}", 2), ("é", 2)] {
        numbered(data, number).unwrap();
    }
    for (data, number) in [("{}", 3), ("é", 1), ("{}", u32::MAX)] {
        let fault = numbered(data, number).unwrap_err();
        assert!(matches!(fault, Fault::Contract(_)), "{fault}");
    }
    let around = |after: &str, number| {
        pattern(Some(&Pattern {
            event: None,
            before: "before".to_owned(),
            after: after.to_owned(),
            report: false,
            number: Some(number),
        }))
    };
    around("}", 1).unwrap();
    assert!(around("}", 2).is_err() && around("é", 1).is_err());
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
            number: None,
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
            complete: false,
            head: None,
        })
    };
    handed(KEY_BYTES).unwrap();
    assert!(handed(KEY_BYTES + 1).is_err());
}
