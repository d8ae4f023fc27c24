//! `Passwords`: which passwords have been found right, so that PBKDF2 does not run for every request. It keeps no
//! password, only its HMAC under a key that lives as long as the process. It must not know HTTP.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ring::hmac;
use ring::rand::SystemRandom;
use subtle::ConstantTimeEq;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::failure::Failure;
use crate::backend::{Credential, ScramVerifier};

/// Users remembered.
const MAX_USERS: usize = 1024;

/// Derivations at once: a flood of logins does not take every core.
const MAX_DERIVATIONS: usize = 2;

/// Checks passwords.
pub(crate) struct Passwords {
    key: hmac::Key,
    verified: Mutex<HashMap<String, Verified>>,
    derivations: Arc<Semaphore>,
    /// What the password of a user who does not exist is compared with, so that it takes as long.
    decoy: ScramVerifier,
}

/// Leave to derive a key: until every clone is dropped.
#[derive(Clone)]
pub(crate) struct Turn(#[expect(dead_code, reason = "held until it is dropped")] Arc<OwnedSemaphorePermit>);

/// A password that was right for a verifier.
struct Verified {
    password: hmac::Tag,
    verifier: Fingerprint,
}

/// Tells whether a credential is still the one it was.
pub(crate) type Fingerprint = [u8; 32];

/// The same for every user without a password, and never that of a verifier.
const TRUST: Fingerprint = [0; 32];

/// See [`Fingerprint`].
pub(crate) fn fingerprint(credential: &Credential) -> Fingerprint {
    match credential {
        Credential::Trust => TRUST,
        Credential::Scram(verifier) => verifier.stored_key,
    }
}

impl Passwords {
    pub(crate) fn new() -> Self {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).expect("the system has random bytes");
        Self {
            key,
            verified: Mutex::default(),
            derivations: Arc::new(Semaphore::new(MAX_DERIVATIONS)),
            decoy: ScramVerifier::new(""),
        }
    }

    /// Whether `password` was right before, which is told without deriving a key.
    pub(crate) fn remembered(&self, user: &str, password: &str, verifier: &ScramVerifier) -> bool {
        let tag = hmac::sign(&self.key, password.as_bytes());
        let verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        verified.get(user).is_some_and(|known| {
            known.verifier == verifier.stored_key && bool::from(known.password.as_ref().ct_eq(tag.as_ref()))
        })
    }

    /// Waits for a turn to derive a key.
    pub(crate) async fn turn(&self) -> Turn {
        let permit = Arc::clone(&self.derivations).acquire_owned().await.expect("the semaphore is never closed");
        Turn(Arc::new(permit))
    }

    /// Derives a key from `password` and compares. Without a verifier the answer is no, after the same work.
    pub(crate) async fn check(
        &self,
        turn: &Turn,
        user: &str,
        password: String,
        verifier: Option<ScramVerifier>,
    ) -> Result<bool, Failure> {
        let tag = hmac::sign(&self.key, password.as_bytes());
        let known = verifier.is_some();
        let verifier = verifier.unwrap_or_else(|| self.decoy.clone());
        let stored_key = verifier.stored_key;
        // Whoever asks may go away; the thread then still has its turn.
        let turn = turn.clone();
        let matches = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            verifier.matches(&password)
        });
        let right = matches.await.map_err(|_| Failure::internal())? && known;
        if right {
            let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
            if verified.len() >= MAX_USERS && !verified.contains_key(user) {
                verified.clear();
            }
            verified.insert(user.to_owned(), Verified { password: tag, verifier: stored_key });
        }
        Ok(right)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_right_password_is_remembered_until_the_verifier_changes() {
        let passwords = Passwords::new();
        let verifier = ScramVerifier::new("s3cret");
        assert!(!passwords.remembered("ann", "s3cret", &verifier));
        assert!(
            !passwords
                .check(&passwords.turn().await, "ann", "wrong".into(), Some(verifier.clone()))
                .await
                .expect("checks")
        );
        assert!(!passwords.remembered("ann", "wrong", &verifier));
        assert!(
            passwords
                .check(&passwords.turn().await, "ann", "s3cret".into(), Some(verifier.clone()))
                .await
                .expect("checks")
        );
        assert!(passwords.remembered("ann", "s3cret", &verifier));
        assert!(!passwords.remembered("ann", "s3cret ", &verifier));
        assert!(!passwords.remembered("bob", "s3cret", &verifier));
        assert!(!passwords.remembered("ann", "s3cret", &ScramVerifier::new("s3cret")), "another verifier");
        assert!(
            !passwords.check(&passwords.turn().await, "eve", String::new(), None).await.expect("checks"),
            "the decoy never lets in"
        );
    }
}
