//! A database at one moment, as plain data: what the system relations tell of. It must not know how they tell it, nor
//! where the data comes from.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use arrow::datatypes::DataType;

/// An object's number. Those below 16384 are the system's own; users' objects have numbers from there on.
pub type Oid = i32;

/// The first number for objects of users.
pub const FIRST_USER_OID: Oid = 16384;

/// The number of the schema `public`.
pub const PUBLIC_SCHEMA: Oid = 2200;

/// The number of the user who owns the system's objects.
pub const OWNER: Oid = 10;

/// Everything that the system relations tell. Only what the user may see belongs into it.
#[derive(Clone, Debug, Default)]
pub struct Picture {
    /// The database's name.
    pub database: String,
    /// The database's number.
    pub database_oid: Oid,
    /// The server's version, `x.y.z`.
    pub version: String,
    /// When the server started, in microseconds since 1970.
    pub started: i64,
    /// The schemas of users; the system's own are added.
    pub schemas: Vec<Schema>,
    /// Tables, sources, views, materialized views, sinks and indexes; the system's own are added.
    pub relations: Vec<Relation>,
    /// Who may log in, and groups of them.
    pub users: Vec<User>,
    /// What can be set.
    pub settings: Vec<Setting>,
    /// Who is connected.
    pub sessions: Vec<Session>,
    /// The open cursors of this session.
    pub cursors: Vec<Cursor>,
    /// The prepared statements of this session.
    pub prepared: Vec<Prepared>,
    /// Materialized views and sinks that are being filled.
    pub progress: Vec<Progress>,
    /// Which relation reads which.
    pub depends: Vec<Depend>,
    /// Functions that can be called besides the system's own.
    pub functions: Vec<Function>,
    /// Connections and secrets.
    pub secrets: Vec<Secret>,
    /// What rows are expected to be.
    pub expectations: Vec<Expectation>,
    /// The last checkpoints of this start, oldest first.
    pub checkpoints: Vec<Checkpoint>,
    /// What is run.
    pub jobs: Vec<Job>,
    /// Alerts.
    pub alerts: Vec<Alert>,
    /// Their rows, read when they are asked for.
    pub alert_rows: Option<Arc<dyn AlertRows>>,
    /// Dashboards.
    pub dashboards: Vec<Dashboard>,
}

/// A schema.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    /// Its number; `public` has [`PUBLIC_SCHEMA`].
    pub oid: Oid,
    /// Its name.
    pub name: String,
    /// The user who owns it.
    pub owner: Oid,
}

/// What kind of relation it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Rows that are kept. `relkind` is `r`.
    Table,
    /// Rows that come from outside and are not kept. `relkind` is `f`, a foreign table, which is what it is like.
    Source,
    /// A query by name. `relkind` is `v`.
    View,
    /// A query whose answer is kept up to date. `relkind` is `m`.
    MaterializedView,
    /// Rows that leave. It cannot be read and is told of by the system's own relations only.
    Sink,
    /// `relkind` is `i`.
    Index,
}

/// A relation.
#[derive(Clone, Debug)]
pub struct Relation {
    /// Its number.
    pub oid: Oid,
    /// The schema it is in.
    pub schema: Oid,
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// The user who owns it.
    pub owner: Oid,
    /// Its columns. Those of an index may be left out: they are the table's.
    pub columns: Vec<Column>,
    /// Positions in `columns`, in the key's order. Empty: no primary key.
    pub primary_key: Vec<usize>,
    /// The statement that made it, or for views the query alone.
    pub definition: String,
    /// `COMMENT ON`.
    pub comment: Option<String>,
    /// How many rows there are, if known.
    pub rows: Option<u64>,
    /// For an index: of what.
    pub index: Option<Index>,
    /// `GRANT`s on it; the owner's own rights go without saying.
    pub privileges: Vec<Privilege>,
    /// The connector of a source or sink.
    pub connector: Option<String>,
}

/// A column.
#[derive(Clone, Debug)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type.
    pub data_type: DataType,
    /// The PostgreSQL type's name, e.g. `jsonb`, where the Arrow type does not tell ([`thalweg_core::PG_TYPE`]).
    pub pg_type: Option<String>,
    /// `NOT NULL`.
    pub not_null: bool,
    /// `DEFAULT`, as text.
    pub default: Option<String>,
    /// `GENERATED ALWAYS AS`, as text.
    pub generated: Option<String>,
    /// `COMMENT ON COLUMN`.
    pub comment: Option<String>,
}

/// What an index is of.
#[derive(Clone, Debug, Default)]
pub struct Index {
    /// The number of the table or materialized view.
    pub table: Oid,
    /// Positions among its columns.
    pub columns: Vec<usize>,
    /// No two rows are equal in them.
    pub unique: bool,
    /// It is the primary key.
    pub primary: bool,
}

/// Rights that someone has on a relation.
#[derive(Clone, Debug)]
pub struct Privilege {
    /// Who has them; 0 is everybody.
    pub grantee: Oid,
    /// `SELECT`, `INSERT`, …
    pub rights: Vec<String>,
    /// Who gave them.
    pub grantor: Oid,
}

/// A user or role.
#[derive(Clone, Debug, Default)]
pub struct User {
    /// The number.
    pub oid: Oid,
    /// The name.
    pub name: String,
    /// May do anything.
    pub superuser: bool,
    /// May connect.
    pub can_login: bool,
    /// May create databases.
    pub create_db: bool,
    /// May create users.
    pub create_role: bool,
    /// There is a password.
    pub password_set: bool,
    /// Until when the password holds, in microseconds since 1970.
    pub valid_until: Option<i64>,
    /// The roles it is in.
    pub member_of: Vec<Oid>,
}

/// A setting.
#[derive(Clone, Debug, Default)]
pub struct Setting {
    /// Its name.
    pub name: String,
    /// The value at the start of a session.
    pub value: String,
    /// What it does.
    pub description: String,
    /// What it is about.
    pub category: String,
}

/// A connected session.
#[derive(Clone, Debug, Default)]
pub struct Session {
    /// The number to cancel it by.
    pub pid: i32,
    /// The user's number.
    pub user: Oid,
    /// The database's name.
    pub database: String,
    /// `application_name`.
    pub application: String,
    /// `active`, `idle`, `idle in transaction`.
    pub state: String,
    /// The statement that runs, or ran last.
    pub query: String,
    /// When it connected, in microseconds since 1970.
    pub started: i64,
    /// Where from.
    pub client: Option<String>,
}

/// An open cursor.
#[derive(Clone, Debug, Default)]
pub struct Cursor {
    /// Its name.
    pub name: String,
    /// Its statement.
    pub statement: String,
    /// Whether it outlives its transaction.
    pub holdable: bool,
    /// When it was opened, in microseconds since 1970.
    pub created: i64,
}

/// A prepared statement.
#[derive(Clone, Debug, Default)]
pub struct Prepared {
    /// Its name.
    pub name: String,
    /// Its text.
    pub statement: String,
    /// The types of its parameters.
    pub parameter_types: Vec<String>,
    /// Made by `PREPARE` rather than by the protocol.
    pub from_sql: bool,
    /// When it was made, in microseconds since 1970.
    pub created: i64,
}

/// A relation that is being filled.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// The relation.
    pub oid: Oid,
    /// The statement.
    pub statement: String,
    /// How far it is, e.g. `42.1%`.
    pub progress: String,
    /// Since when, in microseconds since 1970.
    pub started: i64,
}

/// `oid` reads `on`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Depend {
    /// The reader.
    pub oid: Oid,
    /// What it reads.
    pub on: Oid,
}

/// A function of users.
#[derive(Clone, Debug, Default)]
pub struct Function {
    /// Its number.
    pub oid: Oid,
    /// The schema it is in.
    pub schema: Oid,
    /// Its name.
    pub name: String,
    /// The user who owns it.
    pub owner: Oid,
    /// Names of the types it takes.
    pub arguments: Vec<String>,
    /// The name of the type it returns.
    pub returns: String,
    /// `f`, or `a` for an aggregate, `w` for a window function.
    pub kind: char,
    /// The language it is written in.
    pub language: String,
    /// Its text.
    pub source: String,
}

/// A checkpoint that this start of the server has made durable.
#[derive(Clone, Copy, Debug, Default)]
pub struct Checkpoint {
    /// Everything up to this epoch is in.
    pub epoch: u64,
    /// When it was durable, microseconds since 1970-01-01 UTC.
    pub durable_at: i64,
    /// Time to make it durable, milliseconds.
    pub duration_ms: f64,
    /// Time since the one before, milliseconds; `None` for the first.
    pub interval_ms: Option<f64>,
    /// Bytes written for it.
    pub written_bytes: u64,
    /// Bytes of all state that it refers to.
    pub state_bytes: u64,
}

/// An expectation of a table or source.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// Of which relation.
    pub relation: Oid,
    /// Its name.
    pub name: String,
    /// What holds of good rows, in SQL.
    pub check: String,
    /// FAIL, DROP or QUARANTINE.
    pub on_violation: &'static str,
    /// Rows that violated it since the server started.
    pub violations: u64,
}

/// A secret or connection; never what is in it.
#[derive(Clone, Debug, Default)]
pub struct Secret {
    /// Its number.
    pub oid: Oid,
    /// The schema it is in.
    pub schema: Oid,
    /// Its name.
    pub name: String,
    /// The user who owns it.
    pub owner: Oid,
    /// The kind of connection; `None` for a secret.
    pub connection: Option<String>,
}

/// What the engine runs.
#[derive(Clone, Debug, Default)]
pub struct Job {
    /// The object that it runs for; `None` for an index, or what has no name.
    pub oid: Option<Oid>,
    /// As SHOW JOBS has it.
    pub number: i64,
    /// Its name.
    pub name: String,
    /// `live`, `backfilling`, `retrying`, `failed` or `dropped`.
    pub state: String,
    /// What is wrong, if something is.
    pub error: Option<String>,
}

/// An alert.
#[derive(Clone, Debug, Default)]
pub struct Alert {
    /// Its number.
    pub oid: Oid,
    /// The schema it is in.
    pub schema: Oid,
    /// Its name.
    pub name: String,
    /// The user who owns it.
    pub owner: String,
    /// info, warning or critical.
    pub severity: &'static str,
    /// The query of its rows.
    pub query: String,
    /// How long a row stands before it fires, microseconds.
    pub hold: i64,
    /// The end of the silence over all of it, microseconds since 1970-01-01 UTC.
    pub silenced_until: Option<i64>,
    /// Who is told: channels, and how far each is, as a JSON array.
    pub notify: String,
}

/// A row of an alert that is pending or fires.
#[derive(Clone, Debug, Default)]
pub struct AlertInstance {
    /// The values of its key.
    pub instance: String,
    /// pending or firing.
    pub state: String,
    /// Since when, microseconds since 1970-01-01 UTC.
    pub since: i64,
    /// The row, as JSON.
    pub row: String,
    /// Who has taken note of it, and when.
    pub acknowledged: Option<(String, i64)>,
    /// The end of its silence.
    pub silenced_until: Option<i64>,
}

/// What has happened to a row of an alert.
#[derive(Clone, Debug, Default)]
pub struct AlertEvent {
    /// The values of its key.
    pub instance: String,
    /// pending, firing, resolved or cleared.
    pub transition: String,
    /// When, microseconds since 1970-01-01 UTC.
    pub at: i64,
    /// The row, as JSON.
    pub row: String,
    /// sent, waiting, silenced or none.
    pub notified: &'static str,
}

/// The rows of alerts.
pub trait AlertRows: Debug + Send + Sync {
    /// Those of an alert that are pending or fire.
    fn instances(&self, alert: Oid) -> Vec<AlertInstance>;

    /// What has happened to them, oldest first.
    fn history(&self, alert: Oid) -> Vec<AlertEvent>;
}

/// A dashboard.
#[derive(Clone, Debug, Default)]
pub struct Dashboard {
    /// Its number.
    pub oid: Oid,
    /// The schema it is in.
    pub schema: Oid,
    /// Its name.
    pub name: String,
    /// For people.
    pub title: Option<String>,
    /// The user who owns it.
    pub owner: String,
    /// The statement that makes it.
    pub definition: String,
    /// From the upper left.
    pub panels: Vec<Panel>,
}

/// A panel of a dashboard.
#[derive(Clone, Debug, Default)]
pub struct Panel {
    /// Its name.
    pub name: String,
    /// line, area, bar, number, table, heatmap or map.
    pub kind: &'static str,
    /// Its rows.
    pub query: String,
    /// How it looks, as JSON.
    pub options: String,
}

/// Who asks, and how the session is set up.
#[derive(Clone, Debug, Default)]
pub struct SessionInfo {
    /// `current_user`: whose rights count.
    pub user: String,
    /// `session_user`: who logged in.
    pub session_user: String,
    /// The database's name.
    pub database: String,
    /// Schemas that unqualified names are looked up in, in order; `"$user"` is replaced or left out by the caller.
    pub search_path: Vec<String>,
    /// `pg_backend_pid()`.
    pub pid: i32,
    /// The settings as this session has them, by lowercase name.
    pub settings: BTreeMap<String, String>,
    /// The client's address and port.
    pub client: Option<(String, u16)>,
}
