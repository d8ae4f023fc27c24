//! `Tokens`: bearer tokens that are good for a while. Only their hashes are kept. It must not know HTTP.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};

use super::passwords::Fingerprint;

/// Tokens at once; beyond, the one that ends first is forgotten.
const MAX_TOKENS: usize = 16_384;

/// 256 bits.
const TOKEN_BYTES: usize = 32;

/// Tokens by hash. They end with the process.
pub(crate) struct Tokens {
    lifetime: Duration,
    table: Mutex<HashMap<[u8; 32], Issued>>,
}

struct Issued {
    user: Arc<str>,
    credential: Fingerprint,
    ends: Instant,
}

impl Tokens {
    pub(crate) fn new(lifetime: Duration) -> Self {
        Self { lifetime, table: Mutex::default() }
    }

    pub(crate) fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// A new token for `user`, good while the credential is the one it was issued for.
    pub(crate) fn issue(&self, user: Arc<str>, credential: Fingerprint, now: Instant) -> String {
        let mut secret = [0; TOKEN_BYTES];
        SystemRandom::new().fill(&mut secret).expect("the system has random bytes");
        let token = URL_SAFE_NO_PAD.encode(secret);
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if table.len() >= MAX_TOKENS {
            table.retain(|_, issued| issued.ends > now);
            let first = table.iter().min_by_key(|(_, issued)| issued.ends).map(|(hash, _)| *hash);
            if let Some(first) = first.filter(|_| table.len() >= MAX_TOKENS) {
                table.remove(&first);
            }
        }
        table.insert(hash(&token), Issued { user, credential, ends: now + self.lifetime });
        token
    }

    /// Whose token it is and which credential it was issued for. Looking up a hash tells no more about a token by its
    /// time than about any other.
    pub(crate) fn user(&self, token: &str, now: Instant) -> Option<(Arc<str>, Fingerprint)> {
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let issued = table.get(&hash(token)).filter(|issued| issued.ends > now)?;
        Some((Arc::clone(&issued.user), issued.credential))
    }
}

fn hash(token: &str) -> [u8; 32] {
    digest(&SHA256, token.as_bytes()).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_until_it_ends_and_no_other_text_is() {
        let tokens = Tokens::new(Duration::from_secs(10));
        let now = Instant::now();
        let token = tokens.issue("ann".into(), [1; 32], now);
        assert_eq!(token.len(), 43, "256 bits");
        assert_eq!(tokens.user(&token, now), Some(("ann".into(), [1; 32])));
        assert_eq!(tokens.user(&token, now + Duration::from_secs(10)), None);
        for wrong in ["", &token[1..], &format!("{token}="), "null"] {
            assert_eq!(tokens.user(wrong, now), None);
        }
    }

    #[test]
    fn the_table_is_bounded_and_forgets_what_ends_first() {
        let tokens = Tokens::new(Duration::from_secs(10));
        let now = Instant::now();
        let first = tokens.issue("ann".into(), [1; 32], now);
        for _ in 0..MAX_TOKENS {
            tokens.issue("bob".into(), [2; 32], now + Duration::from_secs(1));
        }
        assert_eq!(tokens.user(&first, now), None);
        assert_eq!(tokens.table.lock().expect("no panic").len(), MAX_TOKENS);
    }
}
