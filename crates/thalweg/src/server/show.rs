//! What a session is told about the server: SHOW, DESCRIBE, EXPLAIN, and what a statement yields before it runs.
//! It must not know protocols.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, StringViewArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use futures_util::{TryStreamExt, stream};
use thalweg_core::{SqlError, SqlState};
use thalweg_runtime::live::JobState;
use thalweg_serve::backend::{Answer, Description};
use thalweg_sql::server::{
    Extra, Kind, Object, ObjectName, Objects, Statement, StatementKind, SubscriptionStatement, ast, quoted,
};

use super::read::Pinned;
use super::session::Session;
use super::{ddl, writes};

/// Relations of the system that a plan for the engine may not read: none.
pub(crate) struct System;

impl System {
    pub fn new(_session: &Session, _objects: &Objects) -> Self {
        Self
    }
}

impl Extra for System {
    fn relation(&self, _schema: Option<&str>, _name: &str) -> Option<RecordBatch> {
        None
    }
}

/// Rows of text.
pub(crate) fn table(names: &[&str], rows: Vec<Vec<Option<String>>>, tag: &'static str) -> Result<Answer, SqlError> {
    let fields: Vec<Field> = names.iter().map(|n| Field::new(*n, DataType::Utf8View, true)).collect();
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    let column = |i: usize| Arc::new(rows.iter().map(|r| r[i].as_deref()).collect::<StringViewArray>()) as ArrayRef;
    let columns = (0..names.len()).map(column).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    let batch = RecordBatch::try_new_with_options(Arc::clone(&schema), columns, &options);
    let batch = batch.map_err(thalweg_core::Error::from)?;
    Ok(Answer::Rows { schema, rows: Box::pin(stream::iter([Ok(batch)])), tag })
}

fn cells<const N: usize>(cells: [&str; N]) -> Vec<Option<String>> {
    cells.iter().map(|c| Some((*c).to_owned())).collect()
}

/// `SHOW what`.
pub(crate) fn show(
    session: &Session,
    what: &str,
    schema: Option<&str>,
    of: Option<&ObjectName>,
    like: Option<&str>,
) -> Result<Answer, SqlError> {
    let objects = session.objects();
    let path = session.path();
    let listed = |wanted: &dyn Fn(&Object) -> bool| {
        let here = |o: &&Arc<Object>| schema.map_or_else(|| path.contains(&o.schema), |s| o.schema == s);
        let mut names: Vec<&str> = objects
            .all()
            .filter(|o| wanted(o))
            .filter(here)
            .map(|o| o.name.as_str())
            .filter(|n| matches(n, like))
            .collect();
        names.sort_unstable();
        table(&["Name"], names.into_iter().map(|n| cells([n])).collect(), "SHOW")
    };
    match what {
        "tables" => listed(&|o| matches!(o.kind, Kind::Table(_))),
        "sources" => listed(&|o| matches!(o.kind, Kind::Source(_))),
        "views" => listed(&|o| matches!(o.kind, Kind::View)),
        "materialized views" => listed(&|o| matches!(o.kind, Kind::MaterializedView(_))),
        "sinks" => listed(&|o| matches!(o.kind, Kind::Sink)),
        "alerts" => listed(&|o| matches!(o.kind, Kind::Alert(_))),
        "dashboards" => listed(&|o| matches!(o.kind, Kind::Dashboard(_))),
        "subscriptions" => listed(&|o| matches!(o.kind, Kind::Subscription(_))),
        "cursors" => {
            let mut names: Vec<&str> = session.cursors.keys().map(String::as_str).collect();
            names.sort_unstable();
            table(&["Name"], names.into_iter().map(|n| cells([n])).collect(), "SHOW")
        }
        "subscription cursors" => {
            let mut rows: Vec<_> = session.followers.iter().collect();
            rows.sort_unstable_by_key(|(name, _)| name.as_str());
            table(&["Name", "Subscription"], rows.into_iter().map(|(n, f)| cells([n, &f.of])).collect(), "SHOW")
        }
        "schemas" => {
            let names = objects.schemas().map(|s| s.name.as_str()).filter(|n| matches(n, like));
            table(&["Name"], names.map(|n| cells([n])).collect(), "SHOW")
        }
        "databases" => table(&["Name"], vec![cells(["dev"])], "SHOW"),
        "users" | "roles" => {
            let names = objects.users().map(|u| u.name.as_str()).filter(|n| matches(n, like));
            table(&["Name"], names.map(|n| cells([n])).collect(), "SHOW")
        }
        "columns" => match of {
            Some(name) => columns_of(session, name),
            None => Err(SqlError::new(SqlState::SYNTAX_ERROR, "SHOW COLUMNS FROM relation is expected")),
        },
        "indexes" | "index" => {
            let on = of.map(|name| objects.expect(name, &path).map(|o| o.oid)).transpose()?;
            let rows = objects.all().filter_map(|o| match &o.kind {
                Kind::Index(index) if on.is_none_or(|on| on == index.on) => {
                    let names: Vec<&str> = o.columns.fields().iter().map(|f| f.name().as_str()).collect();
                    let table = objects.get(index.on).map_or("", |t| t.name.as_str());
                    Some(cells([&o.name, table, &names.join(", ")]))
                }
                _ => None,
            });
            table(&["Name", "On", "Columns"], rows.collect(), "SHOW")
        }
        "jobs" => {
            let jobs = super::system::jobs(&session.server).into_iter();
            let rows = jobs.map(|job| vec![Some(job.number.to_string()), Some(job.name), Some(job.state), job.error]);
            table(&["Id", "Name", "State", "Error"], rows.collect(), "SHOW")
        }
        "processlist" => {
            let rows = session.server.sessions.list().into_iter().map(|c| {
                let peer = c.login.peer.map(|p| p.to_string());
                vec![Some(c.login.process_id.to_string()), Some(c.login.user), Some(c.login.database), peer]
            });
            table(&["Id", "User", "Database", "Host"], rows.collect(), "SHOW")
        }
        "all" | "parameters" => {
            let rows = session.settings.all().into_iter().filter(|(n, _)| matches(n, like));
            table(&["name", "setting", "description"], rows.map(|(n, v)| cells([&n, &v, ""])).collect(), "SHOW")
        }
        "secrets" => listed(&|o| matches!(o.kind, Kind::Secret(_))),
        "connections" => listed(&|o| matches!(o.kind, Kind::Connection(_))),
        "functions" | "cluster" | "internal tables" => table(&["Name"], Vec::new(), "SHOW"),
        setting => show_setting(session, setting),
    }
}

fn show_setting(session: &Session, setting: &str) -> Result<Answer, SqlError> {
    let name = match setting {
        "transaction isolation level" => "transaction_isolation",
        "time zone" => "timezone",
        other => other,
    };
    let value = match name {
        "transaction_read_only" => Some(if session.is_read_only() { "on" } else { "off" }.to_owned()),
        "transaction_isolation" => {
            let of_block = session.transaction.isolation().map(str::to_owned);
            of_block.or_else(|| session.settings.get("default_transaction_isolation"))
        }
        name => session.settings.get(name),
    };
    match value {
        Some(value) => {
            let shown = if name == "timezone" { "TimeZone" } else { name };
            table(&[shown], vec![cells([&value])], "SHOW")
        }
        None => {
            let message = format!("unrecognized configuration parameter \"{name}\"");
            Err(SqlError::new(SqlState::UNDEFINED_OBJECT, message).hint("SHOW ALL lists them."))
        }
    }
}

/// SQL's LIKE with `%` and `_`.
fn matches(name: &str, like: Option<&str>) -> bool {
    fn at(name: &[char], pattern: &[char]) -> bool {
        match pattern.split_first() {
            None => name.is_empty(),
            Some(('%', rest)) => (0..=name.len()).any(|skip| at(&name[skip..], rest)),
            Some(('_', rest)) => !name.is_empty() && at(&name[1..], rest),
            Some((c, rest)) => name.first() == Some(c) && at(&name[1..], rest),
        }
    }
    let chars = |s: &str| s.chars().collect::<Vec<_>>();
    like.is_none_or(|pattern| at(&chars(name), &chars(pattern)))
}

fn columns_of(session: &Session, name: &ObjectName) -> Result<Answer, SqlError> {
    let objects = session.objects();
    let object = objects.expect(name, &session.path())?;
    let key: &[usize] = match &object.kind {
        Kind::Table(table) => table.primary_key(),
        _ => &[],
    };
    let rows = object.columns.fields().iter().enumerate().map(|(i, field)| {
        let nullable = if field.is_nullable() { "YES" } else { "NO" };
        let part = if key.contains(&i) { "PRI" } else { "" };
        cells([field.name(), &thalweg_sql::server::type_name(field.data_type()), nullable, part])
    });
    table(&["Name", "Type", "Nullable", "Key"], rows.collect(), "SHOW")
}

pub(crate) fn describe(session: &Session, name: &ObjectName) -> Result<Answer, SqlError> {
    columns_of(session, name)
}

pub(crate) fn show_create(session: &Session, name: &ObjectName) -> Result<Answer, SqlError> {
    let objects = session.objects();
    let object = objects.expect(name, &session.path())?;
    table(&["Name", "Create Sql"], vec![cells([&object.full_name(), &object.sql])], "SHOW")
}

pub(crate) fn set(session: &mut Session, set: &ast::Set) -> Result<Answer, SqlError> {
    let one = |values: &[ast::Expr]| values.iter().map(word).collect::<Vec<_>>().join(", ");
    match set {
        ast::Set::SingleAssignment { variable, values, .. } => {
            set_named(session, &variable.to_string(), &one(values))?;
        }
        ast::Set::SetTimeZone { value, .. } => session.settings.set("timezone", &word(value))?,
        ast::Set::SetNames { charset_name, .. } => session.settings.set("client_encoding", &charset_name.value)?,
        ast::Set::SetNamesDefault {} => session.settings.reset("client_encoding"),
        // One level of isolation, and nothing that a transaction could defer.
        ast::Set::SetTransaction { modes, session: false, .. } => session.transaction.set(modes),
        ast::Set::SetTransaction { modes, .. } => {
            for mode in modes {
                let (name, value) = match mode {
                    ast::TransactionMode::AccessMode(ast::TransactionAccessMode::ReadOnly) => {
                        ("default_transaction_read_only", "on".to_owned())
                    }
                    ast::TransactionMode::AccessMode(_) => ("default_transaction_read_only", "off".to_owned()),
                    ast::TransactionMode::IsolationLevel(level) => {
                        ("default_transaction_isolation", level.to_string().to_lowercase())
                    }
                };
                session.settings.set(name, &value)?;
            }
        }
        ast::Set::SetRole { role_name, .. } => {
            let wanted = role_name.as_ref().map(|r| r.value.clone());
            if wanted.as_ref().is_some_and(|r| *r != session.login.user) {
                let message = "permission denied to set role";
                return Err(SqlError::new(SqlState::INSUFFICIENT_PRIVILEGE, message));
            }
        }
        ast::Set::SetSessionAuthorization(_) => {
            return Err(SqlError::new(
                SqlState::INSUFFICIENT_PRIVILEGE,
                "permission denied to set session authorization",
            ));
        }
        other => {
            return Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, format!("{other} is not supported")));
        }
    }
    Ok(Answer::Done("SET".to_owned()))
}

/// One setting, by name. Nobody becomes someone else.
pub(crate) fn set_named(session: &mut Session, name: &str, value: &str) -> Result<(), SqlError> {
    let name = name.to_lowercase();
    let is_default = value.eq_ignore_ascii_case("default");
    if matches!(name.as_str(), "role" | "session_authorization") {
        if value != session.login.user && value != "none" && !is_default {
            let message = format!("permission denied to set parameter \"{name}\"");
            return Err(SqlError::new(SqlState::INSUFFICIENT_PRIVILEGE, message));
        }
        return Ok(());
    }
    if is_default {
        session.settings.reset(&name);
        return Ok(());
    }
    session.settings.set(&name, value)
}

fn word(expr: &ast::Expr) -> String {
    match expr {
        ast::Expr::Value(value) => match &value.value {
            ast::Value::SingleQuotedString(text) | ast::Value::EscapedStringLiteral(text) => text.clone(),
            other => other.to_string(),
        },
        other => other.to_string(),
    }
}

pub(crate) fn reset(session: &mut Session, reset: &ast::ResetStatement) -> Result<Answer, SqlError> {
    match &reset.reset {
        ast::Reset::ALL => session.settings.reset_all(),
        ast::Reset::ConfigurationParameter(name) => session.settings.reset(&name.to_string()),
    }
    Ok(Answer::Done("RESET".to_owned()))
}

pub(crate) async fn explain(session: &mut Session, analyze: bool, of: &Statement) -> Result<Answer, SqlError> {
    let text = match of.kind.as_ref() {
        StatementKind::Query(query) => {
            let pinned = session.pinned();
            let mut planned = session.scoped(Some(&pinned), |s| session.server.database.query(s, query, &[]))?;
            planned.memory_bytes = session.query_memory_bytes();
            let mut text = session.server.database.explain(&planned).await?;
            if analyze {
                let started = std::time::Instant::now();
                let rows = session.server.database.run(&planned, &[], session.server.now()).await?;
                let count = rows.try_fold(0, async |n, batch: RecordBatch| Ok(n + batch.num_rows())).await?;
                text.push_str(&format!(
                    "Rows: {count}\nExecution time: {:.3} ms\n",
                    started.elapsed().as_secs_f64() * 1e3
                ));
            }
            text
        }
        StatementKind::CreateView(_) => {
            let planned = session.scoped(None, |s| session.server.database.view(s, of, "explained"))?;
            planned.job.map_or_else(|| planned.query, |job| thalweg_plan::explain(&job.plan))
        }
        StatementKind::CreateSink(_) => {
            let planned = session.scoped(None, |s| session.server.database.sink(s, of, &crate::wiring::Registry))?;
            planned.job.map_or_else(String::new, |job| thalweg_plan::explain(&job.plan))
        }
        _ => {
            let hint = "EXPLAIN takes SELECT, CREATE MATERIALIZED VIEW and CREATE SINK.";
            return Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, "this statement has no plan").hint(hint));
        }
    };
    table(&["QUERY PLAN"], text.lines().map(|line| cells([line])).collect(), "EXPLAIN")
}

pub(crate) async fn cancel_jobs(session: &mut Session, jobs: &[u64]) -> Result<Answer, SqlError> {
    let server = Arc::clone(&session.server);
    let objects = session.objects();
    let mut cancelled = Vec::new();
    for id in jobs {
        let making = server.engine.jobs().into_iter().any(|j| j.id.0 == *id && j.state() == JobState::Backfilling);
        let oid = {
            let running = server.running.read().unwrap_or_else(std::sync::PoisonError::into_inner);
            running.iter().find(|(_, r)| r.job.id.0 == *id).map(|(oid, _)| *oid)
        };
        let Some(oid) = oid.filter(|_| making) else { continue };
        let owner = objects.get(oid).map(|o| o.owner);
        let user = session.user(&objects)?;
        if owner.is_some_and(|o| objects.owns(&user, o)) {
            ddl::take_back(&server, oid).await;
            cancelled.push(id.to_string());
        }
    }
    table(&["Id"], cancelled.iter().map(|id| cells([id])).collect(), "CANCEL JOBS")
}

/// What a statement takes and yields.
pub(crate) async fn described(
    session: &mut Session,
    statement: &Statement,
    given: &[Option<DataType>],
) -> Result<Description, SqlError> {
    let nothing = Description { parameters: Vec::new(), columns: None };
    let of_answer = |answer: Answer| match answer {
        Answer::Rows { schema, .. } => Some(schema),
        _ => None,
    };
    let columns = match statement.kind.as_ref() {
        StatementKind::Query(query) => return session.described_query(query, given).await,
        StatementKind::Show { what, schema, of, like } => {
            of_answer(show(session, what, schema.as_deref(), of.as_ref(), like.as_deref())?)
        }
        StatementKind::ShowCreate(name) => of_answer(show_create(session, name)?),
        StatementKind::Describe(name) => of_answer(describe(session, name)?),
        StatementKind::Explain { .. } => of_answer(table(&["QUERY PLAN"], Vec::new(), "EXPLAIN")?),
        StatementKind::Cancel(_) => of_answer(table(&["Id"], Vec::new(), "CANCEL JOBS")?),
        StatementKind::Subscribe(query) => Some(super::subscribe::columns(session, query)?),
        StatementKind::Subscription(SubscriptionStatement::Fetch { name, .. }) => {
            Some(super::cursors::columns(session, name)?)
        }
        StatementKind::Sql(sql) => match sql.as_ref() {
            ast::Statement::Insert(_) | ast::Statement::Update(_) | ast::Statement::Delete(_) => {
                let plan = writes::planned(session, sql, given)?;
                let parameters = plan.parameters().to_vec();
                let columns = match &plan.returning {
                    None => None,
                    Some(items) => {
                        let pinned = Pinned::now(&session.server);
                        let none = RecordBatch::new_empty(Arc::clone(&plan.table.columns));
                        let query = session.scoped(Some(&pinned), |scope| {
                            session.server.database.returning(scope, &plan.table, items, none)
                        })?;
                        Some(query.schema)
                    }
                };
                return Ok(Description { parameters, columns });
            }
            ast::Statement::Declare { stmts } => {
                let query = stmts.first().and_then(|s| s.for_query.as_deref());
                let parameters = match query {
                    Some(query) => session.described_query(query, given).await?.parameters,
                    None => Vec::new(),
                };
                return Ok(Description { parameters, columns: None });
            }
            ast::Statement::Fetch { name, .. } => {
                let unknown = || {
                    SqlError::new(
                        SqlState::INVALID_CURSOR_NAME,
                        format!("cursor {} does not exist", quoted(&name.value)),
                    )
                };
                match session.followers.get(&name.value) {
                    Some(follower) => Some(follower.schema()),
                    None => Some(Arc::clone(&session.cursors.get(&name.value).ok_or_else(unknown)?.schema)),
                }
            }
            ast::Statement::Execute { name: Some(name), .. } => {
                let name = ObjectName::of(name).name;
                match session.prepared.get(&name).cloned() {
                    Some((prepared, _)) => Box::pin(described(session, &prepared, &[])).await?.columns,
                    None => None,
                }
            }
            _ => None,
        },
        _ => None,
    };
    Ok(Description { columns, ..nothing })
}
