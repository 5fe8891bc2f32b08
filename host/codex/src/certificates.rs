//! The root certificates that Codex trusts, in the form that it reads fastest. It reads them with every turn (0.169.0).
//!
//! By default it reads the system's bundle and some 290 files beside it, and the bundle once more, slowly, in place of
//! `CODEX_CA_CERTIFICATE`: half of the cost of a turn. So it gets all roots in one file, and a single one for the slow path.
//! It trusts the same roots: they are found by the same library, and read again every minute.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::home::{Home, HomeError};
use airlock_base::environment::Environment;

/// Characters of a line of PEM (RFC 7468, section 2).
const LINE: usize = 64;

/// The files that hold the roots.
#[derive(Clone, Debug)]
pub(super) struct Certificates {
    /// All of them: `SSL_CERT_FILE`.
    pub(super) all: PathBuf,
    /// One of them: `CODEX_CA_CERTIFICATE`.
    pub(super) one: PathBuf,
}

/// Writes the roots into this home: the system's, or those of `SSL_CERT_FILE` and `SSL_CERT_DIR` where these are set.
/// Nothing is written that is there already. None: there are none, or they cannot be written, and Codex looks for itself.
pub(super) fn prepare(home: &Home, environment: &Environment) -> Option<Certificates> {
    let (roots, faults) = load_roots();
    let own = environment
        .raw("SSL_CERT_FILE")
        .map(std::fs::read_to_string);
    // Codex reads this form where it would read the file twice, and the library does not.
    let trusted = own.is_some_and(|text| text.is_ok_and(|it| it.contains("BEGIN TRUSTED")));
    if trusted || roots.is_empty() {
        tracing::debug!(faults, "codex looks for its certificates itself");
        return None;
    }
    write(home, &names(environment), &roots)
}

/// Writes the roots anew if they have changed. If the system has none left, none is trusted; if they cannot be read, the
/// files stay.
pub(super) fn refresh(home: &Home, environment: &Environment) {
    let (roots, faults) = load_roots();
    if roots.is_empty() && faults > 0 {
        tracing::warn!(faults, "the certificates of the system cannot be read");
        return;
    }
    write(home, &names(environment), &roots);
}

/// The TLS configuration of Airlock's own clients: the same roots, read anew, and those of the PEM file `more`.
///
/// # Errors
/// The system has no roots.
pub async fn client_config(more: Option<PathBuf>) -> anyhow::Result<Arc<ClientConfig>> {
    let reading = move || {
        let mut roots = load_roots().0;
        if let Some(more) = more {
            let more = CertificateDer::pem_file_iter(more).into_iter().flatten();
            roots.extend(more.flatten());
        }
        roots
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(tokio::task::spawn_blocking(reading).await?);
    anyhow::ensure!(!roots.is_empty(), "the system has no certificates to trust");
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Whether the system has a root that can be read.
pub(super) fn any() -> bool {
    !load_roots().0.is_empty()
}

/// The roots, sorted, each once; and how many could not be read.
fn load_roots() -> (Vec<CertificateDer<'static>>, usize) {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = found.certs;
    roots.sort_unstable_by(|one, other| one.as_ref().cmp(other.as_ref()));
    roots.dedup();
    (roots, found.errors.len())
}

/// The files' names: several gateways may share a home, and look for their roots in different places.
fn names(environment: &Environment) -> [String; 2] {
    let mut digest = Sha256::new();
    for name in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
        let value = environment.raw(name).unwrap_or_default();
        digest.update(value.as_encoded_bytes());
        digest.update([0]);
    }
    let source = format!("{:x}", digest.finalize());
    ["certificates", "certificate"].map(|name| format!("{name}-{}.pem", &source[..16]))
}

fn write(
    home: &Home,
    [all, one]: &[String; 2],
    roots: &[CertificateDer<'static>],
) -> Option<Certificates> {
    // What the library reads may be no certificate, and the slow way fails at such.
    let is_good = |root: &&CertificateDer<'static>| {
        let mut store = RootCertStore::empty();
        store.add((*root).clone()).is_ok()
    };
    let first = roots.iter().find(is_good);
    let first = first.map(|root| pem(root)).unwrap_or_default();
    let text: String = roots.iter().map(|root| pem(root)).collect();
    let written = home.write_file(all, &text).and_then(|all| {
        let one = home.write_file(one, &first)?;
        Ok::<_, HomeError>(Certificates { all, one })
    });
    written
        .inspect_err(|error| tracing::warn!(%error, "codex looks for its certificates itself"))
        .ok()
}

fn pem(certificate: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(certificate);
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(LINE));
        let _ = writeln!(pem, "{line}");
        rest = more;
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_looks_elsewhere_has_files_of_its_own() {
        let of = |pairs: &[(&str, &str)]| names(&Environment::from_iter(pairs.iter().copied()));
        assert_eq!(of(&[]), of(&[("PATH", "/bin")]));
        let file = of(&[("SSL_CERT_FILE", "a")]);
        assert_ne!(file, of(&[]));
        assert_ne!(file, of(&[("SSL_CERT_DIR", "a")]));
    }

    #[test]
    fn a_certificate_is_written_in_short_lines() {
        let pem = pem(&[7; 100]);
        let lines: Vec<&str> = pem.lines().collect();
        assert_eq!(lines.first(), Some(&"-----BEGIN CERTIFICATE-----"));
        assert_eq!(lines.last(), Some(&"-----END CERTIFICATE-----"));
        let lengths: Vec<usize> = lines[1..lines.len() - 1]
            .iter()
            .map(|line| line.len())
            .collect();
        assert_eq!(lengths, [64, 64, 8]);
    }
}
