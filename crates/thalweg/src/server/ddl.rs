//! Statements that change the catalog: they plan, start or stop what runs, and are written to the catalog's log.
//! It must not know protocols.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use thalweg_core::{Error, SqlError, SqlState};
use thalweg_runtime::live::{Job, JobInput};
use thalweg_serve::backend::{CancelToken, Login, Surface};
use thalweg_sql::server::{
    AlterAction, Index, Kind, Object, ObjectClass, ObjectName, Objects, Oid, PUBLIC, Privilege, QUARANTINE, Schema,
    Statement, StatementKind, ast, masked, no_schema, parse, quoted,
};
use thalweg_store::Log;

use super::comments::{self, Comment};
use super::create::create;
use super::drops::{by_itself, drop_all, found, owned};
use super::roles::{alter_role, create_role, granted, no_role};
use super::secrets::{alter_secret, create_connection, create_secret};
use super::session::Session;
use super::{Server, shutting_down};

/// A statement in the catalog's log.
#[derive(Serialize, Deserialize)]
struct Record {
    user: String,
    path: Vec<String>,
    sql: String,
    /// The columns that a connector found for it, as an Arrow IPC stream without rows, in base64: the server starts also
    /// when they cannot be found again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    columns: Option<String>,
    /// Instead of a statement: what cannot be computed again is held by every checkpoint from one on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    held: Option<Held>,
}

/// See [`Record::held`].
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Held {
    oid: u32,
    epoch: u64,
}

impl Record {
    /// A statement of the superuser.
    fn of_root(sql: String) -> Self {
        Self { user: "root".to_owned(), path: vec![PUBLIC.to_owned()], sql, columns: None, held: None }
    }

    fn known_columns(&self) -> Result<Option<SchemaRef>, SqlError> {
        let Some(text) = &self.columns else { return Ok(None) };
        let bytes = STANDARD.decode(text).map_err(|e| Error::Data(e.to_string()))?;
        let reader = StreamReader::try_new(bytes.as_slice(), None).map_err(Error::from)?;
        Ok(Some(reader.schema()))
    }
}

fn column_text(columns: &SchemaRef) -> Result<String, SqlError> {
    let mut bytes = Vec::new();
    StreamWriter::try_new(&mut bytes, columns).and_then(|mut w| w.finish()).map_err(Error::from)?;
    Ok(STANDARD.encode(bytes))
}

/// Runs a statement that changes the catalog; its command tag.
pub(crate) async fn run(session: &mut Session, statement: &Statement) -> Result<String, SqlError> {
    let server = Arc::clone(&session.server);
    session.attempt(statement)?;
    let mut log = server.catalog.lock().await;
    if server.is_stopping() {
        return Err(shutting_down());
    }
    let (made, objects) = apply(session, statement)?;
    if let Some(log) = log.as_mut().filter(|_| made.changed) {
        thalweg_core::failpoint!("ddl.applied");
        let sql = made.logged.clone().unwrap_or_else(|| statement.text.to_string());
        let columns = made.found_columns.as_ref().map(column_text).transpose();
        let record =
            |columns| Record { user: session.login.user.clone(), path: session.path(), sql, columns, held: None };
        if let Err(error) = columns.and_then(|columns| written(log, &record(columns))) {
            // It has not happened: what was started for it stops.
            made.started.iter().for_each(|oid| stop(&server, *oid));
            return Err(error);
        }
    }
    thalweg_core::failpoint!("ddl.logged");
    take_effect(&server, &made, objects);
    drop(log);
    thalweg_core::failpoint!("ddl.effective");
    if let Some(oid) = made.awaited {
        await_made(session, oid).await?;
    }
    Ok(made.tag)
}

/// Writes a statement to the catalog's log; it is durable when this returns.
fn written(log: &mut Log, record: &Record) -> Result<(), SqlError> {
    let text = serde_json::to_vec(record).map_err(|e| Error::Internal(e.to_string()))?;
    Ok(log.write(&text)?)
}

/// The catalog is as the statement says, and what it dropped ends.
fn take_effect(server: &Server, made: &Made, objects: Objects) {
    if made.changed {
        server.objects.store(Arc::new(objects));
    }
    made.doomed.iter().for_each(|oid| stop(server, *oid));
}

/// Ends what runs for an object, and forgets its rows.
pub(super) fn stop(server: &Server, oid: Oid) {
    if let Some(running) = server.running.write().unwrap_or_else(PoisonError::into_inner).remove(&oid) {
        server.engine.remove(&running.job);
    }
    server.indexes.remove(oid);
    server.deliveries.end(oid);
    thalweg_core::failpoint!("ddl.ended");
    server.intake.delete(oid);
}

/// What a statement asks for. It takes effect when the log has it.
pub(super) struct Made {
    pub tag: String,
    pub changed: bool,
    /// What runs for it already.
    pub started: Vec<Oid>,
    /// What is to end.
    pub doomed: Vec<Oid>,
    /// A view that takes in what stood before it.
    pub awaited: Option<Oid>,
    /// The columns that a connector found.
    pub found_columns: Option<SchemaRef>,
    /// What the log is to say instead of the statement's own text: no password in clear.
    pub logged: Option<String>,
}

impl Made {
    pub fn new(tag: impl Into<String>) -> Self {
        Self {
            tag: tag.into(),
            changed: true,
            started: Vec::new(),
            doomed: Vec::new(),
            awaited: None,
            found_columns: None,
            logged: None,
        }
    }

    pub fn unchanged(tag: impl Into<String>) -> Self {
        Self { changed: false, ..Self::new(tag) }
    }
}

/// Waits until a new view has caught up; one that fails is taken back.
async fn await_made(session: &mut Session, oid: Oid) -> Result<(), SqlError> {
    if session.settings.is_on("background_ddl") {
        return Ok(());
    }
    let server = Arc::clone(&session.server);
    if server.indexes.holds(oid) {
        return super::indexes::built(&server, oid).await;
    }
    let Some(running) = server.running(oid) else { return Ok(()) };
    let undo = Undo { server: &server, oid, armed: true };
    let outcome = server.ready(&running.job).await;
    match outcome {
        Err(error) if !server.is_stopping() => {
            drop(undo);
            Err(error)
        }
        other => {
            undo.disarm();
            other?;
            thalweg_core::failpoint!("ddl.caught_up");
            // Whoever is told that it is there finds it so after any crash, with just what it has seen.
            server.checkpointed().await?;
            note_held(&server, oid, &running.job).await
        }
    }
}

/// Writes down that checkpoints hold `job` now, if it reads what passes once: an older checkpoint is no way back for it.
async fn note_held(server: &Server, oid: Oid, job: &Job) -> Result<(), SqlError> {
    let passes = |input: &JobInput| matches!(input, JobInput::Relation(relation) if !relation.kept);
    let Some(keeper) = server.keeper.as_ref().filter(|_| job.spec.inputs.iter().any(passes)) else { return Ok(()) };
    let held = Held { oid: oid.0, epoch: keeper.kept().borrow().last.epoch };
    let mut log = server.catalog.lock().await;
    log.as_mut().map_or(Ok(()), |log| written(log, &Record { held: Some(held), ..Record::of_root(String::new()) }))
}

impl Held {
    /// Sees that the checkpoint which is used holds it, unless it is gone.
    fn check(self, server: &Server) -> Result<(), SqlError> {
        let used = server.keeper.as_ref().map_or(0, |keeper| keeper.kept().borrow().last.epoch);
        let Some(running) = server.running(Oid(self.oid)).filter(|_| used < self.epoch) else { return Ok(()) };
        let why = server.keeper.as_ref().and_then(|keeper| keeper.damaged()).unwrap_or("a manifest is missing");
        let message = format!(
            "checkpoints: {why}; the newest that is whole is of epoch {used}, and {} is held from epoch {} on: what it \
             was made of has passed",
            running.job.spec.name, self.epoch
        );
        Err(Error::invalid_with_hint(message, "Put the folder of checkpoints back from a copy.").into())
    }
}

/// Takes a view back when its maker fails, is cancelled or goes away before it has caught up.
struct Undo<'a> {
    server: &'a Arc<Server>,
    oid: Oid,
    armed: bool,
}

impl Undo<'_> {
    fn disarm(mut self) {
        self.armed = false;
    }
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        if self.armed {
            let (server, oid) = (Arc::clone(self.server), self.oid);
            let pool = Arc::clone(self.server);
            pool.pool.spawn(async move { take_back(&server, oid).await });
        }
    }
}

/// Drops an object that was not finished, and says so in the log.
pub(crate) async fn take_back(server: &Arc<Server>, oid: Oid) {
    let mut log = server.catalog.lock().await;
    let mut objects = server.objects.load().as_ref().clone();
    let Some(object) = objects.get(oid).cloned() else { return };
    let mut made = Made::new("DROP");
    made.doomed = objects.dependents(oid).iter().map(|d| d.oid).chain([oid]).collect();
    made.doomed.iter().for_each(|oid| drop(objects.remove(*oid)));
    if let Some(log) = log.as_mut() {
        let sql = format!("DROP {} IF EXISTS {} CASCADE", object.class(), object.full_name());
        if let Err(error) = written(log, &Record::of_root(sql)) {
            tracing::error!(%error, "the catalog's log could not be written");
        }
    }
    take_effect(server, &made, objects);
}

/// Waits until nothing is being made any more.
pub(crate) async fn wait(server: &Server) {
    server.wait_until(|| server.works().is_made()).await;
}

/// Runs the statements of the catalog's log.
pub(super) async fn replay(server: &Arc<Server>, records: Vec<Vec<u8>>) -> Result<(), SqlError> {
    let mut held: Vec<Held> = Vec::new();
    for record in records {
        let damaged = |what: String| SqlError::from(Error::invalid(format!("catalog.log: {what}")));
        let record: Record = serde_json::from_slice(&record).map_err(|e| damaged(e.to_string()))?;
        if let Some(one) = record.held {
            held.push(one);
            continue;
        }
        let known_columns = record.known_columns()?;
        let login = Login {
            user: record.user,
            database: "dev".to_owned(),
            settings: Vec::new(),
            peer: None,
            surface: Surface::Postgres,
            process_id: 0,
            cancel: CancelToken::default(),
        };
        let mut session = Session::new(Arc::clone(server), login, super::audit::Surface::Embedded)?;
        let path: Vec<String> = record.path.iter().map(|s| quoted(s)).collect();
        session.settings.set("search_path", &path.join(", "))?;
        session.known_columns = known_columns;
        for statement in parse(&record.sql)? {
            match apply(&mut session, &statement) {
                Ok((made, objects)) => take_effect(server, &made, objects),
                Err(error) => return Err(damaged(format!("cannot redo \"{}\": {error}", masked(&record.sql)))),
            }
        }
    }
    held.iter().try_for_each(|held| held.check(server))
}

/// The catalog as the statement says. What it makes runs already, what it drops still does. Called under the catalog's
/// lock.
fn apply(session: &mut Session, statement: &Statement) -> Result<(Made, Objects), SqlError> {
    let server = Arc::clone(&session.server);
    let mut objects = server.objects.load().as_ref().clone();
    let made = match statement.kind.as_ref() {
        StatementKind::CreateTable(_)
        | StatementKind::CreateSource(_)
        | StatementKind::CreateView(_)
        | StatementKind::CreateSink(_) => create(session, &mut objects, statement)?,
        StatementKind::Drop { class, if_exists, names, cascade } => {
            drop_all(session, &mut objects, *class, *if_exists, names, *cascade)?
        }
        StatementKind::Alter { class, if_exists, name, action } => {
            alter(session, &mut objects, *class, *if_exists, name, action)?
        }
        StatementKind::CreateRole { name, if_not_exists, options } => {
            create_role(session, &mut objects, name, *if_not_exists, options)?
        }
        StatementKind::AlterRole { name, options } => alter_role(session, &mut objects, name, options)?,
        StatementKind::CreateSecret { name, if_not_exists, value } => {
            create_secret(session, &mut objects, name, *if_not_exists, value)?
        }
        StatementKind::AlterSecret { name, value } => alter_secret(session, &mut objects, name, value)?,
        StatementKind::CreateConnection { name, if_not_exists, options } => {
            create_connection(session, &mut objects, statement, name, *if_not_exists, options)?
        }
        StatementKind::Alert(of) => super::alerts::run(session, &mut objects, statement, of)?,
        StatementKind::CreateDashboard(of) => super::dashboards::create(session, &mut objects, statement, of)?,
        StatementKind::Subscription(of) => super::cursors::create(session, &mut objects, statement, of)?,
        StatementKind::Sql(sql) => sql_statement(session, &mut objects, sql)?,
        _ => return Err(SqlError::new(SqlState::INTERNAL_ERROR, "not a statement of the catalog")),
    };
    Ok((made, objects))
}

/// The schema that something new goes into.
pub(super) fn home(session: &Session, objects: &Objects, name: &ObjectName) -> Result<String, SqlError> {
    let schema = match &name.schema {
        Some(schema) => objects.schema(schema).ok_or_else(|| no_schema(schema))?,
        None => {
            let path = session.path();
            let found = path.iter().find_map(|s| objects.schema(s));
            found.ok_or_else(|| {
                SqlError::new(SqlState::INVALID_SCHEMA_NAME, "no schema has been selected to create in")
            })?
        }
    };
    if !objects.may(&session.user(objects)?, schema.oid, Privilege::Create) {
        let message = format!("permission denied for schema {}", quoted(&schema.name));
        return Err(SqlError::new(SqlState::INSUFFICIENT_PRIVILEGE, message));
    }
    Ok(schema.name.clone())
}

/// An object that reads nothing and is read by nothing yet, of the session's user.
pub(super) fn new_object(
    session: &Session,
    objects: &mut Objects,
    schema: String,
    name: &str,
    kind: Kind,
) -> Result<Object, SqlError> {
    Ok(Object {
        owner: session.user(objects)?.oid,
        oid: objects.number(),
        schema,
        name: name.to_owned(),
        kind,
        sql: String::new(),
        query: None,
        columns: Arc::new(arrow::datatypes::Schema::empty()),
        depends: BTreeSet::new(),
        comment: None,
        column_comments: BTreeMap::new(),
        part_of: None,
    })
}

pub(super) fn class_of(object: &Object) -> ObjectClass {
    match &object.kind {
        Kind::Table(_) => ObjectClass::Table,
        Kind::Source(_) => ObjectClass::Source,
        Kind::View => ObjectClass::View,
        Kind::MaterializedView(_) => ObjectClass::MaterializedView,
        Kind::Sink => ObjectClass::Sink,
        Kind::Index(_) => ObjectClass::Index,
        Kind::Secret(_) => ObjectClass::Secret,
        Kind::Connection(_) => ObjectClass::Connection,
        Kind::Subscription(_) => ObjectClass::Subscription,
        Kind::Alert(_) => ObjectClass::Alert,
        Kind::Dashboard(_) => ObjectClass::Dashboard,
    }
}

pub(super) fn tag_of(class: ObjectClass) -> &'static str {
    match class {
        ObjectClass::Table => "TABLE",
        ObjectClass::Source => "SOURCE",
        ObjectClass::View => "VIEW",
        ObjectClass::MaterializedView => "MATERIALIZED VIEW",
        ObjectClass::Sink => "SINK",
        ObjectClass::Index => "INDEX",
        ObjectClass::Secret => "SECRET",
        ObjectClass::Connection => "CONNECTION",
        ObjectClass::Subscription => "SUBSCRIPTION",
        ObjectClass::Alert => "ALERT",
        ObjectClass::Dashboard => "DASHBOARD",
        ObjectClass::Schema => "SCHEMA",
        ObjectClass::Database => "DATABASE",
        ObjectClass::User => "ROLE",
        ObjectClass::Column => "COLUMN",
    }
}

fn alter(
    session: &mut Session,
    objects: &mut Objects,
    class: ObjectClass,
    if_exists: bool,
    name: &ObjectName,
    action: &AlterAction,
) -> Result<Made, SqlError> {
    let tag = format!("ALTER {}", tag_of(class));
    // ALTER TABLE takes any relation, as in PostgreSQL.
    let Some(object) = found(session, objects, class, name, if_exists, true)? else { return Ok(Made::unchanged(tag)) };
    owned(session, objects, &object)?;
    by_itself(objects, &object, "alter")?;
    let mut changed = object.as_ref().clone();
    match action {
        AlterAction::Rename(to) => changed.name.clone_from(to),
        AlterAction::SetSchema(to) => {
            changed.schema = home(session, objects, &ObjectName { schema: Some(to.clone()), name: String::new() })?;
        }
        AlterAction::Owner(to) => {
            let to = objects.user(to).ok_or_else(|| no_role(to))?;
            if !objects.owns(&session.user(objects)?, to.oid) {
                let message = format!("must be member of role \"{}\"", to.name);
                return Err(SqlError::new(SqlState::INSUFFICIENT_PRIVILEGE, message));
            }
            changed.owner = to.oid;
        }
    }
    let parts: Vec<Arc<Object>> = objects.all().filter(|o| o.part_of == Some(object.oid)).cloned().collect();
    for part in parts {
        // Its own part of the name stays behind the whole's.
        let suffix = part.name.strip_prefix(object.name.as_str()).unwrap_or(QUARANTINE);
        let changed = Object {
            schema: changed.schema.clone(),
            name: format!("{}{suffix}", changed.name),
            owner: changed.owner,
            ..part.as_ref().clone()
        };
        replace(objects, &part, changed)?;
    }
    replace(objects, &object, changed)?;
    Ok(Made::new(tag))
}

/// Puts `changed` in the place of `object`. Views name what they read: their text goes along.
fn replace(objects: &mut Objects, object: &Object, changed: Object) -> Result<(), SqlError> {
    let new = ObjectName { schema: Some(changed.schema.clone()), name: changed.name.clone() };
    let dependents: Vec<Arc<Object>> = objects.dependents(object.oid);
    objects.put(changed)?;
    for dependent in dependents.iter().filter(|d| d.depends.contains(&object.oid)) {
        if let Some(query) = &dependent.query {
            let path = [dependent.schema.clone(), PUBLIC.to_owned()];
            let query = thalweg_sql::server::renamed_in(query, &path, object, &new)?;
            let mut dependent = dependent.as_ref().clone();
            dependent.query = Some(query);
            objects.put(dependent)?;
        }
    }
    Ok(())
}

fn sql_statement(session: &mut Session, objects: &mut Objects, sql: &ast::Statement) -> Result<Made, SqlError> {
    use ast::Statement as Sql;
    match sql {
        Sql::CreateSchema { schema_name, if_not_exists, .. } => {
            let name = match schema_name {
                ast::SchemaName::Simple(name) | ast::SchemaName::NamedAuthorization(name, _) => {
                    ObjectName::of(name).name
                }
                ast::SchemaName::UnnamedAuthorization(who) => who.value.clone(),
            };
            let mut owner = session.user(objects)?;
            if !owner.superuser && !owner.create_db {
                return Err(SqlError::new(SqlState::INSUFFICIENT_PRIVILEGE, "permission denied to create schemas"));
            }
            if name.starts_with("pg_")
                || ["information_schema", "thalweg_catalog", "rw_catalog"].contains(&name.as_str())
            {
                let message = format!("unacceptable schema name \"{name}\"");
                return Err(SqlError::new(SqlState("42939"), message).detail("The name is the system's."));
            }
            if objects.schema(&name).is_some() {
                if *if_not_exists {
                    session.notice(format!("schema \"{name}\" already exists, skipping"));
                    return Ok(Made::unchanged("CREATE SCHEMA"));
                }
                return Err(SqlError::new(SqlState::DUPLICATE_SCHEMA, format!("schema \"{name}\" already exists")));
            }
            if let ast::SchemaName::NamedAuthorization(_, who) | ast::SchemaName::UnnamedAuthorization(who) =
                schema_name
            {
                let who = ObjectName::of(&who.clone().into()).name;
                let named = objects.user(&who).ok_or_else(|| no_role(&who))?;
                if !objects.owns(&owner, named.oid) {
                    let message = format!("must be member of role \"{who}\"");
                    return Err(SqlError::new(SqlState::INSUFFICIENT_PRIVILEGE, message));
                }
                owner = named.clone();
            }
            let oid = objects.number();
            objects.put_schema(Schema { oid, name, owner: owner.oid });
            Ok(Made::new("CREATE SCHEMA"))
        }
        Sql::CreateIndex(index) => create_index(session, objects, index),
        Sql::Grant(grant) => {
            granted(session, objects, &grant.privileges, grant.objects.as_ref(), &grant.grantees, true)
        }
        Sql::Revoke(revoke) => {
            granted(session, objects, &revoke.privileges, revoke.objects.as_ref(), &revoke.grantees, false)
        }
        Sql::Comment { object_type, object_name, comment, if_exists, .. } => {
            let on = Comment { of: *object_type, name: object_name, text: comment.clone(), if_exists: *if_exists };
            comments::comment(session, objects, on)
        }
        other => {
            let word = other.to_string();
            let word: Vec<&str> = word.split_whitespace().take(2).collect();
            Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, format!("{} is not supported", word.join(" "))))
        }
    }
}

fn create_index(session: &mut Session, objects: &mut Objects, index: &ast::CreateIndex) -> Result<Made, SqlError> {
    let path = session.path();
    let on = Arc::clone(objects.expect(&ObjectName::of(&index.table_name), &path)?);
    owned(session, objects, &on)?;
    if !on.is_readable() {
        let message = format!("cannot create index on {} {}", on.class(), on.name);
        return Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message));
    }
    let columns = index.columns.iter().map(|c| {
        let name = match &c.column.expr {
            ast::Expr::Identifier(i) => ObjectName::of(&i.clone().into()).name,
            other => {
                let message = format!("an index on the expression {other}");
                return Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, message).hint("Index plain columns."));
            }
        };
        let unknown = || SqlError::new(SqlState::UNDEFINED_COLUMN, format!("column \"{name}\" does not exist"));
        on.columns.index_of(&name).map_err(|_| unknown())
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let name = match &index.name {
        Some(name) => ObjectName::of(name).name,
        None => {
            let parts: Vec<&str> = columns.iter().map(|c| on.columns.field(*c).name().as_str()).collect();
            format!("{}_{}_idx", on.name, parts.join("_"))
        }
    };
    let full = ObjectName { schema: Some(on.schema.clone()), name: name.clone() };
    if objects.find(&full, &[]).is_some() {
        if index.if_not_exists {
            session.notice(format!("relation \"{name}\" already exists, skipping"));
            return Ok(Made::unchanged("CREATE INDEX"));
        }
        return Err(SqlError::new(SqlState::DUPLICATE_TABLE, format!("relation \"{name}\" already exists")));
    }
    super::indexes::may_be_unique(index.unique, &on, &columns)?;
    let oid = objects.number();
    super::indexes::start(&session.server, oid, on.oid, &columns)?;
    objects.put(Object {
        oid,
        schema: on.schema.clone(),
        name,
        owner: on.owner,
        kind: Kind::Index(Index { on: on.oid, columns: columns.clone(), unique: index.unique }),
        sql: index.to_string(),
        query: None,
        columns: Arc::new(on.columns.project(&columns).map_err(Error::from)?),
        depends: BTreeSet::from([on.oid]),
        comment: None,
        column_comments: BTreeMap::new(),
        part_of: None,
    })?;
    Ok(Made { awaited: Some(oid), ..Made::new("CREATE INDEX") })
}
