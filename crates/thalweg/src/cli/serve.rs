//! `thalweg serve`: the doors, the logs, and an orderly end. It must not know how statements are answered.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use thalweg::parse_bytes;
use thalweg::server::{Server, ServerBackend, ServerConfig};
use thalweg_serve::{http, pg, tls};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Flags of `serve`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ServeArgs {
    /// Where the catalog and the rows of tables are kept; without it everything is in memory
    #[arg(long, value_name = "DIR", env = "THALWEG_DATA")]
    data: Option<PathBuf>,
    /// Address of the PostgreSQL protocol; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4566", env = "THALWEG_PG")]
    pg: SocketAddr,
    /// Address of HTTP; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4567", env = "THALWEG_HTTP")]
    http: SocketAddr,
    /// PEM file with the certificate chain
    #[arg(long, value_name = "FILE", requires = "tls_key", env = "THALWEG_TLS_CERTIFICATE")]
    tls_certificate: Option<PathBuf>,
    /// PEM file with the certificate's private key
    #[arg(long, value_name = "FILE", requires = "tls_certificate", env = "THALWEG_TLS_KEY")]
    tls_key: Option<PathBuf>,
    /// Worker threads of the engine
    #[arg(long, value_name = "N", env = "THALWEG_WORKERS")]
    workers: Option<usize>,
    /// Memory for state: 512MiB, 4GiB; 80 % of the machine unless said
    #[arg(long, value_name = "SIZE", value_parser = |s: &str| parse_bytes(s).map_err(|e| e.to_string()), env = "THALWEG_MEMORY_LIMIT")]
    memory_limit: Option<usize>,
    /// Connections of each protocol at one time
    #[arg(long, value_name = "N", default_value_t = 20_000, env = "THALWEG_MAX_CONNECTIONS")]
    max_connections: usize,
    /// Log lines as JSON
    #[arg(long, env = "THALWEG_LOG_JSON")]
    log_json: bool,
    /// What is logged: error, warn, info, debug, or per part as in info,audit=warn
    #[arg(long, value_name = "FILTER", default_value = "info", env = "THALWEG_LOG")]
    log: String,
}

const EXAMPLES: &str = "Examples:
  thalweg serve                              in memory, on loopback
  thalweg serve --data ./data                what is created survives a restart
  psql -h localhost -p 4566 -d dev -U root   talk to it
  thalweg serve --pg 0.0.0.0:4566 --http 0.0.0.0:4567 --tls-certificate c.pem --tls-key k.pem
                                             other addresses need TLS, and a password for each user:
                                             ALTER USER root PASSWORD '…' on loopback first";

/// Time for doors to close after the signal.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);

pub(crate) fn serve(args: &ServeArgs) -> Result<ExitCode> {
    start_log(args)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads")?;
    runtime.block_on(run(args))
}

fn start_log(args: &ServeArgs) -> Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_new(&args.log).with_context(|| format!("--log {}", args.log))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if args.log_json {
        log.json().init()
    } else {
        log.init()
    }
    Ok(())
}

fn config(args: &ServeArgs) -> Result<ServerConfig> {
    let mut config = ServerConfig { data: args.data.clone(), max_sessions: args.max_connections, ..Default::default() };
    if let Some(workers) = args.workers {
        if !(1..=256).contains(&workers) {
            bail!("--workers {workers}: give 1 to 256");
        }
        config.run.workers = workers;
    }
    if let Some(bytes) = args.memory_limit {
        config.run.memory_limit_bytes = bytes;
        config.query_memory_bytes = bytes / 4;
    }
    Ok(config)
}

async fn run(args: &ServeArgs) -> Result<ExitCode> {
    let loopback = args.pg.ip().is_loopback() && args.http.ip().is_loopback();
    if !loopback && args.tls_certificate.is_none() {
        bail!(
            "an address that is not loopback needs TLS\n  hint: Give --tls-certificate and --tls-key, or listen on \
             127.0.0.1."
        );
    }
    let files = args.tls_certificate.as_ref().zip(args.tls_key.as_ref());
    let with_tls = |protocols: &[&str]| files.map(|(c, k)| tls::server_config(c, k, protocols)).transpose();
    let pg_listener = TcpListener::bind(args.pg).await.with_context(|| format!("cannot listen on {}", args.pg))?;
    let http_listener =
        TcpListener::bind(args.http).await.with_context(|| format!("cannot listen on {}", args.http))?;
    let (pg_address, http_address) = (pg_listener.local_addr()?, http_listener.local_addr()?);
    let server = Server::open(config(args)?).await?;
    let backend = Arc::new(ServerBackend::new(Arc::clone(&server), loopback));
    let (stop, stopped) = watch::channel(false);
    let until = |mut stopped: watch::Receiver<bool>| async move {
        let _ = stopped.wait_for(|s| *s).await;
    };
    let pg_config = pg::PgConfig {
        tls: with_tls(&["postgresql"])?,
        require_tls: !args.pg.ip().is_loopback(),
        limits: pg::PgLimits { max_connections: args.max_connections, ..Default::default() },
    };
    let http_config = http::HttpConfig {
        tls: with_tls(&["h2", "http/1.1"])?,
        max_connections: args.max_connections,
        ..Default::default()
    };
    let mut pg_door = tokio::spawn(pg::serve(pg_listener, Arc::clone(&backend), pg_config, stopped.clone()));
    let mut http_door = tokio::spawn(http::serve(http_listener, backend, http_config, until(stopped)));
    // Who starts a server with port 0 reads where it is.
    let scheme = if files.is_some() { "https" } else { "http" };
    let _ = writeln!(std::io::stdout(), "postgres://root@{pg_address}/dev\n{scheme}://{http_address}");
    tracing::info!(%pg_address, %http_address, "ready");
    let fault = tokio::select! {
        signal = signals() => { tracing::info!(signal = signal?, "shutting down"); None }
        () = fault(&server) => server.fault(),
        door = &mut pg_door => { door??; None }
        door = &mut http_door => { door??; None }
    };
    let _ = stop.send(true);
    let doors = async { tokio::join!(&mut pg_door, &mut http_door) };
    if tokio::time::timeout(SHUTDOWN_GRACE, doors).await.is_err() {
        tracing::warn!("connections were cut");
    }
    server.stop().await;
    match fault {
        Some(fault) => bail!("the engine has stopped: {fault}"),
        None => Ok(ExitCode::SUCCESS),
    }
}

async fn signals() -> Result<&'static str> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(tokio::select! {
        result = tokio::signal::ctrl_c() => { result?; "interrupt" }
        _ = terminate.recv() => "terminate",
    })
}

/// Ready when the engine has stopped by itself.
async fn fault(server: &Server) {
    const LOOK_AGAIN: Duration = Duration::from_millis(200);
    while server.fault().is_none() {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
