//! The SQL of a server: its statements, its catalog, what each statement means.
//!
//! [`parse`] cuts a text into [`Statement`]s. [`Objects`] is the catalog: one value, replaced as a whole by each
//! statement that changes it. [`Database`] plans: a view becomes a [`JobPlan`] for the engine, a query over what is
//! readable becomes a [`Query`] that runs on DataFusion, a write becomes rows for a table's queue. It must not know
//! sessions' protocols, threads, or where rows are kept: those come as [`Contents`].

mod alert;
mod alert_object;
mod alert_plan;
mod asked;
mod by_engine;
mod contents;
mod copy;
mod dashboard;
mod database;
mod errors;
mod index_scan;
mod integers;
mod jobs;
mod judge;
mod lookup;
mod memory;
mod names;
mod objects;
mod parameters;
mod place;
mod point;
mod query;
mod role;
mod scope;
mod secret;
mod statement;
mod subscription;
mod writes;

pub use crate::types::type_name;
pub use alert::{AlertStatement, CreateAlert, Lasting, Notify, Quieted, Severity};
pub use alert_object::{Acknowledged, AlertObject, Silence};
pub use alert_plan::PlannedAlert;
pub use by_engine::EngineQuery;
pub use contents::{Contents, Stored};
pub use copy::{CopyDirection, CopySide};
pub use dashboard::{CreateDashboard, DashboardObject, Panel, PanelKind};
pub use database::{Database, PlannedView, renamed_in};
pub use jobs::{JobPlan, JobSource};
pub use judge::{QUARANTINE, Replayed};
pub use memory::bytes_text;
pub use names::ObjectName;
pub use names::quoted;
pub use objects::{
    Connection, EVERYONE, Index, Kind, Object, Objects, Oid, PUBLIC, Privilege, ROOT, Schema, SourceObject, User,
    no_schema,
};
pub use parameters::{scalars, typed_values};
pub use place::placed;
pub use point::PointQuery;
pub use query::{Query, QueryRows};
pub use role::RoleOption;
pub use scope::{Extra, Scope};
pub use secret::{SecretValue, masked};
pub use statement::{AlterAction, ObjectClass, Statement, StatementKind, parse};
pub use subscription::{Since, SubscriptionStatement};
pub use writes::{ConflictAction, WritePlan, Written};

/// What sqlparser reads, for those who look into [`StatementKind::Sql`].
pub use datafusion::sql::sqlparser::ast;
