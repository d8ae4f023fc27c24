//! What the engine runs for an alert: its instances, their history, and what those who are told get; and what a dashboard
//! reads. It must not know the engine.

use std::collections::BTreeSet;
use std::sync::Arc;

use thalweg_core::{SqlError, SqlState};
use thalweg_plan::{ALERT_COLUMNS, ALERT_HISTORY_COLUMNS};

use super::alert::CreateAlert;
use super::dashboard::{COLUMN_OPTIONS, CreateDashboard};
use super::database::{Database, PlannedView, distinct_names, named, no_parameters, parsed_query};
use super::errors::sql_error;
use super::jobs::{self, JobPlan};
use super::names::{missing_column, quoted};
use super::objects::{Object, Oid};
use super::scope::{Scope, Used};
use crate::compile::renamed;

/// The column that names an instance for people: the values of its key.
const INSTANCE: &str = "alert_instance";
/// The number of a row among those of its instance.
const NUMBER: &str = "$number";
/// Transitions of an alert that are kept.
pub(super) const HISTORY_ROWS: usize = 10_000;

/// A planned CREATE ALERT.
pub struct PlannedAlert {
    /// The relation of its instances.
    pub view: PlannedView,
    /// What is to be said of it.
    pub notices: Vec<String>,
}

impl Database {
    /// Plans CREATE ALERT: the relation of its instances, which are the rows of its query with a name and a state.
    ///
    /// # Errors
    /// The query is wrong or cannot be kept fresh, or a column of the key is not there.
    pub fn alert(&self, scope: &Scope<'_>, alert: &CreateAlert, label: &str) -> Result<PlannedAlert, SqlError> {
        let written = alert.query.to_string();
        let plain = self.followed(scope, &alert.query)?;
        let job = plain.job.ok_or_else(|| SqlError::new(SqlState::INTERNAL_ERROR, "an alert without a job"))?;
        let names: Vec<String> = job.schema.fields().iter().map(|f| f.name().clone()).collect();
        let taken = names.iter().find(|n| [ALERT_COLUMNS[0], ALERT_COLUMNS[1], INSTANCE].contains(&n.as_str()));
        if let Some(name) = taken.or(names.iter().find(|n| ALERT_HISTORY_COLUMNS.contains(&n.as_str()))) {
            let message = format!("column \"{name}\" of the query has the name of one that an alert adds");
            return Err(SqlError::new(SqlState("42701"), message).hint(format!("Rename it: AS my_{name}.")));
        }
        let known = job.output.key.map(|key| key.iter().map(|c| names[*c].clone()).collect::<Vec<_>>());
        let mut notices = Vec::new();
        if job.output.append_only {
            notices.push(
                "the query never takes a row back, so what fires is never resolved; \
                 filter by time: WHERE ts > now() - INTERVAL '5 minutes'"
                    .to_owned(),
            );
        }
        let key = match (&alert.key, &known) {
            (Some(given), _) => given.clone(),
            (None, Some(known)) => known.clone(),
            (None, None) => {
                notices.push(
                    "no columns are known to tell the rows apart, so a row that changes is a new instance; \
                     name them: PRIMARY KEY (…)"
                        .to_owned(),
                );
                names.clone()
            }
        };
        if let Some(missing) = key.iter().find(|k| !names.contains(k)) {
            return Err(missing_column(missing, &names));
        }
        let is_unique = known.is_some_and(|known| known.iter().all(|k| key.contains(k)));
        let query = parsed_query(&instances(&written, &names, &key, is_unique))?;
        let used = Used::new(scope, &self.planner);
        let bound = self.planner.bind(&used, &named(&query)).map_err(|e| sql_error(&e))?;
        no_parameters(&bound)?;
        let shown = distinct_names(bound.schema().inner())?;
        let plan = renamed(bound, &shown).and_then(|p| self.planner.optimize(p)).map_err(|e| sql_error(&e))?;
        let hold = i64::try_from(alert.hold.as_micros()).unwrap_or(i64::MAX);
        let job = jobs::alert(&self.planner, &plan, &key, hold, label).map_err(|e| sql_error(&e))?;
        let (columns, reads) = (Arc::clone(&job.schema), used.objects.take());
        Ok(PlannedAlert { view: PlannedView { columns, reads, query: written, job: Some(job) }, notices })
    }

    /// The relation of what has happened to `alert`.
    ///
    /// # Errors
    /// It is none.
    pub fn alert_history(&self, alert: &Object, label: &str) -> Result<JobPlan, SqlError> {
        jobs::alert_history(&self.planner, alert, HISTORY_ROWS, label).map_err(|e| sql_error(&e))
    }

    /// All changes of a relation, to be delivered.
    ///
    /// # Errors
    /// It is none.
    pub fn passed_on(&self, relation: &Object, label: &str) -> Result<JobPlan, SqlError> {
        jobs::passed_on(&self.planner, relation, label).map_err(|e| sql_error(&e))
    }

    /// Looks at the queries of a dashboard; the objects that they read.
    ///
    /// # Errors
    /// A query is wrong, or an option names a column that it does not have.
    pub fn dashboard(&self, scope: &Scope<'_>, dashboard: &CreateDashboard) -> Result<BTreeSet<Oid>, SqlError> {
        let mut reads = BTreeSet::new();
        for panel in &dashboard.panels {
            let of_panel = |e: SqlError| SqlError { message: format!("panel {}: {}", panel.name, e.message), ..e };
            let used = Used::new(scope, &self.planner);
            let bound = self.planner.bind(&used, &named(&panel.query)).map_err(|e| of_panel(sql_error(&e)))?;
            no_parameters(&bound).map_err(of_panel)?;
            let names = distinct_names(bound.schema().inner()).map_err(of_panel)?;
            for (key, value) in panel.options.iter().filter(|(key, _)| COLUMN_OPTIONS.contains(&key.as_str())) {
                let mut columns = value.split(',').map(str::trim);
                if let Some(missing) = columns.find(|c| !names.iter().any(|n| n == c)) {
                    let SqlError { message, .. } = missing_column(missing, &names);
                    return Err(of_panel(SqlError::new(
                        SqlState::UNDEFINED_COLUMN,
                        format!("option {key}: {message}"),
                    )));
                }
            }
            reads.extend(used.objects.take());
        }
        Ok(reads)
    }
}

/// The query of an alert with a column that names each instance; of rows with the same key only the first, by all of its
/// columns.
fn instances(query: &str, names: &[String], key: &[String], is_unique: bool) -> String {
    let text = |name: &String| format!("coalesce(q.{}::text, 'NULL')", quoted(name));
    let parts: Vec<String> = key.iter().map(text).collect();
    let instance = if parts.is_empty() { "''".to_owned() } else { parts.join(" || ', ' || ") };
    let columns: Vec<String> = names.iter().map(|name| format!("q.{}", quoted(name))).collect();
    let columns = columns.join(", ");
    if is_unique {
        return format!("SELECT {columns}, {instance} AS {INSTANCE} FROM ({query}) AS q");
    }
    let list = |names: &mut dyn Iterator<Item = &String>| names.map(|n| quoted(n)).collect::<Vec<_>>().join(", ");
    let by = list(&mut key.iter());
    let rest = list(&mut names.iter().filter(|n| !key.contains(n)).chain(key.first()));
    let partition = if by.is_empty() { String::new() } else { format!("PARTITION BY {by} ") };
    let numbered =
        format!("SELECT r.*, row_number() OVER ({partition}ORDER BY {rest}) AS \"{NUMBER}\" FROM ({query}) AS r");
    format!("SELECT {columns}, {instance} AS {INSTANCE} FROM ({numbered}) AS q WHERE q.\"{NUMBER}\" = 1")
}
