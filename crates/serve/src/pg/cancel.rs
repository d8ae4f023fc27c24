//! Who may cancel what: process numbers, their secrets and their tokens. It must not know sockets.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ring::rand::{SecureRandom, SystemRandom};
use subtle::ConstantTimeEq;

use crate::backend::CancelToken;

/// Bytes of a secret in protocol 3.2; 3.0 has 4.
const LONG_SECRET_BYTES: usize = 32;
const SHORT_SECRET_BYTES: usize = 4;

/// The sessions that can be cancelled.
#[derive(Debug, Default)]
pub(crate) struct Cancels(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    last: u32,
    sessions: HashMap<u32, (Vec<u8>, CancelToken)>,
}

/// A session's entry; dropping it takes the session off the table.
#[derive(Debug)]
pub(crate) struct Registration {
    cancels: Arc<Cancels>,
    pub(crate) process_id: u32,
    pub(crate) secret: Vec<u8>,
    pub(crate) token: CancelToken,
}

impl Cancels {
    /// A number that no living session has, and a secret.
    pub(crate) fn register(self: &Arc<Self>, long_secret: bool) -> Registration {
        let mut secret = vec![0; if long_secret { LONG_SECRET_BYTES } else { SHORT_SECRET_BYTES }];
        SystemRandom::new().fill(&mut secret).expect("the system has random bytes");
        let token = CancelToken::default();
        let mut table = self.table();
        let process_id = loop {
            // Clients read it as a positive 32-bit number.
            table.last = table.last % (i32::MAX.cast_unsigned()) + 1;
            if !table.sessions.contains_key(&table.last) {
                break table.last;
            }
        };
        table.sessions.insert(process_id, (secret.clone(), token.clone()));
        drop(table);
        Registration { cancels: Arc::clone(self), process_id, secret, token }
    }

    /// Cancels what the session runs, if the secret is its own.
    pub(crate) fn cancel(&self, process_id: u32, secret: &[u8]) {
        let table = self.table();
        if let Some((own, token)) = table.sessions.get(&process_id)
            && bool::from(own.as_slice().ct_eq(secret))
        {
            token.cancel();
        }
    }

    /// Cancels everything that runs.
    pub(crate) fn cancel_all(&self) {
        self.table().sessions.values().for_each(|(_, token)| token.cancel());
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.cancels.table().sessions.remove(&self.process_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_secret_of_the_session_cancels_it() {
        let cancels = Arc::new(Cancels::default());
        let (one, two) = (cancels.register(true), cancels.register(false));
        assert_eq!((one.secret.len(), two.secret.len()), (32, 4));
        assert_ne!(one.process_id, two.process_id);
        cancels.cancel(one.process_id, &two.secret);
        cancels.cancel(one.process_id, &one.secret[..31]);
        cancels.cancel(one.process_id, b"");
        assert!(!one.token.is_cancelled());
        cancels.cancel(one.process_id, &one.secret.clone());
        assert!(one.token.is_cancelled() && !two.token.is_cancelled());
    }

    #[test]
    fn a_session_that_has_ended_is_off_the_table() {
        let cancels = Arc::new(Cancels::default());
        drop(cancels.register(true));
        assert!(cancels.table().sessions.is_empty());
    }
}
