//! A session after login: takes messages one by one and says when the next may come. It must not know sockets or
//! passwords.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::ArrayRef;
use thalweg_core::{SqlError, SqlState};
use tokio::sync::watch;

use super::config::PgLimits;
use super::failure::{Failure, cancelled, going_down};
use super::frontend::Frontend;
use super::listener::stopped;
use super::portal::{Portal, Prepared};
use super::reply;
use super::wire::{Frame, Wire};
use crate::backend::{Answer, CancelToken, Session, TransactionStatus};

/// A client and its session.
pub(crate) struct Conversation<'a, S: Session> {
    pub(crate) wire: &'a mut Wire,
    pub(crate) session: S,
    pub(crate) cancel: CancelToken,
    pub(crate) limits: &'a PgLimits,
    pub(crate) statements: HashMap<String, Arc<Prepared<S::Statement>>>,
    pub(crate) portals: HashMap<String, Portal<S::Statement>>,
    /// After an error in the extended protocol everything up to Sync is passed over.
    skipping: bool,
    /// Messages of the extended protocol have come since the last Sync.
    before_sync: bool,
}

impl<'a, S: Session> Conversation<'a, S> {
    pub(crate) fn new(wire: &'a mut Wire, session: S, cancel: CancelToken, limits: &'a PgLimits) -> Self {
        Self {
            wire,
            session,
            cancel,
            limits,
            statements: HashMap::new(),
            portals: HashMap::new(),
            skipping: false,
            before_sync: false,
        }
    }

    /// Until the client leaves.
    pub(crate) async fn run(mut self, shutdown: &mut watch::Receiver<bool>) -> Result<(), Failure> {
        loop {
            if !self.wire.has_frame() {
                self.wire.flush().await?;
                self.wire.rest();
            }
            let frame = tokio::select! {
                biased;
                () = stopped(shutdown), if !self.before_sync => return Err(Failure::Fatal(going_down())),
                frame = self.wire.frame() => frame?,
            };
            let Some(frame) = frame else { return Ok(()) };
            if Box::pin(self.answer(frame)).await?.is_break() {
                return Ok(());
            }
        }
    }

    async fn answer(&mut self, frame: Frame) -> Result<ControlFlow<()>, Failure> {
        let kind = frame.kind;
        if self.skipping && !matches!(kind, b'S' | b'X') {
            return Ok(ControlFlow::Continue(()));
        }
        let simple = matches!(kind, b'Q' | b'F');
        self.before_sync = !simple && kind != b'S';
        let answered = match Frontend::decode(kind, frame.body) {
            Ok(Frontend::Terminate) => return Ok(ControlFlow::Break(())),
            Ok(message) => self.react(message).await,
            Err(error) => Err(error.into()),
        };
        match answered {
            Ok(()) => {}
            Err(Failure::Statement(error)) => {
                self.fail(error);
                self.skipping = !simple;
            }
            Err(failure) => return Err(failure),
        }
        if simple {
            self.ready();
        }
        Ok(ControlFlow::Continue(()))
    }

    async fn react(&mut self, message: Frontend) -> Result<(), Failure> {
        match message {
            Frontend::Query(text) => self.query(text).await,
            Frontend::Parse { name, text, types } => self.parse(name, text, types).await,
            Frontend::Bind(bind) => self.bind(bind),
            Frontend::Describe(target) => self.describe(target),
            Frontend::Close(target) => self.close(target),
            Frontend::Execute { portal, max_rows } => self.execute_portal(portal, max_rows).await,
            Frontend::Flush => Ok(self.wire.flush().await?),
            Frontend::Sync => {
                self.skipping = false;
                self.ready();
                Ok(())
            }
            Frontend::FunctionCall => {
                let message = "function calls of the protocol are not supported";
                Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, message).hint("Call it with SELECT.").into())
            }
            // What is left of a COPY that failed.
            Frontend::CopyData(_) | Frontend::CopyDone | Frontend::CopyFail(_) => Ok(()),
            Frontend::Terminate => Ok(()),
        }
    }

    /// Runs a statement while watching the client.
    pub(crate) async fn execute(
        &mut self,
        statement: &S::Statement,
        parameters: &[ArrayRef],
    ) -> Result<Answer, Failure> {
        if self.cancel.is_cancelled() {
            return Err(cancelled().into());
        }
        let work = Box::pin(self.session.execute(statement, parameters));
        let answer = self.wire.watch(&self.cancel, self.limits.cancel_patience, work).await;
        let answer = answer.ok_or_else(cancelled)??;
        self.tell();
        Ok(answer)
    }

    /// Refuses texts that are too long.
    pub(crate) fn measure(&self, text: &str) -> Result<(), SqlError> {
        let limit = self.limits.max_statement_bytes;
        if text.len() <= limit {
            return Ok(());
        }
        let message = format!("a statement of {} bytes is longer than the limit of {limit} bytes", text.len());
        Err(SqlError::new(SqlState::PROGRAM_LIMIT, message))
    }

    /// Notices and settings that have changed.
    pub(crate) fn tell(&mut self) {
        self.session.notices().into_iter().for_each(|notice| self.wire.send(&reply::notice(notice)));
        self.session.parameter_changes().into_iter().for_each(|change| self.wire.send(&reply::parameter(change)));
    }

    fn fail(&mut self, error: SqlError) {
        self.tell();
        self.wire.send(&reply::error(error));
        self.session.abort();
    }

    /// The end of a simple query, or Sync.
    fn ready(&mut self) {
        self.before_sync = false;
        self.session.sync();
        self.tell();
        let status = self.session.status();
        if status == TransactionStatus::Idle {
            // Portals live no longer than their transaction.
            self.portals.clear();
        }
        self.wire.send(&reply::ready(status));
    }
}
