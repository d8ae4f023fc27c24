//! Accepts connections, seats them, and sees them out at shutdown. One connection's panic ends that connection and
//! nothing else. It must not know messages.

use std::any::Any;
use std::io;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use socket2::{SockRef, TcpKeepalive};
use thalweg_core::{SqlError, SqlState};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout, timeout_at};

use super::cancel::Cancels;
use super::config::PgConfig;
use super::failure::{Failure, going_down};
use super::guard::Guard;
use super::hello::{Hello, greet};
use super::login::log_in;
use super::reply;
use super::scram::Strangers;
use super::session::Conversation;
use super::startup::Startup;
use super::wire::Wire;
use crate::backend::Backend;

/// Connections beyond the limit that are told so at a time; more are cut off without a word.
const MAX_TURNED_AWAY: usize = 256;

/// After the system has refused a connection, out of file descriptors for instance.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// After so much silence a client is asked whether it is there, and again after each interval.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// What all connections share.
pub(crate) struct Door<B> {
    pub(crate) backend: Arc<B>,
    pub(crate) config: PgConfig,
    pub(crate) cancels: Arc<Cancels>,
    pub(crate) guard: Guard,
    pub(crate) strangers: Strangers,
}

/// Serves the PostgreSQL protocol on `listener` until `shutdown` becomes true or its sender is dropped. Then idle
/// sessions are ended, running statements may finish within [`super::PgLimits::shutdown_grace`] and are cancelled after
/// it; the function returns when all connections have ended.
///
/// # Errors
/// The listener has no address.
pub async fn serve<B: Backend>(
    listener: TcpListener,
    backend: Arc<B>,
    config: PgConfig,
    mut shutdown: watch::Receiver<bool>,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    tracing::info!(%address, "the PostgreSQL door is open");
    let seats = Arc::new(Semaphore::new(config.limits.max_connections.min(Semaphore::MAX_PERMITS)));
    let standing = Arc::new(Semaphore::new(MAX_TURNED_AWAY));
    let door = Arc::new(Door {
        backend,
        config,
        cancels: Arc::default(),
        guard: Guard::default(),
        strangers: Strangers::new(),
    });
    let mut connections = JoinSet::new();
    loop {
        let (stream, peer) = tokio::select! {
            () = stopped(&mut shutdown) => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a PostgreSQL connection could not be accepted");
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        let seat = match Arc::clone(&seats).try_acquire_owned() {
            Ok(permit) => Seat { permit, free: true },
            Err(_) => match Arc::clone(&standing).try_acquire_owned() {
                Ok(permit) => Seat { permit, free: false },
                Err(_) => continue,
            },
        };
        let (door, shutdown) = (Arc::clone(&door), shutdown.clone());
        connections.spawn(async move {
            attend(&door, stream, peer, seat.free, shutdown).await;
            drop(seat.permit);
        });
    }
    drop(listener);
    see_out(&door, connections).await;
    Ok(())
}

/// A place for a connection, or one to hear that there is none.
struct Seat {
    permit: OwnedSemaphorePermit,
    free: bool,
}

async fn see_out<B: Backend>(door: &Door<B>, mut connections: JoinSet<()>) {
    let limits = &door.config.limits;
    if timeout(limits.shutdown_grace, empty(&mut connections)).await.is_ok() {
        return;
    }
    door.cancels.cancel_all();
    if timeout(limits.cancel_patience, empty(&mut connections)).await.is_err() {
        tracing::warn!(connections = connections.len(), "PostgreSQL connections did not end and are cut off");
        connections.shutdown().await;
    }
}

async fn empty(connections: &mut JoinSet<()>) {
    while connections.join_next().await.is_some() {}
}

/// Ready when the server goes down.
pub(crate) async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    // An error means that whoever could have told is gone.
    let _ = shutdown.wait_for(|stop| *stop).await;
}

/// One connection, from its first byte to its last.
async fn attend<B: Backend>(
    door: &Door<B>,
    stream: TcpStream,
    peer: SocketAddr,
    free: bool,
    mut shutdown: watch::Receiver<bool>,
) {
    let deadline = Instant::now() + door.config.limits.authentication_timeout;
    if let Err(error) = prepare(&stream) {
        tracing::debug!(%peer, %error, "the socket keeps its defaults");
    }
    let greeting = tokio::select! {
        () = stopped(&mut shutdown) => return,
        greeting = timeout_at(deadline.into(), Box::pin(greet(stream, &door.config))) => greeting,
    };
    let (mut wire, startup) = match greeting {
        Ok(Ok(Hello::Start(wire, startup))) => (wire, *startup),
        Ok(Ok(Hello::Cancel { process_id, secret })) => return door.cancels.cancel(process_id, &secret),
        Ok(Err(error)) => return tracing::debug!(%peer, %error, "a connection ended before it began"),
        Err(_) => return tracing::debug!(%peer, "a connection said nothing for too long"),
    };
    let startup = startup.and_then(|startup| if free { Ok(startup) } else { Err(Failure::Fatal(full())) });
    let talk = Box::pin(talk(door, &mut wire, startup, peer, deadline, shutdown));
    let last = match AssertUnwindSafe(talk).catch_unwind().await {
        Ok(Ok(())) => None,
        Ok(Err(Failure::Gone(error))) => return tracing::debug!(%peer, %error, "a client has gone"),
        Ok(Err(Failure::Fatal(error) | Failure::Statement(error))) => Some(reply::fatal(error)),
        Err(panic) => {
            tracing::error!(%peer, panic = panic_text(panic.as_ref()), "a session panicked and is ended");
            Some(reply::fatal(SqlError::new(SqlState::INTERNAL_ERROR, "internal error: the session has ended")))
        }
    };
    wire.close(last).await;
}

/// Small packets leave at once, and a client whose host has vanished is noticed while it is idle.
fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

async fn talk<B: Backend>(
    door: &Door<B>,
    wire: &mut Wire,
    startup: Result<Startup, Failure>,
    peer: SocketAddr,
    deadline: Instant,
    mut shutdown: watch::Receiver<bool>,
) -> Result<(), Failure> {
    let log_in = Box::pin(log_in(door, wire, startup?, peer, deadline));
    let (session, registration) = tokio::select! {
        () = stopped(&mut shutdown) => return Err(Failure::Fatal(going_down())),
        entered = log_in => entered?,
    };
    Conversation::new(wire, session, registration.token.clone(), &door.config.limits).run(&mut shutdown).await
}

fn full() -> SqlError {
    SqlError::new(SqlState::TOO_MANY_CONNECTIONS, "sorry, too many clients already")
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "no text",
    }
}
