//! `Signer`: what lets a receiver see that a body is whole and ours. It must not know HTTP.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, hmac};
use thalweg_core::{Error, Result, Secret};

/// A secret of fewer bytes than this could be guessed.
const SECRET_BYTES: usize = 16;

/// Signs bodies with a secret that the receiver has too.
#[derive(Clone, Debug)]
pub(super) struct Signer(hmac::Key);

impl Signer {
    /// # Errors
    /// The secret is too short.
    pub(super) fn new(secret: &Secret) -> Result<Self> {
        let secret = secret.reveal().as_bytes();
        if secret.len() < SECRET_BYTES {
            return Err(Error::invalid(format!("option signature.secret has fewer than {SECRET_BYTES} bytes")));
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, secret)))
    }

    /// The value of `Thalweg-Signature`: `t=SECONDS,v1=HEX`, where HEX is HMAC-SHA256 (RFC 2104, FIPS 180-4) of the
    /// text `SECONDS.` and the body.
    pub(super) fn sign(&self, unix_seconds: u64, body: &[u8]) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(format!("{unix_seconds}.").as_bytes());
        context.update(body);
        let hex: String = context.sign().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("t={unix_seconds},v1={hex}")
    }
}

/// The value of `Content-Digest` (RFC 9530).
pub(super) fn content_digest(body: &[u8]) -> String {
    format!("sha-256=:{}:", STANDARD.encode(digest::digest(&digest::SHA256, body)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An example of RFC 9530 (appendix B).
    #[test]
    fn the_digest_is_that_of_the_rfc() {
        let body = b"{\"hello\": \"world\"}\n";
        assert_eq!(content_digest(body), "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:");
    }

    /// Expected: `printf '1700000000.{"row":{"id":7}}' | openssl dgst -sha256 -hmac 'a secret of 24 bytes....'`.
    #[test]
    fn the_signature_is_that_of_openssl() {
        let signer = Signer::new(&Secret::new("a secret of 24 bytes....")).expect("long enough");
        let signed = signer.sign(1_700_000_000, br#"{"row":{"id":7}}"#);
        assert_eq!(signed, "t=1700000000,v1=4c310a255ccf0fd57cf8986bd6d2134900b619d07eff6d4f171ccc6f51fae88c");
        assert!(Signer::new(&Secret::new("too short")).is_err());
    }
}
