//! The account without any Codex.
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
fn a_change_of_the_login_is_counted_once_for_all_that_notice_it() {
    let folder = tempfile::tempdir().unwrap();
    let account = account(folder.path(), false);
    let first = *account.generation().borrow();
    account.changed_from(first);
    account.changed_from(first);
    let second = *account.generation().borrow();
    assert_eq!(second, first + 1);
    assert!(account.reported_at(first).is_none() && account.reported_at(second).is_some());
    // No child of the new login is attached, so the report is of an old one.
    let read = serde_json::json!({"account": {"type": "apiKey"}, "requiresOpenaiAuth": true});
    account.record_read(serde_json::from_value(read).ok().as_ref());
    assert!(account.inner.reported.lock().login().is_none());
}

#[tokio::test]
async fn signing_out_of_tokens_that_were_never_fetched_keeps_the_login() {
    let folder = tempfile::tempdir().unwrap();
    let account = account(folder.path(), true);
    let home = account.inner.launch.home().clone();
    home.write_login(&Secret::new("{}")).unwrap();
    assert_eq!(account.sign_out().await.ok(), Some(SignedOut::Tokens));
    assert!(home.read_login().unwrap().is_some());
    assert!(!account.inner.external.lock().is_wanted());
}

#[test]
fn folders_of_a_killed_gateway_are_removed_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let left = folder.path().join("data/sign-in/1-00");
    fs::create_dir_all(&left).unwrap();
    fs::write(left.join("airlock.lock"), "").unwrap();
    let _account = account(folder.path(), false);
    assert!(!left.exists());
}
