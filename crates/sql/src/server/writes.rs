//! INSERT, UPDATE and DELETE as rows for a table's queue. It must not know queues or sessions.
//!
//! Each is a query over what is readable whose answer is turned into writes: the rows to put in, or the rows to take
//! out and those that take their place.

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Int8Array, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};
use datafusion::logical_expr::ScalarUDF;
use datafusion::sql::sqlparser::ast::{
    self, AssignmentTarget, Expr, Ident, OnConflictAction, OnInsert, SelectItem, SetExpr, TableObject, VisitMut,
    VisitorMut,
};
use futures_util::TryStreamExt;
use thalweg_core::{SqlError, SqlState, writes_schema};
use thalweg_plan::Write;

use super::database::{Database, parsed_query};
use super::judge::Judged;
use super::names::{ObjectName, quoted};
use super::objects::{Kind, Object, Oid, SourceObject};
use super::parameters::placeholder;
use super::query::Query;
use super::scope::{Extra, Scope};
use crate::functions::assign;
use crate::parse::normalized;

/// What happens to a row whose key is there already.
#[derive(Clone, Debug)]
pub enum ConflictAction {
    /// It takes the place of the other.
    Overwrite,
    /// It stays out.
    Nothing,
    /// The other is changed: it has been read, so earlier writes must be visible first.
    Update,
}

/// Writes, ready for the table's queue.
#[derive(Debug)]
pub struct Written {
    /// The table's writable columns and what each row is to do.
    pub rows: RecordBatch,
    /// Rows inserted, updated or deleted, for the command tag.
    pub count: u64,
    /// What RETURNING is computed from: the table's columns.
    pub affected: RecordBatch,
    /// Rows that are not as expected, for the table of a quarantine.
    pub aside: Option<(Oid, RecordBatch)>,
}

/// A planned write.
#[derive(Clone, Debug)]
pub struct WritePlan {
    /// The table.
    pub table: Arc<Object>,
    query: Query,
    kind: WriteKind,
    /// The items of RETURNING.
    pub returning: Option<Vec<SelectItem>>,
}

#[derive(Clone, Debug)]
enum WriteKind {
    Insert { columns: Vec<usize>, action: ConflictAction },
    Update,
    Delete,
}

impl WritePlan {
    /// The types of its parameters.
    pub fn parameters(&self) -> &[FieldRef] {
        &self.query.parameters
    }

    /// It reads what it changes: earlier writes must be visible before it runs, and no other may come between.
    pub fn reads_table(&self) -> bool {
        !matches!(self.kind, WriteKind::Insert { action: ConflictAction::Overwrite | ConflictAction::Nothing, .. })
    }

    /// The command tag without its count.
    pub fn tag(&self) -> &'static str {
        match self.kind {
            WriteKind::Insert { .. } => "INSERT 0",
            WriteKind::Update => "UPDATE",
            WriteKind::Delete => "DELETE",
        }
    }
}

impl Database {
    /// Plans INSERT, UPDATE or DELETE.
    ///
    /// # Errors
    /// The statement is wrong, or asks for what a table cannot do.
    pub fn write(
        &self,
        scope: &Scope<'_>,
        statement: &ast::Statement,
        given: &[Option<DataType>],
    ) -> Result<WritePlan, SqlError> {
        match statement {
            ast::Statement::Insert(insert) => self.insert(scope, insert, given),
            ast::Statement::Update(update) => self.update(scope, update, given),
            ast::Statement::Delete(delete) => self.delete(scope, delete, given),
            _ => Err(SqlError::new(SqlState::INTERNAL_ERROR, "not a write")),
        }
    }

    fn insert(
        &self,
        scope: &Scope<'_>,
        insert: &ast::Insert,
        given: &[Option<DataType>],
    ) -> Result<WritePlan, SqlError> {
        let TableObject::TableName(name) = &insert.table else {
            return Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, "INSERT into anything but a table"));
        };
        let (table, source) = table(scope, &ObjectName::of(name))?;
        let writable = source.writable();
        let mut source_query = match &insert.source {
            Some(query) => query.clone(),
            None => parsed_query("SELECT")?, // DEFAULT VALUES
        };
        let defaults_only = insert.source.is_none();
        let names: Vec<String> = insert.columns.iter().map(|c| ObjectName::of(c).name).collect();
        let width = match source_query.body.as_ref() {
            SetExpr::Values(values) => values.rows.first().map_or(0, |row| row.content.len()),
            _ if defaults_only => 0,
            _ => writable.fields().len(),
        };
        let columns: Vec<usize> = if names.is_empty() {
            (0..width.min(writable.fields().len())).collect()
        } else {
            names.iter().map(|n| column(&writable, n, &table)).collect::<Result<_, _>>()?
        };
        if let SetExpr::Values(values) = source_query.body.as_mut() {
            for row in &mut values.rows {
                if row.content.len() != columns.len() {
                    let message = format!("INSERT has {} expressions for {} columns", row.content.len(), columns.len());
                    return Err(SqlError::new(SqlState::SYNTAX_ERROR, message));
                }
                for (cell, column) in row.content.iter_mut().zip(&columns) {
                    fill_default(cell, source.defaults[*column].as_ref());
                    type_placeholder(cell, writable.field(*column).data_type());
                }
            }
        }
        let action = conflict(insert.on.as_ref())?;
        let query = if defaults_only {
            let items = columns_or_defaults(&source);
            self.query(scope, parsed_query(&format!("SELECT {items}"))?.as_ref(), given)?
        } else if let Some(update) = update_of(insert.on.as_ref()) {
            let merged = Merge { table: &table, source: &source, columns: &columns, on: update };
            let text = merged.query(&source_query, insert.table_alias.as_ref().map(|a| &a.alias))?;
            self.query(scope, parsed_query(&text)?.as_ref(), given)?
        } else {
            self.query(scope, &source_query, given)?
        };
        let columns = if defaults_only || matches!(action, ConflictAction::Update) {
            (0..writable.fields().len()).collect()
        } else {
            columns
        };
        if query.schema.fields().len() != columns.len()
            && !(names.is_empty() && query.schema.fields().len() < columns.len())
        {
            let message =
                format!("INSERT has {} expressions for {} columns", query.schema.fields().len(), columns.len());
            return Err(SqlError::new(SqlState::SYNTAX_ERROR, message));
        }
        let columns = columns.into_iter().take(query.schema.fields().len()).collect();
        Ok(WritePlan { table, query, kind: WriteKind::Insert { columns, action }, returning: insert.returning.clone() })
    }

    fn update(
        &self,
        scope: &Scope<'_>,
        update: &ast::Update,
        given: &[Option<DataType>],
    ) -> Result<WritePlan, SqlError> {
        if !update.table.joins.is_empty() {
            return Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, "UPDATE of a join"));
        }
        let (name, alias) = relation(&update.table.relation)?;
        let (table, source) = table(scope, &name)?;
        let writable = source.writable();
        let mut new: Vec<String> =
            writable.fields().iter().map(|f| format!("{}.{}", quoted(&alias), quoted(f.name()))).collect();
        for assignment in &update.assignments {
            let AssignmentTarget::ColumnName(target) = &assignment.target else {
                return Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, "UPDATE of several columns at once"));
            };
            let place = column(&writable, &ObjectName::of(target).name, &table)?;
            let mut value = assignment.value.clone();
            fill_default(&mut value, source.defaults[place].as_ref());
            type_placeholder(&mut value, writable.field(place).data_type());
            new[place] = value.to_string();
        }
        let old = writable.fields().iter().map(|f| format!("{}.{}", quoted(&alias), quoted(f.name())));
        let items: Vec<String> = old.chain(new).enumerate().map(|(i, e)| format!("{e} AS c{i}")).collect();
        let from = match &update.from {
            Some(ast::UpdateTableFromKind::AfterSet(tables) | ast::UpdateTableFromKind::BeforeSet(tables)) => {
                tables.iter().map(|t| format!(", {t}")).collect::<String>()
            }
            None => String::new(),
        };
        let filter = update.selection.as_ref().map_or(String::new(), |e| format!(" WHERE {e}"));
        let text = format!("SELECT {} FROM {}{from}{filter}", items.join(", "), update.table.relation);
        let query = self.query(scope, parsed_query(&text)?.as_ref(), given)?;
        Ok(WritePlan { table, query, kind: WriteKind::Update, returning: update.returning.clone() })
    }

    fn delete(
        &self,
        scope: &Scope<'_>,
        delete: &ast::Delete,
        given: &[Option<DataType>],
    ) -> Result<WritePlan, SqlError> {
        let (ast::FromTable::WithFromKeyword(from) | ast::FromTable::WithoutKeyword(from)) = &delete.from;
        let [one] = &from[..] else {
            return Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, "DELETE from several tables"));
        };
        if delete.using.is_some() || !one.joins.is_empty() {
            let hint = "Write WHERE … IN (SELECT …) or WHERE EXISTS (…).";
            return Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, "DELETE with USING").hint(hint));
        }
        let (name, alias) = relation(&one.relation)?;
        let (table, source) = table(scope, &name)?;
        let items: Vec<String> =
            source.writable().fields().iter().map(|f| format!("{}.{}", quoted(&alias), quoted(f.name()))).collect();
        let filter = delete.selection.as_ref().map_or(String::new(), |e| format!(" WHERE {e}"));
        let text = format!("SELECT {} FROM {}{filter}", items.join(", "), one.relation);
        let query = self.query(scope, parsed_query(&text)?.as_ref(), given)?;
        Ok(WritePlan { table, query, kind: WriteKind::Delete, returning: delete.returning.clone() })
    }

    /// Computes the rows of a planned write.
    ///
    /// # Errors
    /// A value does not fit its column; a query fails.
    pub async fn written(&self, plan: &WritePlan, values: &[ArrayRef], now: i64) -> Result<Written, SqlError> {
        let (Kind::Table(source) | Kind::Source(source)) = &plan.table.kind else {
            return Err(not_a_table(&plan.table));
        };
        let batches: Vec<RecordBatch> = self.run(&plan.query, values, now).await?.try_collect().await?;
        let writable = source.writable();
        let given = match batches.first() {
            Some(first) => concat_batches(&first.schema(), &batches).map_err(thalweg_core::Error::from)?,
            None => RecordBatch::new_empty(Arc::clone(&plan.query.schema)),
        };
        let width = writable.fields().len();
        match &plan.kind {
            WriteKind::Insert { columns, action } => {
                let rows = self.completed(source, &plan.table.name, columns, &given, now)?;
                let Judged { keep, aside } = self.judged(&plan.table, source, &rows, now)?;
                let rows = only(rows, keep.as_ref())?;
                let write =
                    if matches!(action, ConflictAction::Nothing) { Write::InsertIfAbsent } else { Write::Upsert };
                let count = rows.num_rows() as u64;
                Ok(Written { rows: marked(&rows, write)?, count, affected: self.generated(source, &rows)?, aside })
            }
            WriteKind::Delete => {
                let rows = assigned(&writable, given.columns(), &plan.table.name)?;
                let count = rows.num_rows() as u64;
                let affected = self.generated(source, &rows)?;
                Ok(Written { rows: marked(&rows, Write::Delete)?, count, affected, aside: None })
            }
            WriteKind::Update => {
                let old = assigned(&writable, &given.columns()[..width], &plan.table.name)?;
                let new = assigned(&writable, &given.columns()[width..], &plan.table.name)?;
                // A row that would not be as expected stays as it was.
                let Judged { keep, aside } = self.judged(&plan.table, source, &new, now)?;
                let (old, new) = (only(old, keep.as_ref())?, only(new, keep.as_ref())?);
                let parts = [marked(&old, Write::Delete)?, marked(&new, Write::Upsert)?];
                let rows = concat_batches(&parts[0].schema(), &parts).map_err(thalweg_core::Error::from)?;
                let affected = self.generated(source, &new)?;
                Ok(Written { rows, count: new.num_rows() as u64, affected, aside })
            }
        }
    }

    /// Rows of COPY or ingest, with the columns that are missing.
    ///
    /// # Errors
    /// As [`Database::written`].
    pub fn handed(&self, table: &Object, columns: &[usize], rows: &RecordBatch, now: i64) -> Result<Written, SqlError> {
        let (Kind::Table(source) | Kind::Source(source)) = &table.kind else { return Err(not_a_table(table)) };
        let rows = self.completed(source, &table.name, columns, rows, now)?;
        let Judged { keep, aside } = self.judged(table, source, &rows, now)?;
        let rows = only(rows, keep.as_ref())?;
        let marked = if matches!(table.kind, Kind::Table(_)) { marked(&rows, Write::Upsert)? } else { rows.clone() };
        Ok(Written { rows: marked, count: rows.num_rows() as u64, affected: rows, aside })
    }

    /// All writable columns from those that are given: the others get their defaults.
    fn completed(
        &self,
        source: &SourceObject,
        table: &str,
        columns: &[usize],
        given: &RecordBatch,
        now: i64,
    ) -> Result<RecordBatch, SqlError> {
        let writable = source.writable();
        let rows = given.num_rows();
        let cell = |(place, field): (usize, &FieldRef)| -> Result<ArrayRef, SqlError> {
            if let Some(at) = columns.iter().position(|c| *c == place) {
                return Ok(Arc::clone(given.column(at)));
            }
            match &source.defaults[place] {
                Some(default) => self.default_cells(default, field.data_type(), rows, now),
                None => Ok(new_null_array(field.data_type(), rows)),
            }
        };
        let cells = writable.fields().iter().enumerate().map(cell).collect::<Result<Vec<_>, _>>()?;
        assigned(&writable, &cells, table)
    }

    fn default_cells(&self, default: &Expr, to: &DataType, rows: usize, now: i64) -> Result<ArrayRef, SqlError> {
        use datafusion::common::DFSchema;
        let failed = |e| super::errors::sql_error(&e);
        let nothing = DFSchema::empty();
        let e = self.planner.expression(default.clone(), &nothing).map_err(failed)?;
        let e = self.planner.coerce(datafusion::logical_expr::cast(e, to.clone()), &nothing).map_err(failed)?;
        let physical = self.planner.compiled(e, now).map_err(failed)?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let empty = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options)
            .map_err(thalweg_core::Error::from)?;
        physical.evaluate(&empty).and_then(|v| v.into_array(rows)).map_err(failed)
    }

    /// The table's columns from the writable ones.
    pub(super) fn generated(&self, source: &SourceObject, rows: &RecordBatch) -> Result<RecordBatch, SqlError> {
        let failed = |e| super::errors::sql_error(&e);
        let mut columns = rows.columns().to_vec();
        for (_, expr) in crate::lower::compile_generated(&self.planner, &source.entry).map_err(failed)? {
            columns.push(expr.evaluate(rows).and_then(|v| v.into_array(rows.num_rows())).map_err(failed)?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        let whole = RecordBatch::try_new_with_options(source.columns(), columns, &options);
        Ok(whole.map_err(thalweg_core::Error::from)?)
    }

    /// Plans RETURNING over the rows of a write.
    ///
    /// # Errors
    /// An item is wrong.
    pub fn returning(
        &self,
        scope: &Scope<'_>,
        table: &Object,
        items: &[SelectItem],
        affected: RecordBatch,
    ) -> Result<Query, SqlError> {
        let items: Vec<String> = items.iter().map(ToString::to_string).collect();
        let text = format!("SELECT {} FROM {}", items.join(", "), quoted(&table.name));
        let only = Only { name: &table.name, rows: affected, others: scope.extra };
        let nothing = super::Objects::default();
        let scope = Scope { objects: &nothing, extra: &only, ..*scope };
        self.query(&scope, parsed_query(&text)?.as_ref(), &[])
    }
}

/// One relation under the name of the table, beside what there was.
struct Only<'a> {
    name: &'a str,
    rows: RecordBatch,
    others: &'a dyn Extra,
}

impl Extra for Only<'_> {
    fn relation(&self, schema: Option<&str>, name: &str) -> Option<RecordBatch> {
        if name == self.name { Some(self.rows.clone()) } else { self.others.relation(schema, name) }
    }

    fn function(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.others.function(name)
    }
}

fn table(scope: &Scope<'_>, name: &ObjectName) -> Result<(Arc<Object>, Arc<SourceObject>), SqlError> {
    let object = scope.objects.expect(name, scope.path)?;
    match &object.kind {
        Kind::Table(source) => Ok((Arc::clone(object), Arc::clone(source))),
        _ => Err(not_a_table(object)),
    }
}

fn not_a_table(object: &Object) -> SqlError {
    let message = format!("{} is a {}, not a table", object.name, object.class());
    SqlError::new(SqlState::WRONG_OBJECT_TYPE, message)
}

fn column(schema: &SchemaRef, name: &str, table: &Object) -> Result<usize, SqlError> {
    schema.index_of(name).map_err(|_| {
        let state = SqlState::UNDEFINED_COLUMN;
        if table.columns.index_of(name).is_ok() {
            let message = format!("column {} is generated and cannot be written", quoted(name));
            return SqlError::new(SqlState("428C9"), message);
        }
        let error =
            SqlError::new(state, format!("column {} of relation {} does not exist", quoted(name), quoted(&table.name)));
        match thalweg_core::nearest(name, schema.fields().iter().map(|f| f.name().as_str())) {
            Some(near) => error.hint(format!("Did you mean {near}?")),
            None => error,
        }
    })
}

fn relation(factor: &ast::TableFactor) -> Result<(ObjectName, String), SqlError> {
    let ast::TableFactor::Table { name, alias, .. } = factor else {
        return Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, "a table is expected"));
    };
    let name = ObjectName::of(name);
    let alias = alias.as_ref().map_or(name.name.clone(), |a| normalized(a.name.clone()));
    Ok((name, alias))
}

fn conflict(on: Option<&OnInsert>) -> Result<ConflictAction, SqlError> {
    Ok(match on {
        None => ConflictAction::Overwrite,
        Some(OnInsert::OnConflict(on)) => match &on.action {
            OnConflictAction::DoNothing => ConflictAction::Nothing,
            OnConflictAction::DoUpdate(_) => ConflictAction::Update,
        },
        Some(_) => return Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, "ON DUPLICATE KEY; use ON CONFLICT")),
    })
}

fn update_of(on: Option<&OnInsert>) -> Option<&ast::DoUpdate> {
    match on {
        Some(OnInsert::OnConflict(ast::OnConflict { action: OnConflictAction::DoUpdate(update), .. })) => Some(update),
        _ => None,
    }
}

/// `DEFAULT` as a value.
fn fill_default(cell: &mut Expr, default: Option<&Expr>) {
    let is_default =
        matches!(cell, Expr::Identifier(i) if i.quote_style.is_none() && i.value.eq_ignore_ascii_case("default"));
    if is_default {
        *cell = default.cloned().unwrap_or_else(|| Expr::value(ast::Value::Null));
    }
}

/// A parameter that stands for a column's value has the column's type.
fn type_placeholder(cell: &mut Expr, to: &DataType) {
    if placeholder(cell).is_some()
        && let Some(data_type) = crate::types::sql_type(to)
    {
        let inner = std::mem::replace(cell, Expr::value(ast::Value::Null));
        *cell = Expr::Cast { kind: ast::CastKind::Cast, expr: Box::new(inner), data_type, array: false, format: None };
    }
}

fn columns_or_defaults(source: &SourceObject) -> String {
    let one = |default: &Option<Expr>| default.as_ref().map_or("NULL".to_owned(), ToString::to_string);
    source.defaults.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// `INSERT … ON CONFLICT DO UPDATE` as a query for the rows that then stand.
struct Merge<'a> {
    table: &'a Object,
    source: &'a SourceObject,
    columns: &'a [usize],
    on: &'a ast::DoUpdate,
}

impl Merge<'_> {
    fn query(&self, rows: &ast::Query, alias: Option<&Ident>) -> Result<String, SqlError> {
        let writable = self.source.writable();
        let key = self.source.primary_key();
        if key.is_empty() {
            let hint = "Give the table a PRIMARY KEY.";
            let message = format!("table {} has no key for ON CONFLICT", self.table.name);
            return Err(SqlError::new(SqlState::SEMANTIC_ERROR, message).hint(hint));
        }
        let name = alias.map_or_else(|| quoted(&self.table.name), ToString::to_string);
        let field = |c: usize| quoted(writable.field(c).name());
        // The proposed rows with every column, under the name that PostgreSQL gives them.
        let given: Vec<String> = self.columns.iter().map(|c| field(*c)).collect();
        let proposed: Vec<String> = (0..writable.fields().len())
            .map(|c| {
                match (
                    self.columns.contains(&c),
                    &self.source.defaults[c],
                    crate::types::sql_type(writable.field(c).data_type()),
                ) {
                    (true, _, Some(t)) => format!("CAST({} AS {t}) AS {}", field(c), field(c)),
                    (true, _, None) => field(c),
                    (false, Some(default), Some(t)) => format!("CAST({default} AS {t}) AS {}", field(c)),
                    (false, _, Some(t)) => format!("CAST(NULL AS {t}) AS {}", field(c)),
                    (false, _, None) => format!("NULL AS {}", field(c)),
                }
            })
            .collect();
        let mut new: Vec<String> = (0..writable.fields().len()).map(|c| format!("{name}.{}", field(c))).collect();
        for assignment in &self.on.assignments {
            let AssignmentTarget::ColumnName(target) = &assignment.target else {
                return Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, "SET of several columns at once"));
            };
            let place = column(&writable, &ObjectName::of(target).name, self.table)?;
            let mut value = assignment.value.clone();
            qualify(&mut value, &name, &writable);
            new[place] = format!("({value})");
        }
        let there = format!("{name}.{} IS NOT NULL", field(key[0]));
        let changes = match &self.on.selection {
            Some(condition) => {
                let mut condition = condition.clone();
                qualify(&mut condition, &name, &writable);
                format!("{there} AND ({condition})")
            }
            None => there.clone(),
        };
        let items: Vec<String> = (0..writable.fields().len())
            .map(|c| {
                let f = field(c);
                format!("CASE WHEN {changes} THEN {} WHEN {there} THEN {name}.{f} ELSE excluded.{f} END AS {f}", new[c])
            })
            .collect();
        let on: Vec<String> = key.iter().map(|c| format!("excluded.{0} = {name}.{0}", field(*c))).collect();
        Ok(format!(
            "SELECT {} FROM (SELECT {} FROM ({rows}) AS given({})) AS excluded LEFT JOIN {} AS {name} ON {}",
            items.join(", "),
            proposed.join(", "),
            given.join(", "),
            self.table.full_name(),
            on.join(" AND "),
        ))
    }
}

/// Bare column names in DO UPDATE are those of the table.
fn qualify(expr: &mut Expr, table: &str, schema: &SchemaRef) {
    struct Qualify<'a>(&'a str, &'a SchemaRef);
    impl VisitorMut for Qualify<'_> {
        type Break = ();

        fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            if let Expr::Identifier(ident) = expr
                && self.1.index_of(&normalized(ident.clone())).is_ok()
            {
                *expr = Expr::CompoundIdentifier(vec![Ident::new(self.0.to_owned()), ident.clone()]);
            }
            ControlFlow::Continue(())
        }
    }
    let _ = expr.visit(&mut Qualify(table, schema));
}

/// Columns as the table's types, NOT NULL checked.
pub(super) fn assigned(writable: &SchemaRef, columns: &[ArrayRef], table: &str) -> Result<RecordBatch, SqlError> {
    let failed = |e| super::errors::sql_error(&e);
    let rows = columns.first().map_or(0, |c| c.len());
    let mut cells = Vec::with_capacity(columns.len());
    for (field, column) in writable.fields().iter().zip(columns) {
        let cell = assign(column, field.data_type()).map_err(failed)?;
        if !field.is_nullable() && cell.null_count() > 0 {
            let message = format!(
                "null value in column {} of relation {} violates not-null constraint",
                quoted(field.name()),
                quoted(table)
            );
            return Err(SqlError::new(SqlState::NOT_NULL_VIOLATION, message));
        }
        cells.push(cell);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let batch = RecordBatch::try_new_with_options(Arc::clone(writable), cells, &options);
    Ok(batch.map_err(thalweg_core::Error::from)?)
}

/// The rows that `keep` says.
fn only(rows: RecordBatch, keep: Option<&BooleanArray>) -> Result<RecordBatch, SqlError> {
    match keep {
        None => Ok(rows),
        Some(keep) => Ok(filter_record_batch(&rows, keep).map_err(thalweg_core::Error::from)?),
    }
}

pub(super) fn marked(rows: &RecordBatch, write: Write) -> Result<RecordBatch, SqlError> {
    let mut columns = rows.columns().to_vec();
    columns.push(Arc::new(Int8Array::from(vec![write as i8; rows.num_rows()])));
    let batch = RecordBatch::try_new(writes_schema(&rows.schema()), columns);
    Ok(batch.map_err(thalweg_core::Error::from)?)
}
