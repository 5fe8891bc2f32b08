//! Checks of a policy's results. A result that fails them reaches neither a client nor Codex.

use super::fault::Fault;
use airlock_types::wit::{
    Action, Brief, Closing, Frame, InputItem, NewObject, ObjectChange, ObjectPlace, Output,
    Pattern, Plan, Request, Resume, StoredItem, Tool, Verdict,
};

/// The most briefs of a plan.
const CANDIDATES: usize = 20;

/// The most characters of a tool's name, as in the Responses API.
const TOOL_NAME: usize = 64;

/// The most bytes of the key of a handoff, or of a stored object.
const KEY_BYTES: usize = 256;

/// The most bytes of a pattern with its event name. It is kept as long as the text continues.
const PATTERN_BYTES: usize = 4 << 10;

/// Checks the plan of a request.
fn plan(plan: &Plan, request: &Request) -> Result<(), Fault> {
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
    plan.object.as_ref().map_or(Ok(()), object)?;
    let lock = plan.lock.as_ref();
    lock.map_or(Ok(()), |lock| key(&lock.key))?;
    let is_stored = |it: &NewObject| it.place == ObjectPlace::Store;
    if plan.background.is_some() && !plan.object.as_ref().is_some_and(is_stored) {
        return broken("a background response has no object in the store".to_owned());
    }
    let resume = plan.resume.as_ref();
    resume.map_or(Ok(()), |it| resumed(it, count, attachments))
}

/// Checks what the host is to do with a request.
pub(super) fn action(action: &Action, request: &Request) -> Result<(), Fault> {
    match action {
        Action::Run(it) => plan(it, request),
        Action::Respond(response) => {
            frames(&response.frames)?;
            response.changes.iter().try_for_each(change)
        }
        // Keys that no object can have are the client's.
        Action::Load(_) | Action::Follow(_) | Action::Stop(_) => Ok(()),
    }
}

/// Checks the end of a response.
pub(super) fn closing(closing: &Closing) -> Result<(), Fault> {
    if let Some(end) = &closing.object {
        end.items.iter().try_for_each(item)?;
        end.append_to.as_deref().map_or(Ok(()), key)?;
    }
    frames(&closing.frames)
}

fn change(change: &ObjectChange) -> Result<(), Fault> {
    match change {
        ObjectChange::Put(it) => object(it),
        ObjectChange::ReplaceHead((it, _)) | ObjectChange::Delete(it) => key(it),
        ObjectChange::Append((it, items)) => {
            key(it)?;
            items.iter().try_for_each(item)
        }
        ObjectChange::RemoveItem((it, item)) => key(it).and_then(|()| key(item)),
    }
}

fn object(object: &NewObject) -> Result<(), Fault> {
    key(&object.key)?;
    key(&object.format)?;
    object.base.as_deref().map_or(Ok(()), key)?;
    object.items.iter().try_for_each(item)
}

fn item(item: &StoredItem) -> Result<(), Fault> {
    key(&item.id)
}

/// Checks a key or identifier of stored objects.
fn key(key: &str) -> Result<(), Fault> {
    if (1..=KEY_BYTES).contains(&key.len()) {
        Ok(())
    } else {
        let length = key.len();
        broken(format!("a key of {length} bytes, and not 1 to {KEY_BYTES}"))
    }
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
        Verdict::Wait(_) | Verdict::Pick(_) | Verdict::Complete | Verdict::Fail(_) => Ok(()),
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
        number,
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
    numbered(after, *number)?;
    named(event.as_deref())
}

/// Checks frames: each must be one server-sent event.
pub(super) fn frames(frames: &[Frame]) -> Result<(), Fault> {
    for frame in frames {
        // A line break would end the frame and begin another. Clients ignore an event without data.
        if frame.data.is_empty() || breaks(&frame.data) {
            return broken("a frame's data is empty or has several lines".to_owned());
        }
        numbered(&frame.data, frame.number)?;
        named(frame.event.as_deref())?;
    }
    Ok(())
}

/// Checks the offset of a sequence number.
fn numbered(data: &str, number: Option<u32>) -> Result<(), Fault> {
    match number.map(usize::try_from) {
        None => Ok(()),
        Some(Ok(offset)) if data.is_char_boundary(offset) => Ok(()),
        Some(_) => broken("the offset of a sequence number is outside of its text".to_owned()),
    }
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
mod tests;
