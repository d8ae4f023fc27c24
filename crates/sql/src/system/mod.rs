//! The system catalogs: `pg_catalog`, `information_schema`, `thalweg_catalog` and `rw_catalog`, made of a [`Picture`] of
//! the database at one moment, and the functions and spellings by which PostgreSQL's clients ask about them. Data in,
//! record batches out: it must not know sessions' connections, locks, files or how the picture is taken.
//!
//! Whoever answers statements takes a picture, makes a [`SystemCatalog`] of it for the session, and
//!
//! - asks [`SystemCatalog::answers`] whether a query is about the system alone: if so, [`SystemCatalog::plan`] plans it,
//!   [`SystemQuery::schema`] and [`SystemQuery::parameters`] describe it and [`SystemQuery::rows`] answers it;
//! - or puts pieces into a planner of its own: [`SystemCatalog::relation`] has the rows of a relation,
//!   [`SystemCatalog::functions`] the functions, [`rewrite`] the spellings.
//!
//! A source is a foreign table here (`relkind` `f`), its connector the server; a sink is no relation that can be read
//! and stands in `thalweg_catalog` only; what `rw_catalog` cannot know is null.

mod cell;
mod columns;
mod definition;
mod dependent;
mod errors;
mod functions;
mod meaning;
mod operators;
mod parameters;
mod picture;
mod plan;
mod privileges;
mod question;
mod quote;
mod rewrite;
mod rows;
mod scope;
mod settings;
mod sorts;
#[cfg(test)]
mod tests;
mod types;

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::logical_expr::ScalarUDF;
use datafusion::sql::sqlparser::ast::Query;

pub use picture::{
    Alert, AlertEvent, AlertInstance, AlertRows, Checkpoint, Column, Cursor, Dashboard, Depend, Expectation,
    FIRST_USER_OID, Function, Index, Job, Kind, OWNER, Oid, PUBLIC_SCHEMA, Panel, Picture, Prepared, Privilege,
    Progress, Relation, Schema, Secret, Session, SessionInfo, Setting, User,
};
pub use plan::{SystemQuery, Tables};
pub(crate) use rewrite::{array_literal, name_columns};

use plan::Engine;
use scope::Scope;

/// The system catalogs of one database, as one session sees them at one moment.
#[derive(Clone, Debug)]
pub struct SystemCatalog {
    scope: Arc<Scope>,
    functions: Vec<Arc<ScalarUDF>>,
    engine: Arc<Engine>,
}

impl SystemCatalog {
    /// The catalogs that tell of `picture` to `session`.
    pub fn new(picture: Arc<Picture>, session: Arc<SessionInfo>) -> Self {
        let scope = Arc::new(Scope::new(picture, session));
        let functions = functions::functions(&scope);
        let engine = Arc::new(Engine::new(&functions));
        Self { scope, functions, engine }
    }

    /// The rows of a system relation; without a schema, of one in `pg_catalog` or in a schema of the system that is in
    /// the search path.
    pub fn relation(&self, schema: Option<&str>, name: &str) -> Option<RecordBatch> {
        let found = match schema {
            Some(_) => columns::find(schema, name),
            None => self.scope.path().into_iter().find_map(|schema| columns::find(Some(schema), name)),
        }?;
        let rows = rows::rows(&self.scope, found.schema, found.name);
        // Each value is made for its column: there is nothing that could fail to fit.
        cell::batch(&found.arrow, rows).ok()
    }

    /// PostgreSQL's functions about the database and the session. Those of the same names that the planner brings along
    /// are to be replaced.
    pub fn functions(&self) -> &[Arc<ScalarUDF>] {
        &self.functions
    }

    /// Whether a query reads relations of the system and nothing else, so that [`SystemCatalog::plan`] can answer it
    /// alone. A query that reads no relation at all does too.
    pub fn answers(&self, query: &Query) -> bool {
        question::relations(query).iter().all(|(schema, name)| {
            let path = self.scope.path();
            match schema {
                Some(_) => columns::find(schema.as_deref(), name).is_some(),
                None => path.into_iter().any(|schema| columns::find(Some(schema), name).is_some()),
            }
        })
    }
}

/// Whether a query reads a relation of the system.
pub fn concerns(query: &Query) -> bool {
    question::relations(query).iter().any(|(schema, name)| columns::find(schema.as_deref(), name).is_some())
}

/// Puts a query into words that the planner knows; see [`SystemCatalog`] for what they are to be used with. The names of
/// its columns become PostgreSQL's; [`shown_name`] takes off what makes some of them unique.
pub fn rewrite(query: &mut Query) {
    rewrite::rewrite(query);
}

/// The name of a [`rewrite`]n query's column as it is shown.
pub fn shown_name(name: &str) -> &str {
    rewrite::shown(name)
}
