//! `Scope`: what names mean in one statement: the catalog, the schemas looked through, and what is readable.
//! It must not know sessions.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::TableReference;
use datafusion::datasource::provider_as_source;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ScalarUDF, TableSource};
use thalweg_core::{SqlError, SqlState};

use super::contents::Contents;
use super::errors::carried;
use super::judge::QUARANTINE;
use super::lookup::ReadTable;
use super::names::ObjectName;
use super::objects::{Kind, Object, Objects, Oid, Privilege};
use crate::catalog::{PlannedTable, Relation, Relations};
use crate::context::Planner;

/// Views within views at most.
const MAX_DEPTH: usize = 64;

/// What the names of a statement mean.
pub struct Scope<'a> {
    /// The catalog.
    pub objects: &'a Objects,
    /// Schemas to look through, in order.
    pub path: &'a [String],
    /// What is readable; `None` when the statement is planned for the engine.
    pub contents: Option<&'a dyn Contents>,
    /// Relations of the system, and those that this statement alone knows.
    pub extra: &'a dyn Extra,
    /// Whether the user may read an object.
    pub may_read: &'a dyn Fn(&Object) -> bool,
}

/// Relations and functions beside the catalog's.
pub trait Extra {
    /// The rows of a relation that is not in the catalog.
    fn relation(&self, schema: Option<&str>, name: &str) -> Option<RecordBatch>;

    /// A function that depends on the session.
    fn function(&self, _name: &str) -> Option<Arc<ScalarUDF>> {
        None
    }
}

/// A scope while one statement is planned: it remembers what was used.
pub(crate) struct Used<'a> {
    pub scope: &'a Scope<'a>,
    pub planner: &'a Planner,
    pub objects: RefCell<BTreeSet<Oid>>,
    depth: usize,
}

impl<'a> Used<'a> {
    pub fn new(scope: &'a Scope<'a>, planner: &'a Planner) -> Self {
        Self { scope, planner, objects: RefCell::default(), depth: 0 }
    }

    fn table(&self, object: &Arc<Object>) -> Result<Arc<dyn TableSource>> {
        self.objects.borrow_mut().insert(object.oid);
        if !(self.scope.may_read)(object) {
            let message = format!("permission denied for {} {}", object.class(), object.name);
            return Err(carried(SqlError::new(SqlState::INSUFFICIENT_PRIVILEGE, message)));
        }
        if matches!(object.kind, Kind::View) {
            return self.view(object);
        }
        match (self.scope.contents, object.live()) {
            (None, Some(live)) => {
                let pulled = match &object.kind {
                    Kind::Source(source) if source.connector().is_some() => {
                        Some(Relation::Source(Arc::new(source.entry.clone())))
                    }
                    _ => None,
                };
                Ok(Arc::new(PlannedTable::new(pulled.unwrap_or_else(|| Relation::Live(Arc::new(live))))))
            }
            (Some(contents), Some(_)) if object.is_readable() => {
                let parts = contents.read(object.oid).map_err(carried)?;
                let table = ReadTable::of_object(object.oid, Arc::clone(&object.columns), parts);
                Ok(provider_as_source(Arc::new(table)))
            }
            // Only the engine reads from outside.
            (Some(_), Some(_)) if matches!(&object.kind, Kind::Source(s) if s.connector().is_some()) => {
                let Kind::Source(source) = &object.kind else { return self.not_readable(object) };
                Ok(Arc::new(PlannedTable::new(Relation::Source(Arc::new(source.entry.clone())))))
            }
            (Some(_), Some(_)) => {
                let error = SqlError::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    format!("source {} is not kept, so it cannot be read by itself", object.name),
                );
                let hint = format!("Read a view of it: CREATE MATERIALIZED VIEW v AS SELECT * FROM {}.", object.name);
                Err(carried(error.hint(hint)))
            }
            (_, None) => self.not_readable(object),
        }
    }

    fn not_readable(&self, object: &Object) -> Result<Arc<dyn TableSource>> {
        let message = format!("{} is a {}, not something to select from", object.name, object.class());
        Err(carried(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message)))
    }

    /// A view's query in the place of its name. It reads with the rights of its owner.
    fn view(&self, object: &Arc<Object>) -> Result<Arc<dyn TableSource>> {
        if self.depth >= MAX_DEPTH {
            return Err(DataFusionError::Plan(format!("views stand within views more than {MAX_DEPTH} times")));
        }
        let path = [object.schema.clone()];
        let objects = self.scope.objects;
        let owner = objects.user_by_oid(object.owner);
        let may_read = |o: &Object| owner.is_some_and(|u| objects.may_reach(u, o, Privilege::Select));
        let scope = Scope { path: &path, may_read: &may_read, ..*self.scope };
        let inner = Used { scope: &scope, planner: self.planner, objects: RefCell::default(), depth: self.depth + 1 };
        let query = super::database::parsed_query(object.query.as_deref().unwrap_or_default()).map_err(carried)?;
        let plan = self.planner.bind(&inner, &query)?;
        let columns: Vec<String> = object.columns.fields().iter().map(|f| f.name().clone()).collect();
        let plan = crate::compile::renamed(plan, &columns)?;
        self.objects.borrow_mut().extend(inner.objects.into_inner());
        Ok(Arc::new(PlannedTable::new(Relation::View(Arc::new(plan)))))
    }

    /// `<source>$quarantine` of a source whose rows are read from outside; of others it is a table.
    fn quarantine(&self, name: &ObjectName) -> Option<Arc<dyn TableSource>> {
        let of = ObjectName { schema: name.schema.clone(), name: name.name.strip_suffix(QUARANTINE)?.to_owned() };
        let object = self.scope.objects.find(&of, self.scope.path)?;
        let Kind::Source(source) = &object.kind else { return None };
        if source.connector().is_none() || !(self.scope.may_read)(object) {
            return None;
        }
        self.objects.borrow_mut().insert(object.oid);
        Some(Arc::new(PlannedTable::new(Relation::Quarantine(Arc::new(source.entry.clone())))))
    }

    /// `<source>$dead` of a source whose rows are read from outside.
    fn dead(&self, name: &ObjectName) -> Option<Arc<dyn TableSource>> {
        let of = ObjectName { schema: name.schema.clone(), name: name.name.strip_suffix("$dead")?.to_owned() };
        let object = self.scope.objects.find(&of, self.scope.path)?;
        let Kind::Source(source) = &object.kind else { return None };
        if !(self.scope.may_read)(object) {
            return None;
        }
        self.objects.borrow_mut().insert(object.oid);
        if source.connector().is_some() {
            return Some(Arc::new(PlannedTable::new(Relation::Dead(Arc::new(source.entry.clone())))));
        }
        let parts = self.scope.contents?.read_dead(object.oid).ok()?;
        Some(provider_as_source(Arc::new(ReadTable::new(thalweg_core::dead_schema(), parts))))
    }
}

impl Relations for Used<'_> {
    fn source(&self, name: &TableReference) -> Result<Arc<dyn TableSource>> {
        let name = ObjectName { schema: name.schema().map(str::to_owned), name: name.table().to_owned() };
        if let Some(object) = self.scope.objects.find(&name, self.scope.path) {
            let object = Arc::clone(object);
            return self.table(&object);
        }
        if let Some(rows) = self.scope.extra.relation(name.schema.as_deref(), &name.name) {
            return Ok(provider_as_source(Arc::new(ReadTable::of_rows(rows))));
        }
        if let Some(aside) = self.quarantine(&name) {
            return Ok(aside);
        }
        if let Some(dead) = self.dead(&name) {
            return Ok(dead);
        }
        Err(carried(self.scope.objects.expect(&name, self.scope.path).expect_err("it was not found above")))
    }

    fn function(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.scope.extra.function(name)
    }
}
