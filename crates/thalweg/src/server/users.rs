//! Users, and who is connected. It must not know protocols.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use thalweg_core::{SqlError, SqlState};
use thalweg_serve::backend::Login;

use super::Server;

/// The sessions of a server, by process id.
#[derive(Default)]
pub(crate) struct Sessions(Arc<Mutex<BTreeMap<u32, Connected>>>);

/// A session as others see it.
#[derive(Clone)]
pub(crate) struct Connected {
    pub login: Login,
    pub since: SystemTime,
}

/// Takes the session out of the list when it ends.
pub(crate) struct Registered {
    sessions: Arc<Mutex<BTreeMap<u32, Connected>>>,
    process_id: u32,
}

impl Sessions {
    /// Adds a session.
    ///
    /// # Errors
    /// There are as many as there may be, or the server is going down.
    pub fn enter(&self, server: &Server, login: &Login) -> Result<Registered, SqlError> {
        if server.is_stopping() {
            return Err(super::shutting_down());
        }
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let max = server.config.max_sessions;
        if sessions.len() >= max {
            let error = SqlError::new(SqlState::TOO_MANY_CONNECTIONS, format!("there are {max} sessions already"));
            return Err(error.hint("Use a connection pool, or raise --max-connections."));
        }
        let connected = Connected { login: login.clone(), since: SystemTime::now() };
        sessions.insert(login.process_id, connected);
        Ok(Registered { sessions: Arc::clone(&self.0), process_id: login.process_id })
    }

    /// All of them.
    pub fn list(&self) -> Vec<Connected> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    pub fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.process_id);
    }
}

pub(crate) fn refused(user: &str) -> SqlError {
    SqlError::new(SqlState::INVALID_AUTHORIZATION, format!("role \"{user}\" does not exist or may not log in"))
}
