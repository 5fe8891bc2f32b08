//! External tokens.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

/// `{"https://api.openai.com/auth":{"chatgpt_plan_type":"plus","chatgpt_account_id":"acc-1"}}`
const PLUS: &str = "eyJhbGciOiJub25lIn0.eyJodHRwczovL2FwaS5vcGVuYWkuY29tL2F1dGgiOnsiY2hhdGdwdF9wbGFuX3R5cGUiOiJwbHVzIiwiY2hhdGdwdF9hY2NvdW50X2lkIjoiYWNjLTEifX0.c2ln";
/// `{}`
const BARE: &str = "eyJhbGciOiJub25lIn0.e30.c2ln";

fn fault(token: &str, account: Option<&str>, plan: Option<&str>) -> &'static str {
    ChatGptTokens::new(token, account, plan).unwrap_err().param
}

#[test]
fn the_account_and_plan_of_a_token_are_its_claims() {
    let tokens = ChatGptTokens::new(&format!(" {PLUS}\n"), None, None).unwrap();
    assert_eq!(
        (tokens.account_id.as_str(), tokens.plan.as_deref()),
        ("acc-1", Some("plus"))
    );
    assert!(ChatGptTokens::new(PLUS, Some("acc-1"), Some("pro")).is_ok());
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
fn a_workspace_is_checked_by_the_tokens_claims() {
    let ours = ["acc-1".to_owned()];
    assert!(ChatGptTokens::new(PLUS, None, None).unwrap().are_of(&ours));
    assert!(
        !ChatGptTokens::new(BARE, Some("acc-1"), None)
            .unwrap()
            .are_of(&ours)
    );
    assert!(
        ChatGptTokens::new(BARE, Some("acc-2"), None)
            .unwrap()
            .are_of(&[])
    );
}

#[test]
fn tokens_do_not_show() {
    let mut external = ExternalTokens::default();
    external.store(ChatGptTokens::new(PLUS, None, None).unwrap());
    assert!(!format!("{external:?}").contains("eyJ"));
    assert!(external.is_active() && external.newer_than(0).is_some());
    assert!(external.clear() && !external.clear() && !external.is_wanted());
}

#[test]
fn a_late_fetch_undoes_no_sign_in_or_out() {
    let tokens = || ChatGptTokens::new(PLUS, None, None).unwrap();
    let mut external = ExternalTokens::default();
    let before = external.epoch();
    external.clear();
    assert!(external.store_fetched(before, tokens()).is_none());
    assert!(external.store_fetched(external.epoch(), tokens()).is_none());
    assert!(!external.is_active() && !external.is_wanted());
    external.store(tokens());
    assert!(external.store_fetched(before, tokens()).is_none());
    assert!(external.store_fetched(external.epoch(), tokens()).is_some());
    assert!(external.are_of_another(Some("acc-2")) && !external.are_of_another(Some("acc-1")));
}
