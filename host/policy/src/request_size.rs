//! The size of a request, counted before its policy runs, and the largest size that a release's limits allow. A larger
//! request is the client's error and no fault of the policy.

use memchr::memchr2;

use super::fault::Fault;
use super::sandbox::SandboxLimits;
use airlock_types::failure::Failure;
use airlock_types::wit::ProblemKind;

/// The code of a request that is too large. `http::failure` gives it the status 413.
pub const TOO_LARGE: &str = "request_too_large";

/// The CPU time of rendering that is planned for each key or value of a body, in nanoseconds. The shipped policy takes at most
/// 325, for calls with their results (`session::tests::bounds` prints it for each kind of body).
const NANOSECONDS: u128 = 400;

/// The memory of rendering that is planned for each key or value, in bytes. The shipped policy takes at most 45, for messages.
const BYTES: usize = 96;

/// The share of the sandbox's memory that a body may have, one in `COPIES`: the memory also holds the plan and buffers.
const COPIES: usize = 4;

/// The memory of a policy before its first call, in bytes.
const IDLE: usize = 1 << 20;

/// The bytes from which on a body is large: its size then explains that time or memory ran out while it was rendered.
const LARGE: usize = 64 << 10;

/// The most characters of a member's name that an error repeats.
const NAME: usize = 64;

/// The largest request body that a release's limits allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyLimits {
    /// Bytes, without lifted attachments.
    bytes: usize,
    /// Keys and values.
    parts: usize,
}

impl BodyLimits {
    /// The largest body that these limits allow.
    pub(super) fn of(allowance: &SandboxLimits) -> Self {
        let memory = allowance.memory_bytes.saturating_sub(IDLE);
        let time = allowance.call_time.min(allowance.request_time).as_nanos() / NANOSECONDS;
        Self {
            bytes: memory / COPIES,
            parts: (memory / BYTES).min(usize::try_from(time).unwrap_or(usize::MAX)),
        }
    }

    /// The most bytes of a body.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Checks a body's size. Reads the body once, unless it is too short to have too many keys and values.
    ///
    /// # Errors
    /// `request_too_large`, with the bound and the member of the body that has the most keys and values.
    pub fn check(&self, body: &str) -> Result<(), Failure> {
        if body.len() > self.bytes {
            return Err(refused(format!(
                "The request has {} bytes, and this gateway's policy has memory for {}. Send fewer or shorter messages.",
                body.len(),
                self.bytes
            )));
        }
        // The shortest part is a digit with its comma.
        if body.len() / 2 < self.parts {
            return Ok(());
        }
        let Counted { parts, most } = count(body, self.parts);
        if parts <= self.parts {
            return Ok(());
        }
        let message = format!(
            "The request has more than {} keys and values, and this gateway's policy has time and memory for no more. Send fewer messages or calls.",
            self.parts
        );
        let failure = refused(message);
        Err(match most {
            Some(member) => failure.at(member),
            None => failure,
        })
    }
}

fn refused(message: String) -> Failure {
    Failure::new(ProblemKind::InvalidRequest, TOO_LARGE, message)
}

/// Whether the request's size, with what was loaded for it, explains a fault of rendering, so that it is not a fault of the
/// policy.
pub(super) fn is_cost_of(bytes: usize, fault: &Fault) -> bool {
    is_large(bytes) && matches!(fault, Fault::TimedOut | Fault::OutOfMemory)
}

/// Whether a body of this many bytes is large.
pub(super) fn is_large(bytes: usize) -> bool {
    bytes >= LARGE
}

/// The limit that a fault exceeded, as a clause after "may".
pub(super) fn bound(fault: &Fault, allowance: &SandboxLimits) -> String {
    match fault {
        Fault::OutOfMemory => format!("use {} bytes of memory", allowance.memory_bytes),
        Fault::TooLong(_) => format!(
            "send {} bytes for one event and {} for one request",
            allowance.event_bytes, allowance.output_bytes
        ),
        _ => format!("use {} ms of CPU time", allowance.call_time.as_millis()),
    }
}

/// The client's error for a request over which the release's limits ran out.
pub(super) fn exhausted(fault: Fault, allowance: &SandboxLimits) -> Failure {
    let bound = bound(&fault, allowance);
    let message = format!(
        "The request is too large for this gateway's policy, which may {bound} to read it. Send fewer or shorter messages."
    );
    refused(message).because(fault)
}

/// The count of a body's keys and values.
#[derive(Debug, PartialEq, Eq)]
struct Counted<'a> {
    /// Keys and values, at most one above the bound.
    parts: usize,
    /// The member of the body that has the most of them.
    most: Option<&'a str>,
}

/// Counts the keys and values of JSON text, and stops above `bound`. An empty array or object counts as two. Invalid JSON is
/// counted by its punctuation, too; the policy reports what is wrong with it.
fn count(body: &str, bound: usize) -> Counted<'_> {
    let bytes = body.as_bytes();
    let mut tally = MemberParts::default();
    let (mut parts, mut depth, mut at) = (1_usize, 0_usize, 0_usize);
    let mut text = 0..0;
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'"' => {
                let start = at;
                at = string_end(bytes, at);
                text = start..at.saturating_sub(1).max(start);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                continue;
            }
            b':' if depth == 1 => tally.begin(&body[text.clone()], parts),
            b':' | b',' => {}
            _ => continue,
        }
        parts += 1;
        if parts > bound {
            break;
        }
    }
    Counted {
        parts,
        most: tally.end(parts),
    }
}

/// The end of the string whose first byte is at `at`: the index after its quote, or the end of the text.
fn string_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found + 1;
        if bytes[at - 1] == b'"' {
            return at;
        }
        // The second byte of an escape.
        at += 1;
    }
    bytes.len()
}

/// Finds the member of the body that has the most keys and values.
#[derive(Default)]
struct MemberParts<'a> {
    most: Option<(&'a str, usize)>,
    open: Option<(&'a str, usize)>,
}

impl<'a> MemberParts<'a> {
    fn begin(&mut self, member: &'a str, parts: usize) {
        self.close(parts);
        self.open = Some((member, parts));
    }

    fn close(&mut self, parts: usize) {
        if let Some((member, from)) = self.open.take() {
            let has = parts - from;
            if self.most.is_none_or(|(_, most)| has > most) {
                self.most = Some((member, has));
            }
        }
    }

    fn end(mut self, parts: usize) -> Option<&'a str> {
        self.close(parts);
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let (member, _) = self.most?;
        (member.len() <= NAME && member.bytes().all(plain)).then_some(member)
    }
}

#[cfg(test)]
mod tests;
