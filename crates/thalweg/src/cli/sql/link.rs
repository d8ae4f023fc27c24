//! `Link`: a session with the server and how its statements are run and cancelled. It must not print results.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;
use futures_util::StreamExt;
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio_postgres::{Client, Config, Error, NoTls, SimpleQueryMessage, SimpleQueryRow};

use super::password;
use crate::cli::pg::{self, Notices};

/// Exit code of a process ended by Ctrl-C.
const INTERRUPTED: i32 = 130;

/// What one statement has given.
#[derive(Default)]
pub(super) struct ResultSet {
    /// `None` for a statement without rows.
    pub(super) titles: Option<Vec<String>>,
    pub(super) rows: Vec<SimpleQueryRow>,
    /// Rows that were changed.
    pub(super) count: u64,
}

/// A session.
pub(super) struct Link {
    runtime: Runtime,
    pub(super) config: Config,
    client: Client,
    interrupts: Arc<Interrupts>,
}

/// Ctrl-C: it cancels what runs, and ends the process when nothing does.
#[derive(Default)]
struct Interrupts {
    waiting: AtomicBool,
    pressed: Notify,
}

impl Link {
    /// Connects; asks for a password if one is needed and `may_ask`.
    pub(super) fn open(mut config: Config, may_ask: bool) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let client = connect(&runtime, &mut config, may_ask)?;
        let interrupts = Arc::new(Interrupts::default());
        let heard = Arc::clone(&interrupts);
        runtime.spawn(async move {
            while tokio::signal::ctrl_c().await.is_ok() {
                if heard.waiting.load(Ordering::SeqCst) {
                    heard.pressed.notify_one();
                } else {
                    std::process::exit(INTERRUPTED);
                }
            }
        });
        Ok(Self { runtime, config, client, interrupts })
    }

    /// Another session in place of this one.
    pub(super) fn reopen(&mut self, mut config: Config, may_ask: bool) -> Result<()> {
        self.client = connect(&self.runtime, &mut config, may_ask)?;
        self.config = config;
        Ok(())
    }

    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Runs a statement. Ctrl-C asks the server to cancel it; the answer is awaited all the same.
    pub(super) fn query(&self, sql: &str) -> Result<Vec<ResultSet>, Error> {
        self.interruptible(async {
            let mut stream = std::pin::pin!(self.client.simple_query_raw(sql).await?);
            let mut sets = Vec::new();
            let mut set = ResultSet::default();
            while let Some(message) = stream.next().await {
                match message? {
                    SimpleQueryMessage::RowDescription(columns) => {
                        set.titles = Some(columns.iter().map(|c| c.name().to_owned()).collect());
                    }
                    SimpleQueryMessage::Row(row) => set.rows.push(row),
                    SimpleQueryMessage::CommandComplete(count) => {
                        set.count = count;
                        sets.push(std::mem::take(&mut set));
                    }
                    _ => {}
                }
            }
            Ok(sets)
        })
    }

    /// Runs a `COPY … TO STDOUT` and hands its bytes on.
    pub(super) fn copy_out(&self, sql: &str, mut take: impl FnMut(&[u8])) -> Result<(), Error> {
        self.interruptible(async {
            let mut stream = std::pin::pin!(self.client.copy_out(sql).await?);
            while let Some(piece) = stream.next().await {
                take(&piece?);
            }
            Ok(())
        })
    }

    /// Waits; `false` when Ctrl-C was pressed.
    pub(super) fn pause(&self, time: Duration) -> bool {
        self.waiting(async {
            tokio::select! {
                () = tokio::time::sleep(time) => true,
                () = self.interrupts.pressed.notified() => false,
            }
        })
    }

    fn interruptible<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        self.waiting(async {
            let mut work = std::pin::pin!(work);
            let mut asked = false;
            loop {
                tokio::select! {
                    outcome = &mut work => return outcome,
                    () = self.interrupts.pressed.notified() => {
                        if std::mem::replace(&mut asked, true) {
                            eprintln!("The server does not answer the request to cancel.");
                            std::process::exit(INTERRUPTED);
                        }
                        let token = self.client.cancel_token();
                        self.runtime.spawn(async move {
                            if let Err(error) = token.cancel_query(NoTls).await {
                                eprintln!("cannot cancel: {error}");
                            }
                        });
                    }
                }
            }
        })
    }

    fn waiting<T>(&self, work: impl Future<Output = T>) -> T {
        self.interrupts.waiting.store(true, Ordering::SeqCst);
        let outcome = self.runtime.block_on(work);
        self.interrupts.waiting.store(false, Ordering::SeqCst);
        outcome
    }
}

fn connect(runtime: &Runtime, config: &mut Config, may_ask: bool) -> Result<Client> {
    match runtime.block_on(pg::connect(config, Notices::Print)) {
        Err(error) if may_ask && pg::wants_password(config, &error) => {
            let user = config.get_user().unwrap_or_default();
            let password = password::ask(&format!("Password for user {user}: "))?;
            config.password(password);
            runtime.block_on(pg::connect(config, Notices::Print))
        }
        outcome => outcome,
    }
}
