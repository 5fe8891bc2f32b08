//! Tests of signatures by fixed keys, and of pins.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

const COMPONENT: &[u8] = b"a component";
/// Keys with the numbers 0123456789ABCDEF and FEDCBA9876543210, and another key with the first number.
const KEY: &str = "RWTvzauJZ0UjASDEit/q3XYYgygd81pMKhbKmpQOpagBTtBxzvVEOuZ7";
const OTHER: &str = "RWQQMlR2mLrc/hTtzHDhBipg2KmL2xBat3SNCkzfIBbnEaSywN+lQuPU";
const TWIN: &str = "RWTvzauJZ0UjARTtzHDhBipg2KmL2xBat3SNCkzfIBbnEaSywN+lQuPU";
const GOOD: &str = "untrusted comment: signature from minisign secret key\n\
    RUTvzauJZ0UjAUoeydRh/b/4JkU9VJyYMUTKAzcdEBWzPHK0QDkvISTYG1HXIP7e+gVeE4Rkjz9QRI0IToTnxvfNh7/35Yn4Egg=\n\
    trusted comment: timestamp:1760000000\tfile:policy.wasm\thashed\n\
    D1IxtoTLTAwu/8Bh+VjKzib87ILgTWAzNWf3BDmggrmS2NaNKOg9AgHVN/S1h3p0y/JRfHvpSx+UjP8NPjaPBA==\n";
const LEGACY: &str = "untrusted comment: signature from minisign secret key\n\
    RWTvzauJZ0UjAWxPOl+I61dQ0bMumIQWVGKuT4EqBS/sSXJm7XlCx6JrJ70kIwANwL1JB+jJzelPuYZLtJEaEvHLtIKAXodhqg4=\n\
    trusted comment: timestamp:1760000000\tfile:policy.wasm\n\
    o+te2aGe1XID45AleJIjFGYw7r5OQ94m1yF3aOw7R3UBvHu858sC143mGwJ7XRin5x7+NUnfhqcZ6XgkgYD1AA==\n";

fn trust(keys: &[&str], required: bool) -> Trust {
    let keys: Vec<_> = keys.iter().map(|key| (*key).to_owned()).collect();
    Trust::new(&keys, required).unwrap()
}

#[test]
fn a_good_signature_names_its_key() {
    let by = Ok(Signed::By("0123456789ABCDEF".to_owned()));
    for keys in [&[KEY][..], &[OTHER, KEY], &[TWIN, KEY], &[KEY, TWIN]] {
        for required in [false, true] {
            assert_eq!(trust(keys, required).check(COMPONENT, Some(GOOD)), by);
        }
    }
}

#[test]
fn a_signature_is_needed_only_where_one_is_required() {
    assert_eq!(
        trust(&[KEY], true).check(COMPONENT, None),
        Err(TrustError::Missing)
    );
    assert_eq!(
        trust(&[], true).check(COMPONENT, None),
        Err(TrustError::Missing)
    );
    assert_eq!(
        trust(&[KEY], false).check(COMPONENT, None),
        Ok(Signed::Unsigned)
    );
    // Without keys, no signature is checked.
    let nobodys = trust(&[], false).check(COMPONENT, Some("nonsense"));
    assert_eq!(nobodys, Ok(Signed::Unsigned));
}

#[test]
fn what_is_signed_must_be_signed_well_whether_required_or_not() {
    let unknown = || TrustError::UnknownKey("0123456789ABCDEF".to_owned());
    for required in [false, true] {
        let known = trust(&[KEY], required);
        assert_eq!(
            known.check(b"a komponent", Some(GOOD)),
            Err(TrustError::Bad)
        );
        let forged = GOOD.replace("policy.wasm", "other.wasm");
        assert_eq!(known.check(COMPONENT, Some(&forged)), Err(TrustError::Bad));
        let other = trust(&[OTHER], required);
        assert_eq!(other.check(COMPONENT, Some(GOOD)), Err(unknown()));
        // The key's number alone proves nothing.
        let twin = trust(&[TWIN], required);
        assert_eq!(twin.check(COMPONENT, Some(GOOD)), Err(TrustError::Bad));
        for broken in ["", "nonsense", &GOOD[..150], LEGACY] {
            let refused = known.check(COMPONENT, Some(broken));
            assert!(
                matches!(refused, Err(TrustError::Unreadable(_))),
                "{broken}: {refused:?}"
            );
        }
    }
    let no_keys = trust(&[], true);
    assert_eq!(no_keys.check(COMPONENT, Some(GOOD)), Err(unknown()));
}

#[test]
fn a_text_that_is_not_a_key_is_refused_by_name() {
    for text in ["", "RWQ", &KEY[..55], "not base64 at all", GOOD] {
        let refused = Trust::new(&[KEY.to_owned(), text.to_owned()], false);
        assert_eq!(refused.unwrap_err(), text);
    }
}

#[test]
fn a_pin_is_a_digest_or_its_beginning() {
    let digest = "0123456789abcdef".repeat(4);
    for pin in [
        &format!("sha256:{digest}"),
        &digest,
        "0123456789ab",
        "0123456789ABCDEF0",
    ] {
        assert_eq!(pinned(&digest, pin), Ok(()), "{pin}");
    }
    for pin in [
        "",
        "sha256:",
        "0123456789a",
        "sha256:0123456789ab",
        "0123456789xyz",
        "md5:0123456789ab",
        &format!("{digest}0"),
    ] {
        assert_eq!(pinned(&digest, pin), Err(TrustError::NoPin(pin.to_owned())));
    }
    let other = "f".repeat(12);
    let refused = pinned(&digest, &other).unwrap_err().to_string();
    assert!(
        refused.contains(&digest) && refused.contains(&other),
        "{refused}"
    );
}
