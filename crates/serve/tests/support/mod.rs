//! A backend with canned statements behind a PostgreSQL door, for tests with real clients and bare sockets. It must not
//! check anything itself.

#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod canned;
pub mod raw;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::array::RecordBatch;
use thalweg_core::{SqlError, SqlState};
use thalweg_serve::backend::{Backend, Credential, Login, ScramVerifier};
use thalweg_serve::pg::{PgConfig, serve};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, NoTls};

pub use self::canned::Canned;

/// Longer than anything takes, shorter than patience.
pub const SOON: Duration = Duration::from_secs(30);

/// Knows `dev` (no password) and `ann` (`s3cret`).
pub struct Fake {
    pub verifier: ScramVerifier,
    pub audited: Mutex<Vec<String>>,
    pub logins: Mutex<Vec<Login>>,
    /// What the last COPY has brought.
    pub copied: Arc<Mutex<Vec<RecordBatch>>>,
}

impl Backend for Fake {
    type Session = Canned;

    fn credential(&self, user: &str) -> Option<Credential> {
        match user {
            "dev" => Some(Credential::Trust),
            "ann" => Some(Credential::Scram(self.verifier.clone())),
            _ => None,
        }
    }

    fn connect(&self, login: Login) -> Result<Canned, SqlError> {
        if login.database == "nowhere" {
            return Err(SqlError::new(SqlState::INVALID_CATALOG_NAME, "database \"nowhere\" does not exist"));
        }
        self.logins.lock().expect("not poisoned").push(login.clone());
        Ok(Canned::new(login, Arc::clone(&self.copied)))
    }

    fn audit(&self, event: &str, user: &str, _: Option<SocketAddr>) {
        self.audited.lock().expect("not poisoned").push(format!("{event}: {user}"));
    }

    fn metrics(&self) -> String {
        String::new()
    }

    fn ready(&self) -> Result<(), String> {
        Ok(())
    }

    fn status(&self) -> Vec<(String, String)> {
        Vec::new()
    }
}

/// A door that is open until it is dropped.
pub struct Open {
    pub address: SocketAddr,
    pub backend: Arc<Fake>,
    pub shutdown: watch::Sender<bool>,
    pub served: JoinHandle<std::io::Result<()>>,
}

pub async fn open() -> Open {
    open_with(PgConfig::default()).await
}

pub async fn open_with(config: PgConfig) -> Open {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let backend = Arc::new(Fake {
        verifier: ScramVerifier::new("s3cret"),
        audited: Mutex::default(),
        logins: Mutex::default(),
        copied: Arc::default(),
    });
    let (shutdown, stop) = watch::channel(false);
    let served = tokio::spawn(serve(listener, Arc::clone(&backend), config, stop));
    Open { address, backend, shutdown, served }
}

impl Open {
    /// A driver's connection as `dev`.
    pub async fn client(&self) -> Client {
        self.client_as("user=dev dbname=d").await.expect("dev may log in")
    }

    pub async fn client_as(&self, settings: &str) -> Result<Client, tokio_postgres::Error> {
        let settings = format!("host=127.0.0.1 port={} {settings}", self.address.port());
        let (client, connection) = tokio_postgres::connect(&settings, NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }
}

/// The SQLSTATE and message of a server's error.
pub fn told(error: &tokio_postgres::Error) -> (String, String) {
    let error = error.as_db_error().unwrap_or_else(|| panic!("not from the server: {error}"));
    (error.code().code().to_owned(), error.message().to_owned())
}
