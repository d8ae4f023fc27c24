//! Passwords as SCRAM-SHA-256 keeps them: made, checked, written down. It must not know protocols or users.

use std::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, hmac, pbkdf2};
use subtle::ConstantTimeEq;

use crate::backend::ScramVerifier;

/// Rounds of PBKDF2 for new passwords; PostgreSQL's default (RFC 7677 asks for at least 4,096).
pub const ITERATIONS: u32 = 4096;

const SALT_BYTES: usize = 16;

impl ScramVerifier {
    /// A verifier with fresh salt.
    pub fn new(password: &str) -> Self {
        let mut salt = vec![0; SALT_BYTES];
        SystemRandom::new().fill(&mut salt).expect("the system has random bytes");
        Self::derive(password, salt, ITERATIONS)
    }

    /// The verifier of `password` for a salt and a number of rounds (0 counts as 1).
    pub fn derive(password: &str, salt: Vec<u8>, iterations: u32) -> Self {
        let iterations = iterations.max(1);
        let rounds = NonZeroU32::new(iterations).expect("at least one");
        let mut salted = [0; digest::SHA256_OUTPUT_LEN];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, &salt, password.as_bytes(), &mut salted);
        let key = hmac::Key::new(hmac::HMAC_SHA256, &salted);
        let client_key = hmac::sign(&key, b"Client Key");
        let stored_key = fixed(digest::digest(&digest::SHA256, client_key.as_ref()).as_ref());
        Self { iterations, salt, stored_key, server_key: fixed(hmac::sign(&key, b"Server Key").as_ref()) }
    }

    /// Whether `password` is the one. Takes the same time whether it is or not.
    pub fn matches(&self, password: &str) -> bool {
        let other = Self::derive(password, self.salt.clone(), self.iterations);
        other.stored_key.ct_eq(&self.stored_key).into()
    }

    /// Reads PostgreSQL's text form; `None` if it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("SCRAM-SHA-256$")?;
        let (iterations, rest) = rest.split_once(':')?;
        let (salt, keys) = rest.split_once('$')?;
        let (stored, server) = keys.split_once(':')?;
        let key = |text: &str| STANDARD.decode(text).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        Some(Self {
            iterations: iterations.parse().ok().filter(|n| *n > 0)?,
            salt: STANDARD.decode(salt).ok()?,
            stored_key: key(stored)?,
            server_key: key(server)?,
        })
    }

    /// PostgreSQL's text form.
    pub fn to_text(&self) -> String {
        let [salt, stored, server] = [&self.salt[..], &self.stored_key, &self.server_key].map(|b| STANDARD.encode(b));
        format!("SCRAM-SHA-256${}:{salt}${stored}:{server}", self.iterations)
    }
}

fn fixed(bytes: &[u8]) -> [u8; 32] {
    bytes.try_into().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_matches_its_verifier_and_no_other_does() {
        let verifier = ScramVerifier::new("s3cret");
        assert!(verifier.matches("s3cret"));
        for wrong in ["", "s3cre", "s3cret ", "S3CRET"] {
            assert!(!verifier.matches(wrong), "{wrong}");
        }
    }

    #[test]
    fn the_text_form_is_read_back_and_nonsense_is_not() {
        let verifier = ScramVerifier::derive("pencil", b"salt".to_vec(), 4096);
        let text = verifier.to_text();
        assert!(ScramVerifier::parse(&text).expect("our own text").matches("pencil"));
        for wrong in ["", "md5abc", "SCRAM-SHA-256$0:c2FsdA==$x:y", "SCRAM-SHA-256$4096:c2FsdA==$AAAA:AAAA"] {
            assert!(ScramVerifier::parse(wrong).is_none(), "{wrong}");
        }
    }

    /// RFC 7677, section 3: the exchange for user `user`, password `pencil`.
    #[test]
    fn the_keys_are_those_of_the_standard() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").expect("base64");
        let verifier = ScramVerifier::derive("pencil", salt, 4096);
        let message = "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                       s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let key = hmac::Key::new(hmac::HMAC_SHA256, &verifier.server_key);
        let signature = STANDARD.encode(hmac::sign(&key, message.as_bytes()));
        assert_eq!(signature, "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }
}
