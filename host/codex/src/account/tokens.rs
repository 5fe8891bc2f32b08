//! External ChatGPT tokens, which the operator provides. They are held in this process's memory only.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::invalid_field::InvalidField;
use super::messages;
use airlock_base::secrets::Secret;

/// The longest token that is accepted, in bytes.
const LONGEST: usize = 16 << 10;

/// The claim of a token that names its account.
const CLAIM: &str = "https://api.openai.com/auth";

/// A token younger than this is provided again without a fetch, as the child whose token was refused did not have it yet.
const FRESH: Duration = Duration::from_secs(1);

/// An access token with its account.
#[derive(Clone, Debug)]
pub struct ChatGptTokens {
    pub(super) access: Secret,
    /// The ChatGPT account, which is a workspace.
    pub(super) account_id: String,
    pub(super) plan: Option<String>,
    /// The account in the token's own claims.
    claimed: Option<String>,
}

impl ChatGptTokens {
    /// Parses a JSON Web Token. Account and plan default to the token's claims.
    ///
    /// # Errors
    /// The invalid field in OpenAI's spelling, and why it is invalid. Never the token.
    pub fn new(
        access_token: &str,
        account_id: Option<&str>,
        plan: Option<&str>,
    ) -> Result<Self, InvalidField> {
        let access_token = access_token.trim();
        let claims = Some(access_token)
            .filter(|token| token.len() <= LONGEST && token.bytes().all(|b| b.is_ascii_graphic()))
            .and_then(claims)
            .ok_or_else(|| InvalidField::new("access_token", "is not a JSON Web Token"))?;
        let claimed = |name: &str| claims.get(CLAIM)?.get(name)?.as_str().map(str::to_owned);
        let of_token = claimed("chatgpt_account_id");
        let account_id = match account_id.map(str::trim).filter(|id| !id.is_empty()) {
            Some(id) => id.to_owned(),
            None => of_token.clone().ok_or_else(|| {
                InvalidField::new("account_id", "is missing, and the token does not name it")
            })?,
        };
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        if account_id.len() > 128 || !account_id.bytes().all(fits) {
            return Err(InvalidField::new(
                "account_id",
                "is not the id of an account",
            ));
        }
        if of_token
            .as_ref()
            .is_some_and(|of_token| *of_token != account_id)
        {
            return Err(InvalidField::new(
                "account_id",
                "is not the account of the token",
            ));
        }
        let plan = match plan {
            Some(plan) => Some(messages::plan(plan).ok_or_else(|| {
                InvalidField::new("plan_type", "is not the name of a plan, such as `plus`")
            })?),
            None => claimed("chatgpt_plan_type")
                .as_deref()
                .and_then(messages::plan),
        };
        Ok(Self {
            access: Secret::new(access_token),
            account_id,
            plan,
            claimed: of_token,
        })
    }

    /// Whether the tokens belong to one of these workspaces, also by their own claims. Empty: any workspace is allowed.
    pub(super) fn are_of(&self, workspaces: &[String]) -> bool {
        workspaces.is_empty()
            || workspaces.contains(&self.account_id)
                && self.claimed.as_ref() == Some(&self.account_id)
    }
}

/// The tokens that children are signed in with.
#[derive(Debug, Default)]
pub(super) struct ExternalTokens {
    stored: Option<StoredTokens>,
    /// The serial number of the last token. Increases with each.
    serial: u64,
    /// Somebody has signed out, so no tokens are fetched until the next sign-in.
    signed_out: bool,
}

/// A version of the stored tokens, to detect a change during a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Epoch {
    serial: u64,
    signed_out: bool,
}

/// Tokens, with their serial number and the time they were stored.
#[derive(Clone, Debug)]
pub(super) struct StoredTokens {
    pub(super) tokens: ChatGptTokens,
    pub(super) serial: u64,
    since: Instant,
}

impl ExternalTokens {
    pub(super) fn is_active(&self) -> bool {
        self.stored.is_some()
    }

    /// Whether tokens are missing although nobody has signed out.
    pub(super) fn is_wanted(&self) -> bool {
        self.stored.is_none() && !self.signed_out
    }

    pub(super) fn current(&self) -> Option<StoredTokens> {
        self.stored.clone()
    }

    /// The tokens, if a child whose token had this serial number has not tried them.
    pub(super) fn newer_than(&self, serial: u64) -> Option<StoredTokens> {
        let newer =
            |stored: &&StoredTokens| stored.serial > serial || stored.since.elapsed() < FRESH;
        self.stored.as_ref().filter(newer).cloned()
    }

    /// Whether there are tokens of another account than this one.
    pub(super) fn are_of_another(&self, account: Option<&str>) -> bool {
        let other =
            |stored: &StoredTokens| account.is_some_and(|id| id != stored.tokens.account_id);
        self.stored.as_ref().is_some_and(other)
    }

    /// The current version, to compare with a later one.
    pub(super) fn epoch(&self) -> Epoch {
        Epoch {
            serial: self.serial,
            signed_out: self.signed_out,
        }
    }

    /// Stores tokens whose fetch began at this epoch. None: somebody has signed out or in since, or had signed out before.
    pub(super) fn store_fetched(
        &mut self,
        epoch: Epoch,
        tokens: ChatGptTokens,
    ) -> Option<StoredTokens> {
        let holds = !self.signed_out && self.epoch() == epoch;
        holds.then(|| self.store(tokens))
    }

    pub(super) fn store(&mut self, tokens: ChatGptTokens) -> StoredTokens {
        self.serial += 1;
        self.signed_out = false;
        let stored = StoredTokens {
            tokens,
            serial: self.serial,
            since: Instant::now(),
        };
        self.stored.insert(stored).clone()
    }

    /// Removes the tokens upon a sign-out. False: there were none.
    pub(super) fn clear(&mut self) -> bool {
        self.signed_out = true;
        self.stored.take().is_some()
    }
}

fn claims(token: &str) -> Option<Value> {
    let mut parts = token.split('.');
    let (_head, body, _signature) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let claims: Value = serde_json::from_slice(&base64url(body)?).ok()?;
    claims.is_object().then_some(claims)
}

/// Base64 for URLs (RFC 4648, section 5), without padding.
fn base64url(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut buffer, mut bits) = (0u32, 0u32);
    for byte in text.trim_end_matches('=').bytes() {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        buffer = buffer << 6 | u32::from(six);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(buffer >> bits & 0xff).ok()?);
            buffer &= (1 << bits) - 1;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests;
