//! The server's side of SCRAM-SHA-256 (RFC 5802, RFC 7677) as a state machine over bytes. It must not know messages,
//! sockets or users.
//!
//! Channel binding is not offered: a client that demands it is refused, one that would have liked it is accepted, as
//! RFC 5802 section 6 asks of a server without `-PLUS`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, hmac};
use subtle::ConstantTimeEq;

use crate::auth::ITERATIONS;
use crate::backend::ScramVerifier;

/// The mechanism's name.
pub(crate) const MECHANISM: &str = "SCRAM-SHA-256";

/// Raw bytes of the server's nonce; PostgreSQL uses as many.
const NONCE_BYTES: usize = 18;

const PROOF_BYTES: usize = 32;

/// Why an exchange ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A message is not as the standard says; what is wrong.
    Malformed(&'static str),
    /// All is well formed but the proof is wrong.
    WrongPassword,
}

/// An exchange whose first half has been held.
pub(crate) struct Exchange {
    verifier: ScramVerifier,
    /// `client-first-message-bare,server-first-message,`
    transcript: String,
    /// The base64 of the GS2 header, which the client must repeat.
    binding: String,
    /// The client's nonce and ours.
    nonce: String,
}

impl Exchange {
    /// Takes the client's first message; the second value is the answer.
    pub(crate) fn begin(verifier: ScramVerifier, first: &[u8]) -> Result<(Self, String), Refusal> {
        let mut random = [0; NONCE_BYTES];
        SystemRandom::new().fill(&mut random).expect("the system has random bytes");
        Self::begin_with(verifier, first, &STANDARD.encode(random))
    }

    fn begin_with(verifier: ScramVerifier, first: &[u8], own: &str) -> Result<(Self, String), Refusal> {
        let first = std::str::from_utf8(first).map_err(|_| Refusal::Malformed("not UTF-8"))?;
        let mut parts = first.splitn(3, ',');
        let (flag, authorization, bare) = (parts.next(), parts.next(), parts.next());
        match flag {
            Some("n" | "y") => {}
            Some(p) if p.starts_with("p=") => return Err(Refusal::Malformed("channel binding is not offered")),
            _ => return Err(Refusal::Malformed("unexpected channel-binding flag")),
        }
        if authorization != Some("") {
            return Err(Refusal::Malformed("an authorization identity is not supported"));
        }
        let bare = bare.ok_or(Refusal::Malformed("no user name"))?;
        let header = &first[..first.len() - bare.len()];
        let mut attributes = bare.split(',');
        match attributes.next() {
            // The user is the one of the start-up message, whatever is said here.
            Some(user) if user.starts_with("n=") => {}
            Some(extension) if extension.starts_with("m=") => {
                return Err(Refusal::Malformed("mandatory extensions are not supported"));
            }
            _ => return Err(Refusal::Malformed("no user name")),
        }
        let nonce = attributes.next().and_then(|a| a.strip_prefix("r=")).ok_or(Refusal::Malformed("no nonce"))?;
        if nonce.is_empty() || !nonce.bytes().all(|b| b.is_ascii_graphic() && b != b',') {
            return Err(Refusal::Malformed("non-printable characters in the nonce"));
        }
        let nonce = format!("{nonce}{own}");
        let answer = format!("r={nonce},s={},i={}", STANDARD.encode(&verifier.salt), verifier.iterations);
        let transcript = format!("{bare},{answer},");
        Ok((Self { verifier, transcript, binding: STANDARD.encode(header), nonce }, answer))
    }

    /// Takes the client's final message and proves in turn that the server knows the password.
    pub(crate) fn finish(self, last: &[u8]) -> Result<String, Refusal> {
        let last = std::str::from_utf8(last).map_err(|_| Refusal::Malformed("not UTF-8"))?;
        let (without_proof, proof) = last.rsplit_once(",p=").ok_or(Refusal::Malformed("no proof"))?;
        let mut attributes = without_proof.split(',');
        let binding = attributes.next().and_then(|a| a.strip_prefix("c="));
        if binding != Some(self.binding.as_str()) {
            return Err(Refusal::Malformed("channel binding does not match"));
        }
        let nonce = attributes.next().and_then(|a| a.strip_prefix("r="));
        if !nonce.is_some_and(|nonce| bool::from(nonce.as_bytes().ct_eq(self.nonce.as_bytes()))) {
            return Err(Refusal::Malformed("nonce does not match"));
        }
        let proof = STANDARD
            .decode(proof)
            .ok()
            .and_then(|bytes| <[u8; PROOF_BYTES]>::try_from(bytes).ok())
            .ok_or(Refusal::Malformed("malformed proof"))?;
        let message = format!("{}{without_proof}", self.transcript);
        let signature = sign(&self.verifier.stored_key, message.as_bytes());
        let mut client_key = proof;
        client_key.iter_mut().zip(signature.as_ref()).for_each(|(key, mask)| *key ^= mask);
        let stored_key = digest::digest(&digest::SHA256, &client_key);
        if !bool::from(stored_key.as_ref().ct_eq(&self.verifier.stored_key)) {
            return Err(Refusal::WrongPassword);
        }
        Ok(format!("v={}", STANDARD.encode(sign(&self.verifier.server_key, message.as_bytes()))))
    }
}

fn sign(key: &[u8], message: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message)
}

/// Verifiers for users that do not exist: always the same one for a name, so that the answers to an unknown user look
/// like those to a known one. No password matches.
pub(crate) struct Strangers(hmac::Key);

impl Strangers {
    pub(crate) fn new() -> Self {
        let mut secret = [0; 32];
        SystemRandom::new().fill(&mut secret).expect("the system has random bytes");
        Self(hmac::Key::new(hmac::HMAC_SHA256, &secret))
    }

    pub(crate) fn verifier(&self, user: &str) -> ScramVerifier {
        let part = |what: &str| {
            let mut bytes = [0; 32];
            bytes.copy_from_slice(hmac::sign(&self.0, format!("{what}:{user}").as_bytes()).as_ref());
            bytes
        };
        ScramVerifier {
            iterations: ITERATIONS,
            salt: part("salt")[..16].to_vec(),
            stored_key: part("stored key"),
            server_key: part("server key"),
        }
    }
}

#[cfg(test)]
mod tests;
