//! ChatGPT tokens that somebody else has got and gives us. They are in this process's memory and nowhere else.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::messages;
use super::request::Malformed;
use airlock_base::secrets::Secret;

/// Bytes of the longest token that is taken.
const LONGEST: usize = 16 << 10;

/// Where a token of OpenAI's says whose it is.
const CLAIM: &str = "https://api.openai.com/auth";

/// A token that was got so recently is not asked for again: whoever was refused did not have it yet.
const FRESH: Duration = Duration::from_secs(1);

/// An access token, and whose it is.
#[derive(Clone, Debug)]
pub struct Tokens {
    pub(super) access: Secret,
    /// The ChatGPT account, which is a workspace.
    pub(super) account_id: String,
    pub(super) plan: Option<String>,
    /// What the token itself says of its account.
    claimed: Option<String>,
}

impl Tokens {
    /// Takes a token that is a JSON Web Token. What is not said beside it is taken from it.
    ///
    /// # Errors
    /// The name of what is wrong, in OpenAI's spelling, and why. Never the token.
    pub fn new(
        access_token: &str,
        account_id: Option<&str>,
        plan: Option<&str>,
    ) -> Result<Self, Malformed> {
        let access_token = access_token.trim();
        let claims = Some(access_token)
            .filter(|token| token.len() <= LONGEST && token.bytes().all(|b| b.is_ascii_graphic()))
            .and_then(claims)
            .ok_or_else(|| Malformed::new("access_token", "is no JSON Web Token"))?;
        let claimed = |name: &str| claims.get(CLAIM)?.get(name)?.as_str().map(str::to_owned);
        let of_token = claimed("chatgpt_account_id");
        let account_id = match account_id.map(str::trim).filter(|id| !id.is_empty()) {
            Some(id) => id.to_owned(),
            None => of_token.clone().ok_or_else(|| {
                Malformed::new("account_id", "is missing, and the token does not name it")
            })?,
        };
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        if account_id.len() > 128 || !account_id.bytes().all(fits) {
            return Err(Malformed::new("account_id", "is no id of an account"));
        }
        if of_token
            .as_ref()
            .is_some_and(|of_token| *of_token != account_id)
        {
            return Err(Malformed::new(
                "account_id",
                "is not the account of the token",
            ));
        }
        let plan = match plan {
            Some(plan) => Some(messages::plan(plan).ok_or_else(|| {
                Malformed::new("plan_type", "is no name of a plan, such as `plus`")
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

    /// Whether they are of one of these workspaces, by their own word too. None of them: any will do.
    pub(super) fn are_of(&self, workspaces: &[String]) -> bool {
        workspaces.is_empty()
            || workspaces.contains(&self.account_id)
                && self.claimed.as_ref() == Some(&self.account_id)
    }
}

/// The tokens that children are signed in with.
#[derive(Debug, Default)]
pub(super) struct External {
    given: Option<Given>,
    /// Counts up with each token.
    serial: u64,
    /// Somebody has signed out, so none is wanted by itself.
    dropped: bool,
}

/// Which tokens there were, and whether any were wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Epoch {
    serial: u64,
    dropped: bool,
}

/// Tokens, and since when there are these.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) tokens: Tokens,
    pub(super) serial: u64,
    since: Instant,
}

impl External {
    pub(super) fn is_active(&self) -> bool {
        self.given.is_some()
    }

    /// Whether there are none, and nobody has signed out.
    pub(super) fn is_wanted(&self) -> bool {
        self.given.is_none() && !self.dropped
    }

    pub(super) fn current(&self) -> Option<Given> {
        self.given.clone()
    }

    /// What whoever was refused with token `serial` has not tried.
    pub(super) fn newer_than(&self, serial: u64) -> Option<Given> {
        let newer = |given: &&Given| given.serial > serial || given.since.elapsed() < FRESH;
        self.given.as_ref().filter(newer).cloned()
    }

    /// Whether there are some, and they are of another account than this one.
    pub(super) fn are_of_another(&self, account: Option<&str>) -> bool {
        let other = |given: &Given| account.is_some_and(|id| id != given.tokens.account_id);
        self.given.as_ref().is_some_and(other)
    }

    /// What there is now, to be compared with what there is later.
    pub(super) fn epoch(&self) -> Epoch {
        Epoch {
            serial: self.serial,
            dropped: self.dropped,
        }
    }

    /// Takes tokens that were asked for at this epoch. None: somebody has signed out or in since then, or had signed out
    /// before, and that holds.
    pub(super) fn renew(&mut self, epoch: Epoch, tokens: Tokens) -> Option<Given> {
        let holds = !self.dropped && self.epoch() == epoch;
        holds.then(|| self.give(tokens))
    }

    pub(super) fn give(&mut self, tokens: Tokens) -> Given {
        self.serial += 1;
        self.dropped = false;
        let given = Given {
            tokens,
            serial: self.serial,
            since: Instant::now(),
        };
        self.given.insert(given).clone()
    }

    /// Forgets them. False: there were none.
    pub(super) fn drop_all(&mut self) -> bool {
        self.dropped = true;
        self.given.take().is_some()
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
    let (mut kept, mut bits) = (0u32, 0u32);
    for byte in text.trim_end_matches('=').bytes() {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        kept = kept << 6 | u32::from(six);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(kept >> bits & 0xff).ok()?);
            kept &= (1 << bits) - 1;
        }
    }
    Some(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    /// `{"https://api.openai.com/auth":{"chatgpt_plan_type":"plus","chatgpt_account_id":"acc-1"}}`
    const PLUS: &str = "eyJhbGciOiJub25lIn0.eyJodHRwczovL2FwaS5vcGVuYWkuY29tL2F1dGgiOnsiY2hhdGdwdF9wbGFuX3R5cGUiOiJwbHVzIiwiY2hhdGdwdF9hY2NvdW50X2lkIjoiYWNjLTEifX0.c2ln";
    /// `{}`
    const BARE: &str = "eyJhbGciOiJub25lIn0.e30.c2ln";

    fn fault(token: &str, account: Option<&str>, plan: Option<&str>) -> &'static str {
        Tokens::new(token, account, plan).unwrap_err().param
    }

    #[test]
    fn a_token_says_whose_it_is() {
        let tokens = Tokens::new(&format!(" {PLUS}\n"), None, None).unwrap();
        assert_eq!(
            (tokens.account_id.as_str(), tokens.plan.as_deref()),
            ("acc-1", Some("plus"))
        );
        assert!(Tokens::new(PLUS, Some("acc-1"), Some("pro")).is_ok());
        assert_eq!(fault(PLUS, Some("acc-2"), None), "account_id");
        assert_eq!(fault(BARE, None, None), "account_id");
        assert_eq!(fault(BARE, Some("a b"), None), "account_id");
        assert_eq!(fault(PLUS, None, Some("sk-plus")), "plan_type");
        for token in [
            "",
            "x",
            "a.b",
            "a.b.c.d",
            "a.!.c",
            "a.e30.c\u{e9}",
            &"x".repeat(LONGEST + 1),
        ] {
            assert_eq!(fault(token, Some("acc-1"), None), "access_token", "{token}");
        }
    }

    #[test]
    fn a_workspace_is_the_tokens_own_word() {
        let ours = ["acc-1".to_owned()];
        assert!(Tokens::new(PLUS, None, None).unwrap().are_of(&ours));
        assert!(
            !Tokens::new(BARE, Some("acc-1"), None)
                .unwrap()
                .are_of(&ours)
        );
        assert!(Tokens::new(BARE, Some("acc-2"), None).unwrap().are_of(&[]));
    }

    #[test]
    fn tokens_do_not_show() {
        let mut external = External::default();
        external.give(Tokens::new(PLUS, None, None).unwrap());
        assert!(!format!("{external:?}").contains("eyJ"));
        assert!(external.is_active() && external.newer_than(0).is_some());
        assert!(external.drop_all() && !external.drop_all() && !external.is_wanted());
    }

    #[test]
    fn what_comes_late_undoes_nothing() {
        let tokens = || Tokens::new(PLUS, None, None).unwrap();
        let mut external = External::default();
        let before = external.epoch();
        external.drop_all();
        assert!(external.renew(before, tokens()).is_none());
        assert!(external.renew(external.epoch(), tokens()).is_none());
        assert!(!external.is_active() && !external.is_wanted());
        external.give(tokens());
        assert!(external.renew(before, tokens()).is_none());
        assert!(external.renew(external.epoch(), tokens()).is_some());
        assert!(external.are_of_another(Some("acc-2")) && !external.are_of_another(Some("acc-1")));
    }
}
