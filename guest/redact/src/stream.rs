//! Takes the secrets out of a text that comes in pieces.

use crate::secrets::{SecretMatch, SecretTail, TokenRun, look, may_begin};

/// One text. What it lets through does not depend on where the text was cut.
#[derive(Debug, Default)]
pub struct Redactor {
    /// What may still become a secret: at most some 2 KiB, and mostly nothing.
    held: String,
    /// The byte before that.
    before: Option<u8>,
    /// A secret is being read.
    rest: Option<SecretTail>,
    /// What is known of `held` already.
    run: TokenRun,
}

/// Takes the secrets out of a whole text.
pub fn redacted(text: &str) -> String {
    let mut redactor = Redactor::default();
    let mut clean = redactor.push(text);
    clean.push_str(&redactor.finish());
    clean
}

impl Redactor {
    /// Takes in a piece, and returns what is certain now.
    pub fn push(&mut self, text: &str) -> String {
        self.held.push_str(text);
        self.read(false)
    }

    /// The text ends here: returns what was held. A text that is pushed now is another one.
    pub fn finish(&mut self) -> String {
        let clean = self.read(true);
        *self = Self::default();
        clean
    }

    /// Reads as far as it can: to the end, where `end` says that nothing follows.
    fn read(&mut self, end: bool) -> String {
        let mut clean = String::new();
        let bytes = self.held.as_bytes();
        let mut at = 0;
        // From where on the text is let through, up to `at`.
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
                look(bytes, at, self.before, &mut self.run)
            } else {
                SecretMatch::Nothing
            };
            match found {
                SecretMatch::Perhaps if !end => break,
                SecretMatch::Perhaps | SecretMatch::Nothing => {
                    at += 1;
                    self.before = Some(byte);
                }
                SecretMatch::Secret {
                    kind,
                    prefix,
                    seen,
                    rest,
                } => {
                    // Secrets are ASCII, and so is what they begin after: these are the borders of characters.
                    clean.push_str(&self.held[from..at + prefix]);
                    clean.push_str("[redacted ");
                    clean.push_str(kind);
                    clean.push(']');
                    at += seen;
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
