//! Overwrites the secrets in a request's calls with as many `x`, so that lengths and the borders of pieces stay.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use serde::Deserialize;
use serde_json::Value;

use super::json::{JsonScalar, JsonString, scan};
use crate::policy_call::PolicyCall;
use airlock_base::secrets;
use airlock_types::wit::{Ending, EventKind, Loaded, Outcome, Problem};

/// The most levels of JSON within strings of JSON that are read.
const DEPTH: usize = 4;

/// The whole text that a piece belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum PieceGroup {
    /// Source, message, and the number of its restarts.
    Message(u32, u32, u32),
    /// Source, part, and whether it is raw.
    Reasoning(u32, u32, bool),
    /// Source, method and item: Codex's own deltas.
    Deltas(u32, String, String),
}

/// The kind of a text of a call.
enum TextKind {
    /// A whole text.
    Text,
    /// A whole text that should be JSON.
    Json,
    /// The JSON of a notification, which may have a piece of a text: its source and method.
    Notification(u32, String),
    /// A piece of a text.
    Piece(PieceGroup),
}

/// A range of bytes, and the byte that overwrites them.
type Overwrite = (Range<usize>, u8);

/// A piece of a whole text: the number of the text that has it, and its position there.
struct TextPiece {
    text: usize,
    written: PieceSource,
}

enum PieceSource {
    /// The text itself.
    Plain(String),
    /// A string of the text, which is JSON.
    Json(JsonString),
}

impl PieceSource {
    fn text(&self) -> &str {
        match self {
            Self::Plain(text) => text,
            Self::Json(written) => &written.text,
        }
    }

    fn range(&self, part: Range<usize>) -> Option<Range<usize>> {
        match self {
            Self::Plain(_) => Some(part),
            Self::Json(written) => written.range(part),
        }
    }
}

/// Overwrites all secrets in a tape's calls, also those that are spread over several pieces.
pub(super) fn redact(calls: &mut [PolicyCall]) {
    for call in &mut *calls {
        redact_named_parameters(call);
    }
    let mut wholes: BTreeMap<PieceGroup, Vec<TextPiece>> = BTreeMap::new();
    let mut overwrites: Vec<Vec<Overwrite>> = Vec::new();
    for_each_text(calls, &mut |role, text| {
        let number = overwrites.len();
        let own = match role {
            TextKind::Text | TextKind::Json => find_secrets(text, None, DEPTH),
            TextKind::Notification(source, method) => {
                let piece = delta(text);
                // The piece is searched as part of its whole text.
                let own = find_secrets(text, piece.as_ref().map(|(_, written)| written), DEPTH);
                if let Some((item, written)) = piece {
                    let whole = PieceGroup::Deltas(source, method, item);
                    let piece = TextPiece {
                        text: number,
                        written: PieceSource::Json(written),
                    };
                    wholes.entry(whole).or_default().push(piece);
                }
                own
            }
            TextKind::Piece(whole) => {
                let written = PieceSource::Plain(text.clone());
                let piece = TextPiece {
                    text: number,
                    written,
                };
                wholes.entry(whole).or_default().push(piece);
                Vec::new()
            }
        };
        overwrites.push(own);
    });
    for pieces in wholes.values() {
        let joined: String = pieces.iter().map(|piece| piece.written.text()).collect();
        let found = find_secrets(&joined, None, DEPTH);
        let mut from = 0;
        for piece in pieces {
            let to = from + piece.written.text().len();
            for (secret, with) in &found {
                let (start, end) = (secret.start.max(from), secret.end.min(to));
                if start < end
                    && let Some(overwrites) = overwrites.get_mut(piece.text)
                {
                    let range = piece.written.range(start - from..end - from);
                    overwrites.extend(range.map(|range| (range, *with)));
                }
            }
            from = to;
        }
    }
    let mut overwrites = overwrites.into_iter();
    for_each_text(calls, &mut |_, text| {
        let own = overwrites.next().unwrap_or_default();
        if !own.is_empty() {
            *text = overwrite(text, &own);
        }
    });
}

/// Overwrites the values of a query's parameters whose names are those of secrets.
fn redact_named_parameters(call: &mut PolicyCall) {
    let PolicyCall::Render(request) = call else {
        return;
    };
    for (_, value) in request
        .query
        .iter_mut()
        .filter(|(name, _)| secrets::is_secret_name(name))
    {
        *value = "x".repeat(value.len());
    }
}

/// The secrets of a text, without those in the string `but`. JSON stays valid, also within strings.
fn find_secrets(text: &str, but: Option<&JsonString>, depth: usize) -> Vec<Overwrite> {
    let mut overwrites = Vec::new();
    let is_json = depth > 0 && text.trim_start().starts_with(['{', '[', '"']);
    let scanned = is_json.then(|| {
        scan(text, &secrets::is_secret_name, &mut |found| {
            let named =
                |is: fn(&str) -> bool| found.hidden || found.name.as_deref().is_some_and(is);
            match &found.what {
                JsonScalar::String(written) if but == Some(written) => {}
                JsonScalar::String(written) if named(secrets::is_secret_name) => {
                    let range = written.range(0..written.text.len());
                    overwrites.extend(range.map(|range| (range, b'x')));
                }
                JsonScalar::String(written) => {
                    let own = find_secrets(&written.text, None, depth - 1).into_iter();
                    let own = own.filter_map(|(part, with)| Some((written.range(part)?, with)));
                    overwrites.extend(own);
                }
                // With an x it would be no number.
                JsonScalar::Number(range) if named(secrets::is_secret_number_name) => {
                    overwrites.push((range.clone(), b'1'));
                }
                JsonScalar::Number(_) => {}
            }
        })
    });
    if scanned.flatten().is_none() {
        let found = secrets::find(text).into_iter();
        overwrites.extend(found.map(|range| (range, b'x')));
    }
    overwrites
}

/// The params of a notification with a piece of text.
#[derive(Deserialize)]
struct DeltaParams<'a> {
    #[serde(borrow, rename = "delta")]
    _delta: Cow<'a, str>,
    #[serde(rename = "itemId")]
    item: Option<Value>,
}

/// The item and the piece of a notification, if it has one.
fn delta(params: &str) -> Option<(String, JsonString)> {
    let DeltaParams { item, .. } = serde_json::from_str(params).ok()?;
    let mut piece = None;
    scan(params, &|_| false, &mut |found| {
        if let JsonScalar::String(written) = found.what
            && found.name.as_deref() == Some("delta")
        {
            piece = Some(written);
        }
    })?;
    Some((
        item.map(|item| item.to_string()).unwrap_or_default(),
        piece?,
    ))
}

/// Overwrites these ranges. Of a number only the digits, so that it stays one.
fn overwrite(text: &str, overwrites: &[Overwrite]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for (range, with) in overwrites {
        let bytes = bytes.get_mut(range.clone()).unwrap_or_default();
        // Within a string, a number may have escapes.
        let whole = *with == b'x' || bytes.contains(&b'\\');
        for byte in bytes {
            if whole || byte.is_ascii_digit() {
                *byte = *with;
            }
        }
    }
    // The ranges are of whole characters.
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Calls `visit` with every text that may have a secret, always in the same order.
fn for_each_text(calls: &mut [PolicyCall], visit: &mut dyn FnMut(TextKind, &mut String)) {
    // The restarts of each message.
    let mut restarts: BTreeMap<(u32, u32), u32> = BTreeMap::new();
    for call in calls {
        match call {
            PolicyCall::Render(request) => {
                visit(TextKind::Json, &mut request.body);
                for attachment in &mut request.attachments {
                    visit(TextKind::Text, &mut attachment.media_type);
                    visit(TextKind::Text, &mut attachment.path);
                }
                for (name, value) in &mut request.query {
                    visit(TextKind::Text, name);
                    visit(TextKind::Text, value);
                }
                for value in &mut request.path_parameters {
                    visit(TextKind::Text, value);
                }
                for text in request.loaded.iter_mut().flat_map(loaded_texts) {
                    visit(TextKind::Json, text);
                }
            }
            PolicyCall::Feed(events) => {
                for event in events {
                    let source = event.source;
                    if let EventKind::Restarted(messages) = &event.kind {
                        for message in messages {
                            *restarts.entry((source, *message)).or_default() += 1;
                        }
                    }
                    visit_event(source, &mut event.kind, &restarts, visit);
                }
            }
            PolicyCall::Finish(ending) => visit_ending(ending, visit),
            PolicyCall::Settle(_, outcome, _) | PolicyCall::Judged(outcome, _) => {
                visit_outcome(outcome, visit);
            }
            PolicyCall::Decide(_)
            | PolicyCall::KeepAlive
            | PolicyCall::Open(_)
            | PolicyCall::Convene(..)
            | PolicyCall::Wake(_) => {}
        }
    }
}

/// The texts of stored objects and items.
fn loaded_texts(loaded: &mut Loaded) -> impl Iterator<Item = &mut String> {
    let Loaded { objects, items } = loaded;
    let of_objects = objects.iter_mut().flat_map(|object| {
        let items = object.items.iter_mut().map(|item| &mut item.text);
        std::iter::once(&mut object.head).chain(items)
    });
    of_objects.chain(items.iter_mut().map(|item| &mut item.text))
}

fn visit_event(
    source: u32,
    kind: &mut EventKind,
    restarts: &BTreeMap<(u32, u32), u32>,
    visit: &mut dyn FnMut(TextKind, &mut String),
) {
    match kind {
        EventKind::Text(text) => {
            let restart = restarts.get(&(source, text.message)).copied();
            let whole = PieceGroup::Message(source, text.message, restart.unwrap_or_default());
            visit(TextKind::Piece(whole), &mut text.text);
        }
        EventKind::Reasoning(reasoning) => {
            let whole = PieceGroup::Reasoning(source, reasoning.part, reasoning.raw);
            visit(TextKind::Piece(whole), &mut reasoning.text);
        }
        EventKind::Other(other) => {
            let role = TextKind::Notification(source, other.method.clone());
            visit(role, &mut other.params);
        }
        EventKind::Settled(ending) => visit_ending(ending, visit),
        EventKind::Picked(choice) => {
            if let Some(extra) = &mut choice.extra {
                visit(TextKind::Json, extra);
            }
        }
        EventKind::Opened(_) | EventKind::Usage(_) | EventKind::Restarted(_) => {}
    }
}

fn visit_outcome(outcome: &mut Outcome, visit: &mut dyn FnMut(TextKind, &mut String)) {
    visit_ending(&mut outcome.ending, visit);
    for message in &mut outcome.messages {
        visit(TextKind::Text, &mut message.text);
    }
}

fn visit_ending(ending: &mut Ending, visit: &mut dyn FnMut(TextKind, &mut String)) {
    if let Ending::Failed(problem) = ending {
        let Problem { message, param, .. } = problem;
        visit(TextKind::Text, message);
        if let Some(param) = param {
            visit(TextKind::Text, param);
        }
    }
}

#[cfg(test)]
mod tests;
