//! The server's certificate as rustls wants it. It must not know who listens.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use thalweg_core::{Error, Result};

/// TLS 1.2 and 1.3 with the certificate chain and key in two PEM files. `protocols` are offered by ALPN (`h2`,
/// `http/1.1`, `postgresql`).
///
/// # Errors
/// A file cannot be read, holds no certificate or key, or the two do not belong together.
pub fn server_config(certificate: &Path, key: &Path, protocols: &[&str]) -> Result<Arc<ServerConfig>> {
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>)
        .map_err(|e| wrong(certificate, &e.to_string()))?;
    if chain.is_empty() {
        return Err(wrong(certificate, "no certificate in it"));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|e| wrong(key, &e.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private))
        .map_err(|e| wrong(certificate, &e.to_string()))?;
    config.alpn_protocols = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
    Ok(Arc::new(config))
}

fn wrong(path: &Path, what: &str) -> Error {
    Error::invalid_with_hint(
        format!("{}: {what}", path.display()),
        "Give PEM files: --tls-certificate with the chain, --tls-key with its private key.",
    )
}
