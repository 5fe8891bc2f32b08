//! What a policy must give back. Whatever breaks this never reaches a client or Codex.

use super::fault::Fault;
use crate::wit::{Frame, InputItem, Plan};

/// Checks a plan for a request with this many attachments.
pub(super) fn plan(plan: &Plan, attachments: usize) -> Result<(), Fault> {
    for item in &plan.brief.input {
        if let InputItem::Attachment(number) = item
            && usize::try_from(*number).is_ok_and(|number| number >= attachments)
        {
            return broken(format!("attachment {number} of {attachments}"));
        }
    }
    Ok(())
}

/// Checks frames: each must be one event on the wire, and nothing else.
pub(super) fn frames(frames: &[Frame]) -> Result<(), Fault> {
    for frame in frames {
        // A line break would let a text end its frame and begin another. An empty one would be no event at all.
        if frame.data.is_empty() || breaks(&frame.data) {
            return broken("a frame's data is empty or has several lines".to_owned());
        }
        if frame
            .event
            .as_deref()
            .is_some_and(|event| event.is_empty() || breaks(event))
        {
            return broken("a frame's event name is empty or has several lines".to_owned());
        }
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
    use crate::wit::Brief;

    fn frame(event: Option<&str>, data: &str) -> Frame {
        Frame {
            event: event.map(str::to_owned),
            data: data.to_owned(),
        }
    }

    fn plan_with(input: Vec<InputItem>) -> Plan {
        let brief = Brief {
            model: None,
            effort: None,
            summary: None,
            instructions: String::new(),
            history: Vec::new(),
            input,
            output_schema: None,
        };
        Plan {
            streaming: true,
            brief,
            notes: String::new(),
            ignored: Vec::new(),
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
        plan(&plan_with(input.clone()), 2).unwrap();
        assert!(matches!(
            plan(&plan_with(input), 1),
            Err(Fault::Contract(_))
        ));
    }
}
