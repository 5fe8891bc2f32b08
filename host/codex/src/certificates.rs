//! The root certificates that Codex trusts, in the form that it reads fastest. Codex reads them with every turn (0.169.0).
//!
//! By default Codex reads the system's bundle and some 290 files beside it, and then the bundle again, by a slow path, in place
//! of `CODEX_CA_CERTIFICATE`: half of the cost of a turn. With these files it reads all roots from one file, and a single one
//! by the slow path. It trusts the same roots, as the gateway finds them with the same library and reads them again every
//! minute.

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
    /// All roots, for `SSL_CERT_FILE`.
    pub(super) all: PathBuf,
    /// One root, for `CODEX_CA_CERTIFICATE`.
    pub(super) one: PathBuf,
}

/// Writes the roots into this home, unless its files have them already: the system's, or those of `SSL_CERT_FILE` and
/// `SSL_CERT_DIR` if these are set. None: there are no roots, or they cannot be written, so Codex looks for certificates
/// itself.
pub(super) fn prepare(home: &Home, environment: &Environment) -> Option<Certificates> {
    let (roots, faults) = load_roots();
    let own = environment
        .raw("SSL_CERT_FILE")
        .map(std::fs::read_to_string);
    // Codex reads this form of PEM by its slow path, and the library does not read it.
    let trusted = own.is_some_and(|text| text.is_ok_and(|it| it.contains("BEGIN TRUSTED")));
    if trusted || roots.is_empty() {
        tracing::debug!(faults, "codex looks for its certificates itself");
        return None;
    }
    write(home, &names(environment), &roots)
}

/// Writes the roots again if they have changed. If the system has no roots any more, none is trusted. If they cannot be read,
/// the files stay as they are.
pub(super) fn refresh(home: &Home, environment: &Environment) {
    let (roots, faults) = load_roots();
    if roots.is_empty() && faults > 0 {
        tracing::warn!(faults, "the certificates of the system cannot be read");
        return;
    }
    write(home, &names(environment), &roots);
}

/// The TLS configuration of Airlock's own clients. It trusts the same roots, read again, and those of the PEM file `more`.
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

/// Whether any root can be read.
pub(super) fn any() -> bool {
    !load_roots().0.is_empty()
}

/// The roots, sorted and without duplicates, and the number of errors in reading them.
fn load_roots() -> (Vec<CertificateDer<'static>>, usize) {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = found.certs;
    roots.sort_unstable_by(|one, other| one.as_ref().cmp(other.as_ref()));
    roots.dedup();
    (roots, found.errors.len())
}

/// The names of the files. They depend on the variables, as gateways that share a home may read different roots.
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
    // A file may contain something other than certificates, at which Codex's slow path fails.
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
    fn gateways_with_other_variables_have_files_of_their_own() {
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
