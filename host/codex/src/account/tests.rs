//! The account by itself, without any Codex.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;

use super::*;
use crate::config::{CodexConfig, LoginMode};
use airlock_base::environment::Environment;
use airlock_base::secrets::Secret;

fn account(folder: &std::path::Path, sourced: bool) -> Account {
    let user = folder.to_str().unwrap();
    let mut config = CodexConfig::defaults(Environment::from_iter([("HOME", user)]));
    config.data_dir = folder.join("data");
    config.login = LoginMode::Separate;
    if sourced {
        config.token_command = vec!["/nowhere/tokens".to_owned()];
    }
    let launch = Launch::prepare(&config, "airlock login".to_owned(), None).unwrap();
    Account::new(&config, launch, &Tasks::default())
}

#[test]
fn a_login_becomes_another_once_for_all_who_find_out() {
    let folder = tempfile::tempdir().unwrap();
    let account = account(folder.path(), false);
    let first = *account.generation().borrow();
    account.changed_from(first);
    account.changed_from(first);
    let second = *account.generation().borrow();
    assert_eq!(second, first + 1);
    assert!(account.reported_at(first).is_none() && account.reported_at(second).is_some());
    // No child of the new login has been introduced, so it is an old one that tells.
    let read = serde_json::json!({"account": {"type": "apiKey"}, "requiresOpenaiAuth": true});
    account.record_read(serde_json::from_value(read).ok().as_ref());
    assert!(lock(&account.inner.reported).login().is_none());
}

#[tokio::test]
async fn signing_out_of_tokens_that_have_not_come_keeps_the_login() {
    let folder = tempfile::tempdir().unwrap();
    let account = account(folder.path(), true);
    let home = account.inner.launch.home().clone();
    home.write_login(&Secret::new("{}")).unwrap();
    assert_eq!(account.sign_out().await.ok(), Some(SignedOut::Tokens));
    assert!(home.read_login().unwrap().is_some());
    assert!(!lock(&account.inner.external).is_wanted());
}

#[test]
fn what_a_gateway_has_left_goes_when_the_next_one_starts() {
    let folder = tempfile::tempdir().unwrap();
    let left = folder.path().join("data/sign-in/1-00");
    fs::create_dir_all(&left).unwrap();
    fs::write(left.join("airlock.lock"), "").unwrap();
    let _account = account(folder.path(), false);
    assert!(!left.exists());
}
