//! `Session`: one connection's statements, settings, cursors and transaction. It must not know protocols.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use futures_util::{StreamExt, stream};
use thalweg_core::{DeadLetter, SqlError, SqlState};
use thalweg_serve::backend::{
    Answer, Description, IngestError, IngestTarget, Ingested, Login, RowStream, Subscription, TransactionStatus,
};
use thalweg_sql::server::{
    Object, Objects, Oid, PointQuery, Privilege, Scope, Statement, StatementKind, User, ast, parse, placed,
};
use thalweg_sql::system::{SystemQuery, concerns};

use super::read::Pinned;
use super::settings::Settings;
use super::transaction::Transaction;
use super::users::Registered;
use super::{Server, audit, cursors, ddl, show, subscribe, system, transaction, users, writes};

/// Prepared statements (`PREPARE`) and cursors of a session at most.
const MAX_NAMED: usize = 10_000;

/// Planned look-ups that a session keeps at most.
const MAX_POINTS: usize = 256;

/// What a statement's look-up by key is, if it is one, in the catalog that it was planned for.
type Point = (Arc<Objects>, Arc<StatementKind>, Option<Arc<PointQuery>>);

/// One connection.
pub struct Session {
    pub(crate) server: Arc<Server>,
    pub(crate) login: Login,
    user: Oid,
    pub(crate) settings: Settings,
    pub(crate) transaction: Transaction,
    pub(crate) prepared: HashMap<String, (Statement, Vec<ast::DataType>)>,
    pub(crate) cursors: HashMap<String, transaction::Cursor>,
    pub(crate) followers: HashMap<String, cursors::Follower>,
    pub(crate) notices: Vec<SqlError>,
    /// Look-ups that were planned already, by their statement, for the catalog as it was then.
    points: HashMap<usize, Point>,
    pub(crate) copying: Option<writes::Copying>,
    pub(super) surface: audit::Surface,
    /// Its end is told by the audit log.
    pub(crate) logs_out: bool,
    /// A change of the catalog that has begun.
    pub(super) attempt: Option<audit::Attempt>,
    /// Of a statement of the catalog's log: the columns that its connector found when it was run first.
    pub(super) known_columns: Option<SchemaRef>,
    /// Rows were handed in: the next may come from another address of the same user.
    has_ingested: bool,
    _registered: Registered,
}

impl Session {
    pub(crate) fn new(server: Arc<Server>, login: Login, surface: audit::Surface) -> Result<Self, SqlError> {
        let objects = server.objects.load();
        let user = objects.user(&login.user).ok_or_else(|| users::refused(&login.user))?;
        let (user, superuser) = (user.oid, user.superuser);
        let mut settings = Settings::new(&login.user, superuser, server.database.query_memory_bytes());
        settings.start("statement_timeout", &server.config.statement_timeout.as_millis().to_string())?;
        for (name, value) in &login.settings {
            settings.start(name, value)?;
        }
        let registered = server.sessions.enter(&server, &login)?;
        Ok(Self {
            user,
            settings,
            transaction: Transaction::default(),
            prepared: HashMap::new(),
            cursors: HashMap::new(),
            followers: HashMap::new(),
            notices: Vec::new(),
            points: HashMap::new(),
            copying: None,
            surface,
            logs_out: false,
            attempt: None,
            known_columns: None,
            has_ingested: false,
            _registered: registered,
            login,
            server,
        })
    }

    pub(crate) fn objects(&self) -> Arc<Objects> {
        self.server.objects.load_full()
    }

    pub(crate) fn path(&self) -> Vec<String> {
        self.settings.path(&self.login.user)
    }

    /// Who the session is of: the role that logged in, not another that has taken its name.
    ///
    /// # Errors
    /// The role was dropped.
    pub(crate) fn user(&self, objects: &Objects) -> Result<User, SqlError> {
        let user = objects.user(&self.login.user).filter(|u| u.oid == self.user);
        user.cloned().ok_or_else(|| users::refused(&self.login.user))
    }

    pub(crate) fn notice(&mut self, message: impl Into<String>) {
        self.notices.push(SqlError::new(SqlState::SUCCESS, message));
    }

    /// Calls `f` with what names mean now: for a query (`read`), or for the engine.
    pub(crate) fn scoped<T>(&self, read: Option<&Pinned>, f: impl FnOnce(&Scope<'_>) -> T) -> T {
        let (objects, path) = (self.objects(), self.path());
        let user = self.user(&objects).ok();
        let may_read = |object: &Object| user.as_ref().is_some_and(|u| objects.may_reach(u, object, Privilege::Select));
        let extra = show::System::new(self, &objects);
        f(&Scope {
            objects: &objects,
            path: &path,
            contents: read.map(|r| r as &dyn thalweg_sql::server::Contents),
            extra: &extra,
            may_read: &may_read,
        })
    }

    /// Whether statements may write: as the transaction says, or else as the session does.
    pub(crate) fn is_read_only(&self) -> bool {
        self.transaction.read_only().unwrap_or_else(|| self.settings.is_on("default_transaction_read_only"))
    }

    /// Bytes of memory that a query of this session may use.
    pub(crate) fn query_memory_bytes(&self) -> usize {
        let set = self.settings.bytes("query_memory_limit");
        set.unwrap_or_else(|| self.server.database.query_memory_bytes())
    }

    /// What a query reads: the transaction's epoch, or the newest.
    pub(crate) fn pinned(&mut self) -> Arc<Pinned> {
        match self.transaction.pinned() {
            Some(pinned) => Arc::clone(pinned),
            None => {
                let pinned = Arc::new(Pinned::now(&self.server));
                self.transaction.pin(&pinned);
                pinned
            }
        }
    }

    pub(super) async fn run(&mut self, statement: &Statement, values: &[ArrayRef]) -> Result<Answer, SqlError> {
        match statement.kind.as_ref() {
            StatementKind::Query(query) => match self.point(statement, query, values)? {
                Some(answer) => Ok(answer),
                None => self.query(query, values, "SELECT").await,
            },
            StatementKind::CreateTable(_)
            | StatementKind::CreateSource(_)
            | StatementKind::CreateView(_)
            | StatementKind::CreateSink(_)
            | StatementKind::CreateSecret { .. }
            | StatementKind::AlterSecret { .. }
            | StatementKind::CreateConnection { .. }
            | StatementKind::CreateRole { .. }
            | StatementKind::AlterRole { .. }
            | StatementKind::Alert(_)
            | StatementKind::CreateDashboard(_)
            | StatementKind::Drop { .. }
            | StatementKind::Alter { .. } => ddl::run(self, statement).await.map(Answer::Done),
            StatementKind::Copy { side, direction, options } => writes::copy(self, side, *direction, options).await,
            StatementKind::Explain { analyze, of } => show::explain(self, *analyze, of).await,
            StatementKind::Show { what, schema, of, like } => {
                show::show(self, what, schema.as_deref(), of.as_ref(), like.as_deref())
            }
            StatementKind::ShowCreate(name) => show::show_create(self, name),
            StatementKind::Describe(name) => show::describe(self, name),
            StatementKind::Flush => {
                let pending = self.transaction.take_implicit();
                writes::commit(self, pending).await?;
                if self.transaction.has_pending() {
                    self.notice("the writes of this transaction are held back until COMMIT; FLUSH after it");
                }
                writes::flush(&self.server).await;
                Ok(Answer::Done("FLUSH".to_owned()))
            }
            // It is always fresh.
            StatementKind::Refresh(name) => {
                self.objects().expect(name, &self.path())?;
                Ok(Answer::Done("REFRESH MATERIALIZED VIEW".to_owned()))
            }
            StatementKind::Replay { of, selection } => writes::replay(self, of, selection.as_ref()).await,
            StatementKind::Wait => {
                ddl::wait(&self.server).await;
                Ok(Answer::Done("WAIT".to_owned()))
            }
            StatementKind::Cancel(jobs) => {
                self.attempt(statement)?;
                show::cancel_jobs(self, jobs).await
            }
            StatementKind::Subscribe(query) => subscribe::rows(self, query).await,
            StatementKind::Subscription(of) => cursors::run(self, statement, of).await,
            StatementKind::Move { name, direction } => transaction::skip(self, name, direction).await,
            StatementKind::Sql(sql) => self.sql(statement, sql, values).await,
        }
    }

    async fn sql(
        &mut self,
        statement: &Statement,
        sql: &ast::Statement,
        values: &[ArrayRef],
    ) -> Result<Answer, SqlError> {
        use ast::Statement as Sql;
        match sql {
            Sql::Insert(_) | Sql::Update(_) | Sql::Delete(_) => writes::run(self, sql, values).await,
            Sql::Truncate(truncate) => writes::truncate(self, truncate).await,
            Sql::StartTransaction { .. }
            | Sql::Commit { .. }
            | Sql::Rollback { .. }
            | Sql::Savepoint { .. }
            | Sql::ReleaseSavepoint { .. }
            | Sql::Declare { .. }
            | Sql::Fetch { .. }
            | Sql::Close { .. } => transaction::run(self, sql, values).await,
            Sql::Prepare { name, statement: inner, data_types } => {
                let name = name.value.clone();
                if self.prepared.contains_key(&name) {
                    let message = format!("prepared statement \"{name}\" already exists");
                    return Err(SqlError::new(SqlState::DUPLICATE_PREPARED_STATEMENT, message));
                }
                full(self.prepared.len())?;
                let mut parsed = parse(&inner.to_string())?;
                self.prepared.extend(parsed.pop().map(|s| (name, (s, data_types.clone()))));
                Ok(Answer::Done("PREPARE".to_owned()))
            }
            Sql::Execute { name: Some(name), parameters, .. } => self.execute_prepared(name, parameters).await,
            Sql::Deallocate { name, .. } => {
                if name.value.eq_ignore_ascii_case("all") {
                    self.prepared.clear();
                } else if self.prepared.remove(&name.value).is_none() {
                    let message = format!("prepared statement \"{}\" does not exist", name.value);
                    return Err(SqlError::new(SqlState::INVALID_STATEMENT_NAME, message));
                }
                Ok(Answer::Done("DEALLOCATE".to_owned()))
            }
            Sql::Discard { .. } => {
                self.prepared.clear();
                self.cursors.clear();
                self.followers.clear();
                self.settings.reset_all();
                Ok(Answer::Done("DISCARD ALL".to_owned()))
            }
            Sql::Set(set) => show::set(self, set),
            Sql::Reset(reset) => show::reset(self, reset),
            _ => ddl::run(self, statement).await.map(Answer::Done),
        }
    }

    async fn execute_prepared(&mut self, name: &ast::ObjectName, parameters: &[ast::Expr]) -> Result<Answer, SqlError> {
        let name = thalweg_sql::server::ObjectName::of(name).name;
        let Some((statement, types)) = self.prepared.get(&name).cloned() else {
            let message = format!("prepared statement \"{name}\" does not exist");
            return Err(SqlError::new(SqlState::INVALID_STATEMENT_NAME, message));
        };
        let values = parameters.iter().map(|p| {
            let text = match p {
                ast::Expr::Value(v) => match &v.value {
                    ast::Value::Null => None,
                    ast::Value::SingleQuotedString(text) => Some(text.clone()),
                    other => Some(other.to_string()),
                },
                other => Some(other.to_string()),
            };
            Arc::new(arrow::array::StringArray::from(vec![text])) as ArrayRef
        });
        let values = thalweg_sql::server::typed_values(&types, values.collect())?;
        Box::pin(self.run(&statement, &values)).await
    }

    /// Does what the `set_config('name', 'value', …)` of a query ask; the query itself only shows the value.
    fn set_configs(&mut self, query: &ast::Query) -> Result<(), SqlError> {
        let mut wanted = Vec::new();
        let _ = ast::visit_expressions(query, |e| {
            if let ast::Expr::Function(call) = e
                && call.name.0.last().is_some_and(|n| n.to_string().eq_ignore_ascii_case("set_config"))
                && let ast::FunctionArguments::List(list) = &call.args
            {
                let texts = list.args.iter().filter_map(|a| match a {
                    ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(ast::Expr::Value(v))) => {
                        v.value.clone().into_string()
                    }
                    _ => None,
                });
                wanted.push(texts.collect::<Vec<_>>());
            }
            std::ops::ControlFlow::<()>::Continue(())
        });
        for texts in wanted {
            if let [name, value] = &texts[..] {
                show::set_named(self, name, value)?;
            }
        }
        Ok(())
    }

    /// Answers a look-up by key without planning it again.
    fn point(
        &mut self,
        statement: &Statement,
        query: &ast::Query,
        values: &[ArrayRef],
    ) -> Result<Option<Answer>, SqlError> {
        if values.is_empty() || self.transaction.status() != TransactionStatus::Idle {
            return Ok(None);
        }
        let objects = self.server.objects.load_full();
        let place = Arc::as_ptr(&statement.kind) as usize;
        let known = self
            .points
            .get(&place)
            .filter(|(of, kind, _)| Arc::ptr_eq(of, &objects) && Arc::ptr_eq(kind, &statement.kind));
        let point = match known {
            Some((_, _, point)) => point.clone(),
            None => {
                let point = self.planned_point(query, values);
                if self.points.len() >= MAX_POINTS {
                    self.points.clear();
                }
                // The statement is held, so that its place is not another's.
                self.points.insert(place, (objects, Arc::clone(&statement.kind), point.clone()));
                point
            }
        };
        let Some(point) = point else { return Ok(None) };
        let Some(parts) = Pinned::one(&self.server, point.object)? else { return Ok(None) };
        let Some(rows) = point.rows(&parts, values)? else { return Ok(None) };
        let schema = Arc::clone(&point.schema);
        Ok(Some(Answer::Rows { schema, rows: Box::pin(stream::iter([Ok(rows)])), tag: "SELECT" }))
    }

    fn planned_point(&self, query: &ast::Query, values: &[ArrayRef]) -> Option<Arc<PointQuery>> {
        if concerns(query) {
            return None;
        }
        let pinned = Pinned::now(&self.server);
        let given: Vec<Option<DataType>> = values.iter().map(typed).collect();
        let planned = self.scoped(Some(&pinned), |scope| self.server.database.query(scope, query, &given)).ok()?;
        self.server.database.point(&planned).map(Arc::new)
    }

    /// Runs a query over what is readable.
    pub(crate) async fn query(
        &mut self,
        query: &ast::Query,
        values: &[ArrayRef],
        tag: &'static str,
    ) -> Result<Answer, SqlError> {
        self.set_configs(query)?;
        if let Some(seconds) = sleeps(query) {
            tokio::time::sleep(seconds).await;
            return show::table(&["pg_sleep"], vec![vec![Some(String::new())]], tag);
        }
        if concerns(query) {
            return self.system_query(query, values, tag).await;
        }
        let pinned = self.pinned();
        let given: Vec<Option<DataType>> = values.iter().map(typed).collect();
        let planned = self.scoped(Some(&pinned), |scope| self.server.database.query(scope, query, &given));
        let mut planned = match planned {
            // What reads nothing may ask the system by its functions.
            Err(error) if system::catalog(self).answers(query) => {
                return self.system_query(query, values, tag).await.map_err(|_| error);
            }
            other => other?,
        };
        if planned.by_engine {
            return subscribe::answered(self, query, tag).await;
        }
        planned.memory_bytes = self.query_memory_bytes();
        let (server, schema, values) = (Arc::clone(&self.server), Arc::clone(&planned.schema), values.to_vec());
        let rows = self.server.pool.rows(async move {
            let rows = server.database.run(&planned, &values, server.now()).await?;
            // The pin lives as long as rows are read.
            Ok(Box::pin(rows.inspect(move |_| drop(Arc::clone(&pinned)))) as RowStream)
        });
        Ok(Answer::Rows { schema, rows, tag })
    }

    /// A query about the system.
    async fn system_query(
        &mut self,
        query: &ast::Query,
        values: &[ArrayRef],
        tag: &'static str,
    ) -> Result<Answer, SqlError> {
        let pinned = self.pinned();
        let planned = self.system_plan(query, &pinned)?;
        let parameters = planned.parameters()?;
        let values = thalweg_sql::server::scalars(&parameters, values)?;
        let schema = planned.schema();
        let rows = self.server.pool.rows(async move {
            let batches = planned.rows(&values).await?;
            Ok(Box::pin(stream::iter(batches.into_iter().map(Ok))) as RowStream)
        });
        Ok(Answer::Rows { schema, rows, tag })
    }

    fn system_plan(&self, query: &ast::Query, pinned: &Pinned) -> Result<SystemQuery, SqlError> {
        let catalog = system::catalog(self);
        self.scoped(Some(pinned), |scope| catalog.plan(query, &|name| self.server.database.readable(scope, name)))
    }

    /// What a query takes and yields.
    pub(crate) async fn described_query(
        &mut self,
        query: &ast::Query,
        given: &[Option<DataType>],
    ) -> Result<Description, SqlError> {
        if sleeps(query).is_some() {
            let field = Field::new("pg_sleep", DataType::Utf8View, true);
            return Ok(Description { parameters: Vec::new(), columns: Some(Arc::new(Schema::new(vec![field]))) });
        }
        let pinned = self.pinned();
        let system = |session: &Self| {
            let planned = session.system_plan(query, &pinned)?;
            Ok(Description { parameters: planned.parameters()?, columns: Some(planned.schema()) })
        };
        if concerns(query) {
            return system(self);
        }
        let planned = match self.scoped(Some(&pinned), |scope| self.server.database.query(scope, query, given)) {
            Err(error) if system::catalog(self).answers(query) => return system(self).map_err(|_: SqlError| error),
            other => other?,
        };
        Ok(Description { parameters: planned.parameters, columns: Some(planned.schema) })
    }
}

/// How long a `SELECT pg_sleep(seconds)` sleeps.
fn sleeps(query: &ast::Query) -> Option<Duration> {
    let ast::SetExpr::Select(select) = query.body.as_ref() else { return None };
    let [ast::SelectItem::UnnamedExpr(ast::Expr::Function(call))] = &select.projection[..] else { return None };
    if !select.from.is_empty() || !call.name.0.last()?.to_string().eq_ignore_ascii_case("pg_sleep") {
        return None;
    }
    let ast::FunctionArguments::List(list) = &call.args else { return None };
    let [ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(seconds))] = &list.args[..] else { return None };
    Duration::try_from_secs_f64(seconds.to_string().parse().ok()?).ok()
}

/// The type of a value that the client sent in binary; text is yet to be told.
fn typed(value: &ArrayRef) -> Option<DataType> {
    (value.data_type() != &DataType::Utf8).then(|| value.data_type().clone())
}

pub(crate) fn full(count: usize) -> Result<(), SqlError> {
    if count < MAX_NAMED {
        return Ok(());
    }
    let message = format!("a session may have {MAX_NAMED} prepared statements and as many cursors");
    Err(SqlError::new(SqlState::CONFIGURATION_LIMIT, message).hint("DEALLOCATE or CLOSE those that are done."))
}

impl thalweg_serve::backend::Session for Session {
    type Statement = Statement;

    fn parse(&mut self, text: &str) -> Result<Vec<Statement>, SqlError> {
        parse(text)
    }

    async fn describe(&mut self, statement: &Statement, given: &[Option<DataType>]) -> Result<Description, SqlError> {
        let described = show::described(self, statement, given).await.map_err(|error| placed(error, statement));
        self.refusal(described, || audit::masked(statement))
    }

    async fn execute(&mut self, statement: &Statement, values: &[ArrayRef]) -> Result<Answer, SqlError> {
        // One that was broken off.
        self.attempt = None;
        let outcome = self.in_time(statement, values).await;
        match self.attempt.take() {
            Some(attempt) => attempt.end(&outcome).and(outcome),
            None => self.refusal(outcome, || audit::masked(statement)),
        }
    }

    async fn copy_rows(&mut self, rows: RecordBatch) -> Result<(), SqlError> {
        writes::copy_rows(self, rows)
    }

    async fn copy_done(&mut self) -> Result<u64, SqlError> {
        writes::copy_done(self).await
    }

    fn copy_fail(&mut self) {
        self.copying = None;
    }

    fn ingest_target(&mut self, relation: &str) -> Result<IngestTarget, SqlError> {
        let peer = self.login.peer.filter(|_| !std::mem::replace(&mut self.has_ingested, true));
        let target = writes::ingest_target(self, relation);
        self.denial(target, relation, peer)
    }

    async fn ingest(
        &mut self,
        target: &IngestTarget,
        rows: Vec<RecordBatch>,
        dead: Vec<DeadLetter>,
    ) -> Result<Ingested, IngestError> {
        writes::ingest(self, target, rows, dead).await
    }

    async fn subscribe(&mut self, query: &str, after: Option<u64>) -> Result<Subscription, SqlError> {
        let subscription = subscribe::open(self, query, after).await;
        self.refusal(subscription, || audit::without_secrets(query))
    }

    fn begin_implicit(&mut self) {
        self.transaction.begin_implicit();
    }

    async fn commit_implicit(&mut self) -> Result<(), SqlError> {
        let pending = self.transaction.take_implicit();
        writes::commit(self, pending).await
    }

    fn cursor(&self, name: &str) -> Option<SchemaRef> {
        let follower = self.followers.get(name).map(|f| f.schema());
        self.cursors.get(name).map(|c| Arc::clone(&c.schema)).or(follower)
    }

    fn status(&self) -> TransactionStatus {
        self.transaction.status()
    }

    fn abort(&mut self) {
        self.transaction.fail();
    }

    fn sync(&mut self) {
        self.transaction.end_implicit();
    }

    fn parameter_changes(&mut self) -> Vec<(String, String)> {
        self.settings.take_unreported()
    }

    fn notices(&mut self) -> Vec<SqlError> {
        std::mem::take(&mut self.notices)
    }
}
