//! `Door`: what all requests share, and how one opens a session. It must not know routes.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::available_parallelism;

use thalweg_core::{SqlError, SqlState};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::config::HttpConfig;
use super::failure::Failure;
use super::gate::Gate;
use super::lanes::Lanes;
use super::meters::Meters;
use super::places::Places;
use crate::backend::{Backend, CancelToken, Login, Surface};

/// Numbers of HTTP sessions begin here (2^30), so that they are not those of the other door.
const FIRST_PROCESS_ID: u32 = 1 << 30;

/// Shared by all requests.
pub(crate) struct Door<B: Backend> {
    pub(crate) backend: Arc<B>,
    pub(crate) config: HttpConfig,
    pub(crate) places: Places,
    pub(crate) gate: Gate,
    pub(crate) meters: Arc<Meters>,
    pub(crate) lanes: Lanes<B::Session>,
    /// One permit for each KiB of request bodies in memory.
    pub(crate) body_kibibytes: Arc<Semaphore>,
    /// One permit for each large body that is being decoded: as many as there are cores.
    pub(crate) decodings: Semaphore,
    pub(crate) subscribers: Arc<Semaphore>,
    /// True from the moment shutdown begins.
    pub(crate) closing: watch::Receiver<bool>,
    next_process_id: AtomicU32,
}

/// Who a request comes from: authenticated.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) user: Arc<str>,
    pub(crate) peer: SocketAddr,
}

/// What a connection's requests know of it.
pub(crate) struct Connection {
    pub(crate) peer: SocketAddr,
    pub(crate) tls: bool,
    /// A request has arrived on it.
    pub(crate) begun: AtomicBool,
    /// Its place among the allowed connections; a WebSocket keeps it after the HTTP connection has ended.
    pub(crate) _place: OwnedSemaphorePermit,
}

/// Ready when shutdown begins.
pub(crate) async fn shutdown_begins(closing: &mut watch::Receiver<bool>) {
    // If the sender is gone, so is the server.
    let _ = closing.wait_for(|closing| *closing).await;
}

impl<B: Backend> Door<B> {
    pub(crate) fn new(backend: Arc<B>, config: HttpConfig, places: Places, closing: watch::Receiver<bool>) -> Self {
        Self {
            backend,
            places,
            gate: Gate::new(config.token_lifetime),
            meters: Arc::default(),
            lanes: Lanes::default(),
            body_kibibytes: Arc::new(Semaphore::new((config.bodies_limit_bytes / 1024).min(Semaphore::MAX_PERMITS))),
            decodings: Semaphore::new(available_parallelism().map_or(1, NonZeroUsize::get)),
            subscribers: Arc::new(Semaphore::new(config.max_subscribers.min(Semaphore::MAX_PERMITS))),
            closing,
            next_process_id: AtomicU32::new(FIRST_PROCESS_ID),
            config,
        }
    }

    /// A session of its own for a request, and what cancels it.
    pub(crate) fn connect(&self, caller: &Caller) -> Result<(B::Session, CancelToken), SqlError> {
        let number = self.next_process_id.fetch_add(1, Ordering::Relaxed);
        let cancel = CancelToken::default();
        let session = self.backend.connect(Login {
            user: caller.user.to_string(),
            database: self.config.database.clone(),
            settings: Vec::new(),
            peer: Some(caller.peer),
            surface: Surface::Http,
            process_id: FIRST_PROCESS_ID | (number % FIRST_PROCESS_ID),
            cancel: cancel.clone(),
        })?;
        Ok((session, cancel))
    }

    /// Refuses while the backend does not answer queries, or no longer will.
    pub(crate) fn ensure_ready(&self) -> Result<(), Failure> {
        if *self.closing.borrow() {
            let down = SqlError::new(SqlState::ADMIN_SHUTDOWN, "the server is going down");
            return Err(down.into());
        }
        self.backend.ready().map_err(|why| {
            Failure::busy(axum::http::StatusCode::SERVICE_UNAVAILABLE, format!("the server is not ready: {why}"), 1)
        })
    }
}
