//! Trust in components: minisign signatures by the configured keys, and pins of digests.

use minisign_verify::{Error, PublicKey, Signature};

/// The fewest hexadecimal digits of a pin that is not a whole digest. Two components share them with a chance of 2^-48.
const PIN_DIGITS: usize = 12;

/// The base64 characters at the beginning of a key or signature that hold its kind (two bytes) and its key's number (eight).
const HEAD: usize = 14;

/// The keys whose signatures are valid, and whether a signature is required.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trust {
    keys: Vec<(KeyId, PublicKey)>,
    required: bool,
}

/// The signer of a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Signed {
    /// The key with this number, 16 hexadecimal digits as minisign shows it.
    By(String),
    /// No signature was checked.
    Unsigned,
}

/// Why a component is not trusted.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TrustError {
    /// A signature is required and there is none.
    #[error(
        "it has no signature, and policies.require_signature is on; sign it with `minisign -S`"
    )]
    Missing,
    /// The signature cannot be parsed.
    #[error("its signature cannot be read: {0}; make it anew with `minisign -S`")]
    Unreadable(&'static str),
    /// The signature is by a key that is not configured.
    #[error("it is signed with key {0}, which is not one of policies.public_keys")]
    UnknownKey(String),
    /// The signature does not match the component.
    #[error("its signature does not match: either is not what was signed")]
    Bad,
    /// The component is not the pinned one.
    #[error("its digest is sha256:{digest}, and its pin says {pin}")]
    Mismatch {
        /// The component's SHA-256, in hexadecimal digits.
        digest: String,
        /// The pin.
        pin: String,
    },
    /// The pin cannot be parsed.
    #[error(
        "its pin {0:?} is not a digest: write \"sha256:\" and 64 hexadecimal digits, or the first 12 or more of them"
    )]
    NoPin(String),
}

impl Trust {
    /// Parses keys as `minisign -p` shows them: 56 characters of base64.
    ///
    /// # Errors
    /// The first text that is not a key.
    pub(crate) fn new(public_keys: &[String], required: bool) -> Result<Self, String> {
        let read = |text: &String| {
            let key = PublicKey::from_base64(text).ok();
            key.zip(KeyId::of(text)).map(|(key, id)| (id, key))
        };
        let keys = public_keys
            .iter()
            .map(|text| read(text).ok_or_else(|| text.clone()))
            .collect::<Result<_, _>>()?;
        Ok(Self { keys, required })
    }

    /// Checks the signature of a component. `signature` is the text of its `.minisig` file. An existing signature must be valid
    /// even if none is required, unless no key is configured.
    ///
    /// # Errors
    /// A [`TrustError`]: the component must not be loaded.
    pub(crate) fn check(
        &self,
        component: &[u8],
        signature: Option<&str>,
    ) -> Result<Signed, TrustError> {
        let text = match signature {
            Some(text) if self.required || !self.keys.is_empty() => text,
            None if self.required => return Err(TrustError::Missing),
            Some(_) | None => return Ok(Signed::Unsigned),
        };
        let signature = Signature::decode(text).map_err(|error| unreadable(&error))?;
        let id = text.lines().nth(1).and_then(KeyId::of);
        let id = id.ok_or(TrustError::Unreadable("it names no key"))?;
        // Several keys may have the same number, which anybody can choose.
        let mut verdict = TrustError::UnknownKey(id.to_string());
        for (_, key) in self.keys.iter().filter(|(known, _)| *known == id) {
            match key.verify(component, &signature, false) {
                Ok(()) => return Ok(Signed::By(id.to_string())),
                Err(error) => verdict = unverified(&error),
            }
        }
        Err(verdict)
    }
}

fn unreadable(error: &Error) -> TrustError {
    TrustError::Unreadable(match error {
        Error::UnsupportedAlgorithm => "its algorithm is unknown",
        _ => "it is not what minisign writes",
    })
}

fn unverified(error: &Error) -> TrustError {
    match error {
        // A signature of the bytes and not of their hash, the default of minisign before 0.10.
        Error::UnexpectedAlgorithm => TrustError::Unreadable("it is of minisign's legacy kind"),
        _ => TrustError::Bad,
    }
}

/// Checks a component's digest against a pin. `digest` is its SHA-256 in hexadecimal digits.
///
/// # Errors
/// [`TrustError::Mismatch`], or [`TrustError::NoPin`] if the pin cannot be parsed.
pub(crate) fn pinned(digest: &str, pin: &str) -> Result<(), TrustError> {
    let (digits, least) = match pin.strip_prefix("sha256:") {
        Some(digits) => (digits, digest.len()),
        None => (pin, PIN_DIGITS),
    };
    let lengths = least..=digest.len();
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_hex || !lengths.contains(&digits.len()) {
        return Err(TrustError::NoPin(pin.to_owned()));
    }
    if digest.starts_with(&digits.to_ascii_lowercase()) {
        return Ok(());
    }
    Err(TrustError::Mismatch {
        digest: digest.to_owned(),
        pin: pin.to_owned(),
    })
}

/// The number of a key, which its signatures carry, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct KeyId(u64);

impl KeyId {
    /// The number in a key or signature in base64.
    fn of(base64: &str) -> Option<Self> {
        let head = base64.as_bytes().get(..HEAD)?;
        let bits = head.iter().try_fold(0, |bits: u128, byte| {
            Some(bits << 6 | u128::from(sextet(*byte)?))
        })?;
        // 84 bits: 16 of the kind, 64 of the number, 4 of the next field.
        let [.., a, b, c, d, e, f, g, h] = (bits >> 4).to_be_bytes();
        Some(Self(u64::from_le_bytes([a, b, c, d, e, f, g, h])))
    }
}

impl std::fmt::Display for KeyId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016X}", self.0)
    }
}

/// The value of a base64 character.
fn sextet(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
