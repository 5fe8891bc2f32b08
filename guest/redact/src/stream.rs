//! Removes secrets from a text that arrives in pieces.

use crate::secrets::{SecretMatch, SecretTail, TokenRun, match_at, may_begin};

/// The redactor of one text. Its output does not depend on where the text is cut.
#[derive(Debug, Default)]
pub struct Redactor {
    /// Text that may become a secret: at most about 2 KiB, usually nothing.
    held: String,
    /// The byte before `held`.
    before: Option<u8>,
    /// The rest of a secret that is being read.
    rest: Option<SecretTail>,
    /// The part of `held` that was scanned as a web token.
    run: TokenRun,
}

/// Removes secrets from a complete text.
pub fn redacted(text: &str) -> String {
    let mut redactor = Redactor::default();
    let mut clean = redactor.push(text);
    clean.push_str(&redactor.finish());
    clean
}

impl Redactor {
    /// Adds a piece, and returns the text that is certain now.
    pub fn push(&mut self, text: &str) -> String {
        self.held.push_str(text);
        self.read(false)
    }

    /// Ends the text: returns what was held back. A later `push` begins another text.
    pub fn finish(&mut self) -> String {
        let clean = self.read(true);
        *self = Self::default();
        clean
    }

    /// Scans as far as possible; to the end if `end` is set.
    fn read(&mut self, end: bool) -> String {
        let mut clean = String::new();
        let bytes = self.held.as_bytes();
        let mut at = 0;
        // The start of the text that passes, up to `at`.
        let mut from = 0;
        while let Some(&byte) = bytes.get(at) {
            if let Some(rest) = &mut self.rest {
                if rest.takes(byte) {
                    at += 1;
                    self.before = Some(byte);
                } else {
                    self.rest = None;
                }
                from = at;
                continue;
            }
            let found = if may_begin(byte) {
                match_at(bytes, at, self.before, &mut self.run)
            } else {
                SecretMatch::NoMatch
            };
            match found {
                SecretMatch::Undecided if !end => break,
                SecretMatch::Undecided | SecretMatch::NoMatch => {
                    at += 1;
                    self.before = Some(byte);
                }
                SecretMatch::Secret {
                    kind,
                    prefix,
                    scanned,
                    rest,
                } => {
                    // Secrets are ASCII and begin after ASCII, so these are boundaries of characters.
                    clean.push_str(&self.held[from..at + prefix]);
                    clean.push_str("[redacted ");
                    clean.push_str(kind);
                    clean.push(']');
                    at += scanned;
                    from = at;
                    self.before = bytes.get(at - 1).copied();
                    self.rest = Some(rest);
                }
            }
        }
        clean.push_str(&self.held[from..at]);
        self.held.drain(..at);
        self.run.drained(at);
        clean
    }
}

#[cfg(test)]
mod tests;
