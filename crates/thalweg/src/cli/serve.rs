//! `thalweg serve`: the doors, the logs, and an orderly end. It must not know how statements are answered, nor what other
//! commands do beside the doors.

use std::future::{Future, pending};
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use thalweg::server::{Server, ServerBackend};
use thalweg_serve::{http, pg};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::settings::{Effective, Origin, ServeArgs, Settings, suspects};

/// Beyond the grace, until connections are cut.
const CUT: Duration = Duration::from_secs(1);

/// Wrong usage, as clap has it.
const USAGE: u8 = 2;

/// A server whose doors are open.
pub(crate) struct Open {
    pub server: Arc<Server>,
    /// Where it answers HTTP, as a browser wants it.
    pub http: String,
}

pub(crate) fn serve(args: &ServeArgs) -> Result<ExitCode> {
    beside(args, None, |_| pending())
}

/// As `serve`, and does `work` beside the doors until the signal to stop: then it is dropped, before the engine ends. The
/// server ends when the work does. `log`: what is logged unless a setting says so.
pub(crate) fn beside<F: Future<Output = Result<()>>>(
    args: &ServeArgs,
    log: Option<&str>,
    work: impl FnOnce(Open) -> F,
) -> Result<ExitCode> {
    let mut effective = match args.effective() {
        Ok(effective) => effective,
        Err(problems) => {
            problems.iter().for_each(|problem| eprintln!("error: {problem}"));
            return Ok(ExitCode::from(USAGE));
        }
    };
    if let Some(log) = log.filter(|_| *effective.origin("log") == Origin::Default) {
        log.clone_into(&mut effective.settings.log);
    }
    if args.check_config {
        return check(&effective);
    }
    start_log(&effective.settings)?;
    suspects().iter().for_each(|suspect| tracing::warn!("{suspect}"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads")?;
    runtime.block_on(run(effective, work))
}

/// Says what would hold, and whether the files that it names will do.
fn check(effective: &Effective) -> Result<ExitCode> {
    let _ = write!(std::io::stdout(), "{}", effective.listed());
    suspects().iter().for_each(|suspect| eprintln!("warning: {suspect}"));
    effective.tls(&[])?;
    Ok(ExitCode::SUCCESS)
}

fn start_log(settings: &Settings) -> Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_new(&settings.log).context("--log")?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let log = log.with_ansi(std::io::stderr().is_terminal());
    if settings.log_json {
        log.json().init()
    } else {
        log.init()
    }
    Ok(())
}

async fn run<F: Future<Output = Result<()>>>(effective: Effective, work: impl FnOnce(Open) -> F) -> Result<ExitCode> {
    let (pg_tls, http_tls) = (effective.tls(&["postgresql"])?, effective.tls(&["h2", "http/1.1"])?);
    let Settings { server, http, pg, pg_address, http_address, shutdown_grace: grace, .. } = effective.settings;
    let is_tls = http_tls.is_some();
    let loopback = pg_address.ip().is_loopback() && http_address.ip().is_loopback();
    let pg_listener = TcpListener::bind(pg_address).await.with_context(|| format!("cannot listen on {pg_address}"))?;
    let http_listener =
        TcpListener::bind(http_address).await.with_context(|| format!("cannot listen on {http_address}"))?;
    let server = Server::open(server).await?;
    let backend = Arc::new(ServerBackend::new(Arc::clone(&server), loopback));
    let (stop, stopped) = watch::channel(false);
    let until = |mut stopped: watch::Receiver<bool>| async move {
        let _ = stopped.wait_for(|s| *s).await;
    };
    let patience = grace + pg.cancel_patience;
    let pg_config = pg::PgConfig {
        tls: pg_tls,
        require_tls: !pg_address.ip().is_loopback(),
        limits: pg::PgLimits { shutdown_grace: grace, ..pg },
    };
    let http_config =
        http::HttpConfig { tls: http_tls, console: http::Console::built(), shutdown_grace: grace, ..http };
    let (pg_address, http_address) = (pg_listener.local_addr()?, http_listener.local_addr()?);
    let mut pg_door = tokio::spawn(pg::serve(pg_listener, Arc::clone(&backend), pg_config, stopped.clone()));
    let mut http_door = tokio::spawn(http::serve(http_listener, backend, http_config, until(stopped)));
    // Whoever reads that it is there may stop it at once.
    let mut signals = Signals::new().context("cannot wait for signals")?;
    // Who starts a server with port 0 reads where it is.
    let scheme = if is_tls { "https" } else { "http" };
    let http = format!("{scheme}://{http_address}");
    let _ = writeln!(std::io::stdout(), "postgres://root@{pg_address}/dev\n{http}");
    tracing::info!(%pg_address, %http_address, "ready");
    let mut outcome = Ok(());
    let fault = tokio::select! {
        signal = signals.next() => { tracing::info!(signal, "shutting down"); None }
        () = fault(&server) => server.fault(),
        door = &mut pg_door => { door??; None }
        door = &mut http_door => { door??; None }
        ended = work(Open { server: Arc::clone(&server), http }) => { outcome = ended; None }
    };
    let _ = stop.send(true);
    let doors = async { tokio::join!(&mut pg_door, &mut http_door) };
    // The doors keep to the grace themselves; this is for one that does not.
    if tokio::time::timeout(patience + CUT, doors).await.is_err() {
        tracing::warn!("connections were cut");
    }
    server.stop().await;
    match fault {
        Some(fault) => bail!("the engine has stopped: {fault}"),
        None => outcome.map(|()| ExitCode::SUCCESS),
    }
}

/// The signals to stop; from when it is made, none is lost.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "interrupt",
            _ = self.terminate.recv() => "terminate",
        }
    }
}

/// Ready when the engine has stopped by itself.
async fn fault(server: &Server) {
    const LOOK_AGAIN: Duration = Duration::from_millis(200);
    while server.fault().is_none() {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
