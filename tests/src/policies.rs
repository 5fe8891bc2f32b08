//! Components of the stamping policy: each stamp makes a build of its own, with another digest.

use anyhow::{Context, Result, ensure};
use sha2::{Digest as _, Sha256};

/// The placeholder that a stamp replaces in the component.
const BLANK: &[u8] = b"STAMP-0000";

/// The stamping policy (`tests/stamp`) with this stamp of ten ASCII characters. Fails unless the component has the placeholder
/// exactly once.
pub fn stamped(stamp: &str) -> Result<Vec<u8>> {
    patched(crate::components::STAMP, stamp)
}

/// The same, built for an earlier version of the world, which no gateway loads.
pub fn earlier(stamp: &str) -> Result<Vec<u8>> {
    patched(crate::components::EARLIER_STAMP, stamp)
}

/// Replaces a text by another of the same length, wherever it occurs in the component. Fails if it does not occur.
pub fn reworded(component: &[u8], from: &str, to: &str) -> Result<Vec<u8>> {
    ensure!(
        from.len() == to.len() && !from.is_empty(),
        "{from:?} and {to:?} are not as long as each other"
    );
    let mut changed = component.to_vec();
    let mut at = 0;
    while let Some(found) = changed[at..]
        .windows(from.len())
        .position(|window| window == from.as_bytes())
    {
        at += found;
        changed[at..at + to.len()].copy_from_slice(to.as_bytes());
        at += to.len();
    }
    ensure!(at > 0, "the component does not say {from:?}");
    Ok(changed)
}

/// The stamping policy as a build that imports WASI, and uses all of it if a request says so.
pub fn worldly() -> Result<Vec<u8>> {
    let path = crate::components::WASI_STAMP;
    std::fs::read(path).with_context(|| format!("cannot read {path}"))
}

/// The SHA-256 of a component in hexadecimal digits, by which operators name a build.
pub fn digest(component: &[u8]) -> String {
    let digest = Sha256::digest(component);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn patched(path: &str, stamp: &str) -> Result<Vec<u8>> {
    let mut component = std::fs::read(path).with_context(|| format!("cannot read {path}"))?;
    put(&mut component, stamp)?;
    Ok(component)
}

/// Replaces the placeholder by the stamp.
fn put(component: &mut [u8], stamp: &str) -> Result<()> {
    ensure!(
        stamp.len() == BLANK.len() && stamp.bytes().all(|byte| byte.is_ascii_graphic()),
        "a stamp is {} ASCII characters: {stamp:?}",
        BLANK.len()
    );
    let windows = component.windows(BLANK.len()).enumerate();
    let mut places = windows.filter(|(_, window)| *window == BLANK);
    let place = places.next().map(|(at, _)| at);
    let more = places.count();
    let at = place.filter(|_| more == 0).with_context(|| {
        let count = usize::from(place.is_some()) + more;
        format!("the component has {count} places for a stamp")
    })?;
    component[at..at + BLANK.len()].copy_from_slice(stamp.as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_builds_have_one_place_for_a_stamp() -> Result<()> {
        for make in [stamped, earlier] {
            let (one, other) = (make("STAMP-0000")?, make("STAMP-0042")?);
            assert_eq!(one.len(), other.len());
            let differing = one.iter().zip(&other).filter(|(one, other)| one != other);
            assert_eq!(differing.count(), 2);
        }
        assert_ne!(stamped("STAMP-0000")?, earlier("STAMP-0000")?);
        Ok(())
    }

    #[test]
    fn a_stamp_is_small_enough_to_be_loaded_often() -> Result<()> {
        for make in [stamped, earlier] {
            let size = make("STAMP-0001")?.len();
            assert!(size < 256 << 10, "{size} bytes");
        }
        Ok(())
    }

    #[test]
    fn words_are_replaced_wherever_they_stand() -> Result<()> {
        assert_eq!(reworded(b"a.bb.a", "a", "c")?, b"c.bb.c");
        assert!(reworded(b"a.bb.a", "d", "c").is_err());
        assert!(reworded(b"a.bb.a", "a", "cc").is_err());
        Ok(())
    }

    #[test]
    fn what_cannot_be_stamped_is_refused() {
        let once = b"--STAMP-0000--".to_vec();
        for (component, stamp) in [
            (once.clone(), "STAMP-1"),
            (once.clone(), "STAMP-00\u{e9}"),
            (once.clone(), "STAMP 0000"),
            (once.repeat(2), "STAMP-0001"),
            (b"nothing".to_vec(), "STAMP-0001"),
        ] {
            assert!(put(&mut component.clone(), stamp).is_err(), "{stamp}");
        }
        let mut component = once;
        assert!(put(&mut component, "STAMP-0001").is_ok());
        assert_eq!(component, b"--STAMP-0001--");
    }
}
