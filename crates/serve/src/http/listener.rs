//! Accepts connections and drives each to its end. It must not know routes.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::Extension;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tower::Layer;

use super::config::HttpConfig;
use super::door::{Connection, Door, shutdown_begins};
use super::places::Places;
use super::routes;
use super::stall::StallGuard;
use crate::backend::Backend;

/// Bytes of a request's head; also how much is read from a socket ahead of the handler.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// Requests at once on an HTTP/2 connection.
const MAX_STREAMS: u32 = 250;

/// How often an HTTP/2 peer is asked whether it is still there.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// A stalled peer is told so before it is cut; that may take this long.
const FAREWELL: Duration = Duration::from_secs(5);

/// The system has run out of something; accepting again at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves HTTP on `listener` until `shutdown` is ready and requests have ended or the grace is over.
///
/// # Errors
/// The configuration is wrong, or the listener has no address.
pub async fn serve<B: Backend>(
    listener: TcpListener,
    backend: Arc<B>,
    config: HttpConfig,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let bound = listener.local_addr()?;
    let places = Places::new(&config.allowed_hosts, &config.allowed_origins, bound)?;
    let most = config.max_connections.clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
    let (grace, tls) = (config.shutdown_grace, config.tls.clone().map(TlsAcceptor::from));
    let (close, closing) = watch::channel(false);
    let door = Arc::new(Door::new(backend, config, places, closing));
    let router = routes::router(Arc::clone(&door));
    let free = Arc::new(Semaphore::new(most));
    let mut shutdown = pin!(shutdown);
    tracing::info!(address = %bound, tls = tls.is_some(), "HTTP is served");
    loop {
        let accept = async {
            let place = Arc::clone(&free).acquire_owned().await.expect("the semaphore is never closed");
            listener.accept().await.map(|(stream, peer)| (stream, peer, place))
        };
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = accept => accepted,
        };
        match accepted {
            Ok((stream, peer, place)) => {
                let connection = Connection { peer, tls: tls.is_some(), begun: AtomicBool::new(false), _place: place };
                let driven = drive(stream, tls.clone(), Arc::new(connection), router.clone(), Arc::clone(&door));
                tokio::spawn(driven);
            }
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    tracing::info!(address = %bound, "HTTP stops");
    close.send_replace(true);
    // Every connection and WebSocket holds a permit.
    let all_ended = free.acquire_many(u32::try_from(most).unwrap_or(u32::MAX));
    if timeout(grace, all_ended).await.is_err() {
        tracing::warn!("HTTP connections were cut after {} s of grace", grace.as_secs());
    }
    Ok(())
}

async fn drive<B: Backend>(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    connection: Arc<Connection>,
    router: Router,
    door: Arc<Door<B>>,
) {
    let _counted = door.meters.connection();
    // Small frames of a subscription leave at once.
    let _ = stream.set_nodelay(true);
    let peer = connection.peer;
    let Some(acceptor) = tls else { return drive_http(stream, connection, router, door).await };
    match timeout(door.config.header_read_timeout, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => drive_http(stream, connection, router, door).await,
        Ok(Err(error)) => tracing::warn!(%peer, %error, "TLS handshake refused"),
        Err(_) => tracing::warn!(%peer, "TLS handshake not finished in time"),
    }
}

async fn drive_http<B: Backend, S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    connection: Arc<Connection>,
    router: Router,
    door: Arc<Door<B>>,
) {
    let config = &door.config;
    let mut closing = door.closing.clone();
    let service = TowerToHyperService::new(Extension(Arc::clone(&connection)).layer(router));
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(config.header_read_timeout)
        .max_buf_size(MAX_HEAD_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(config.header_read_timeout)
        .max_header_list_size(MAX_HEAD_BYTES as u32)
        .max_concurrent_streams(MAX_STREAMS);
    let guarded = TokioIo::new(StallGuard::new(stream, config.stall_timeout + FAREWELL));
    let mut served = pin!(builder.serve_connection_with_upgrades(guarded, service));
    // Until the protocol is known there is no other limit on how slowly a peer may write.
    let mut first_request = pin!(sleep(config.header_read_timeout));
    let mut waiting = true;
    let result = loop {
        tokio::select! {
            result = &mut served => break result,
            () = &mut first_request, if waiting => {
                waiting = false;
                if !connection.begun.load(Ordering::Relaxed) {
                    return tracing::warn!(peer = %connection.peer, "no request in time");
                }
            }
            () = shutdown_begins(&mut closing) => {
                served.as_mut().graceful_shutdown();
                match timeout(config.shutdown_grace, &mut served).await {
                    Ok(result) => break result,
                    Err(_) => return,
                }
            }
        }
    };
    if let Err(error) = result {
        tracing::debug!(peer = %connection.peer, %error, "connection ended");
    }
}
