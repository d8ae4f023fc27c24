//! The extended query protocol: Parse, Bind, Describe, Execute, Close. It must not know how rows or parameters are
//! encoded.

use std::sync::Arc;

use arrow::datatypes::DataType;
use bytes::Bytes;
use pgwire::messages::PgWireBackendMessage as Backend;
use pgwire::messages::data::{NoData, ParameterDescription};
use pgwire::messages::extendedquery::{BindComplete, CloseComplete, ParseComplete, PortalSuspended};
use pgwire::messages::response::{CommandComplete, EmptyQueryResponse};
use postgres_types::Type;
use thalweg_core::{SqlError, SqlState};

use super::decode::parameter;
use super::failure::{Failure, cancelled, violation};
use super::frontend::{Bind, Format, Target};
use super::portal::{Portal, PortalState, Prepared};
use super::rows::{Cursor, Step, complete, row_description};
use super::session::Conversation;
use super::types::{arrow_type, type_of};
use crate::backend::{Answer, Description, Session};

impl<S: Session> Conversation<'_, S> {
    /// Prepares a statement.
    pub(crate) async fn parse(&mut self, name: String, text: String, types: Vec<u32>) -> Result<(), Failure> {
        self.cancel.arm();
        self.measure(&text)?;
        if name.is_empty() {
            self.statements.remove("");
        } else if self.statements.contains_key(&name) {
            let message = format!("prepared statement \"{name}\" already exists");
            return Err(SqlError::new(SqlState::DUPLICATE_PREPARED_STATEMENT, message).into());
        }
        if self.statements.len() >= self.limits.max_prepared_statements {
            return Err(too_many("prepared statements", self.limits.max_prepared_statements).into());
        }
        self.make_room(text.len())?;
        let mut statements = self.session.parse(&text)?;
        if statements.len() > 1 {
            let message = "cannot insert multiple commands into a prepared statement";
            return Err(SqlError::new(SqlState::SYNTAX_ERROR, message).into());
        }
        let statement = statements.pop();
        let given: Vec<Option<DataType>> = types.iter().map(|oid| arrow_type(*oid)).collect();
        let description = match &statement {
            None => Description { parameters: Vec::new(), columns: None },
            Some(statement) => {
                let work = Box::pin(self.session.describe(statement, &given));
                self.wire.watch(&self.cancel, self.limits.cancel_patience, work).await.ok_or_else(cancelled)??
            }
        };
        let parameter_types = description.parameters.iter().enumerate().map(|(n, field)| {
            // The client sends what it has said it sends, even where the backend knows the type by another name.
            let named = types.get(n).and_then(|oid| Type::from_oid(*oid)).filter(|named| *named != Type::UNKNOWN);
            named.unwrap_or_else(|| type_of(field))
        });
        let parameter_types = parameter_types.collect();
        let bytes = text.len();
        self.statements.insert(name, Arc::new(Prepared { statement, description, bytes, parameter_types }));
        self.wire.send(&Backend::ParseComplete(ParseComplete::new()));
        Ok(())
    }

    /// Makes a portal.
    pub(crate) fn bind(&mut self, bind: Bind) -> Result<(), Failure> {
        let prepared = Arc::clone(self.prepared(&bind.statement)?);
        let wanted = prepared.description.parameters.len();
        if bind.parameters.len() != wanted {
            return Err(violation(format!(
                "bind message supplies {} parameters, but prepared statement \"{}\" requires {wanted}",
                bind.parameters.len(),
                bind.statement
            ))
            .into());
        }
        let columns = prepared.description.columns.as_ref().map_or(0, |columns| columns.fields().len());
        count_formats(&bind.parameter_formats, wanted, "parameter")?;
        count_formats(&bind.result_formats, columns, "result")?;
        if bind.portal.is_empty() {
            self.portals.remove("");
        } else if self.portals.contains_key(&bind.portal) {
            let message = format!("cursor \"{}\" already exists", bind.portal);
            return Err(SqlError::new(SqlState::DUPLICATE_CURSOR, message).into());
        }
        if self.portals.len() >= self.limits.max_portals {
            return Err(too_many("portals", self.limits.max_portals).into());
        }
        let bytes = bind.parameters.iter().flatten().map(Bytes::len).sum();
        self.make_room(bytes)?;
        let parameters = bind.parameters.iter().enumerate().map(|(n, value)| {
            let format = Format::of(&bind.parameter_formats, n);
            parameter(value.as_deref(), format, &prepared.parameter_types[n], &prepared.description.parameters[n])
                .map_err(|error| error.detail(format!("parameter ${}", n + 1)))
        });
        let parameters = parameters.collect::<Result<_, _>>()?;
        let portal = Portal { prepared, parameters, bytes, formats: bind.result_formats, state: PortalState::Ready };
        self.portals.insert(bind.portal, portal);
        self.wire.send(&Backend::BindComplete(BindComplete::new()));
        Ok(())
    }

    /// Tells the types of a statement or portal.
    pub(crate) fn describe(&mut self, target: Target) -> Result<(), Failure> {
        let (prepared, formats) = match &target {
            Target::Statement(name) => {
                let prepared = self.prepared(name)?;
                let types = prepared.parameter_types.iter().map(Type::oid).collect();
                let prepared = Arc::clone(prepared);
                self.wire.send(&Backend::ParameterDescription(ParameterDescription::new(types)));
                (prepared, Vec::new())
            }
            Target::Portal(name) => match (self.portals.get(name), self.session.cursor(name)) {
                (Some(portal), _) => (Arc::clone(&portal.prepared), portal.formats.clone()),
                // What DECLARE has made is a portal in PostgreSQL.
                (None, Some(columns)) => {
                    let described = row_description(&columns, &[])?;
                    self.wire.send(&described);
                    return Ok(());
                }
                (None, None) => return Err(no_portal(name).into()),
            },
        };
        let described = match &prepared.description.columns {
            Some(columns) => row_description(columns, &formats)?,
            None => Backend::NoData(NoData::new()),
        };
        self.wire.send(&described);
        Ok(())
    }

    /// Forgets a statement, and its portals with it, or a portal. It need not exist.
    pub(crate) fn close(&mut self, target: Target) -> Result<(), Failure> {
        match target {
            Target::Statement(name) => {
                if let Some(closed) = self.statements.remove(&name) {
                    self.portals.retain(|_, portal| !Arc::ptr_eq(&portal.prepared, &closed));
                }
            }
            Target::Portal(name) => {
                self.portals.remove(&name);
            }
        }
        self.wire.send(&Backend::CloseComplete(CloseComplete::new()));
        Ok(())
    }

    /// Runs a portal, or goes on with it, for up to `max_rows` rows; 0: all.
    pub(crate) async fn execute_portal(&mut self, name: String, max_rows: usize) -> Result<(), Failure> {
        self.cancel.arm();
        // Out of the table while it runs: an error drops it and its rows.
        let mut portal = self.portals.remove(&name).ok_or_else(|| no_portal(&name))?;
        let last = self.run_portal(&name, &mut portal, max_rows).await?;
        self.portals.insert(name, portal);
        self.tell();
        self.wire.send(&last);
        Ok(())
    }

    async fn run_portal(
        &mut self,
        name: &str,
        portal: &mut Portal<S::Statement>,
        max_rows: usize,
    ) -> Result<Backend, Failure> {
        if matches!(portal.state, PortalState::Ready) {
            let Some(statement) = &portal.prepared.statement else {
                return Ok(Backend::EmptyQueryResponse(EmptyQueryResponse::new()));
            };
            let answer = self.execute(statement, &portal.parameters).await?;
            portal.state = PortalState::Done;
            match answer {
                Answer::Rows { schema, rows, tag } => {
                    portal.prepared.check(&schema)?;
                    let cursor = Cursor::new(schema, rows, tag, portal.formats.clone());
                    portal.state = PortalState::Running(Box::new(cursor));
                }
                Answer::Done(tag) => return Ok(Backend::CommandComplete(CommandComplete::new(tag))),
                Answer::CopyIn { schema, layout } => return self.copy_in(schema, layout).await,
                Answer::CopyOut { schema, rows, layout } => return self.copy_out(schema, rows, layout).await,
            }
        }
        match &mut portal.state {
            PortalState::Running(cursor) => match cursor.send(self.wire, &self.cancel, max_rows).await? {
                Step::Suspended => Ok(Backend::PortalSuspended(PortalSuspended::new())),
                Step::Ended(last) => {
                    portal.state = PortalState::Exhausted { tag: cursor.tag() };
                    Ok(last)
                }
            },
            PortalState::Exhausted { tag } => Ok(complete(tag, 0)),
            PortalState::Ready | PortalState::Done => {
                let message = format!("portal \"{name}\" cannot be run");
                Err(SqlError::new(SqlState::NOT_IN_PREREQUISITE_STATE, message).into())
            }
        }
    }

    /// Refuses what would make the session hold too much.
    fn make_room(&self, bytes: usize) -> Result<(), SqlError> {
        let statements: usize = self.statements.values().map(|prepared| prepared.bytes).sum();
        let portals: usize = self.portals.values().map(|portal| portal.bytes).sum();
        if statements + portals + bytes <= self.limits.max_session_bytes {
            return Ok(());
        }
        Err(too_many("bytes of prepared statements and parameters", self.limits.max_session_bytes))
    }

    fn prepared(&self, name: &str) -> Result<&Arc<Prepared<S::Statement>>, SqlError> {
        self.statements.get(name).ok_or_else(|| {
            let message = match name {
                "" => "unnamed prepared statement does not exist".to_owned(),
                name => format!("prepared statement \"{name}\" does not exist"),
            };
            SqlError::new(SqlState::INVALID_STATEMENT_NAME, message)
        })
    }
}

fn no_portal(name: &str) -> SqlError {
    SqlError::new(SqlState::INVALID_CURSOR_NAME, format!("portal \"{name}\" does not exist"))
}

fn too_many(what: &str, limit: usize) -> SqlError {
    SqlError::new(SqlState::CONFIGURATION_LIMIT, format!("a session cannot have more than {limit} {what}"))
        .hint("Close those that are no longer needed.")
}

fn count_formats(formats: &[Format], values: usize, what: &str) -> Result<(), SqlError> {
    if formats.len() > 1 && formats.len() != values {
        let message = format!("bind message has {} {what} formats but {values} values", formats.len());
        return Err(violation(message));
    }
    Ok(())
}
