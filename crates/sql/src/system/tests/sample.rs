//! A small database: two users, a table with a key and a default, another, a view, a materialized view, indexes, a
//! source, a sink, comments, grants. It must not know what is asked of it.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, TimeUnit};

use crate::system::{
    Alert, Checkpoint, Column, Cursor, Dashboard, Depend, Expectation, Function, Index, Job, Kind, OWNER, Oid,
    PUBLIC_SCHEMA, Panel, Picture, Prepared, Privilege, Progress, Relation, Schema, Secret, Session, SessionInfo,
    Setting, SystemCatalog, User,
};

pub(super) const ORDERS: Oid = 16391;
const CLICKS: Oid = 16400;
const BIG_ORDERS: Oid = 16405;
const REVENUE: Oid = 16409;
const APP: Oid = 16389;

fn column(name: &str, data_type: DataType) -> Column {
    Column {
        name: name.to_owned(),
        data_type,
        pg_type: None,
        not_null: false,
        default: None,
        generated: None,
        comment: None,
    }
}

fn relation(oid: Oid, name: &str, kind: Kind, columns: Vec<Column>, definition: &str) -> Relation {
    Relation {
        oid,
        schema: PUBLIC_SCHEMA,
        name: name.to_owned(),
        kind,
        owner: OWNER,
        columns,
        primary_key: Vec::new(),
        definition: definition.to_owned(),
        comment: None,
        rows: None,
        index: None,
        privileges: Vec::new(),
        connector: None,
    }
}

fn index(oid: Oid, name: &str, of: Index) -> Relation {
    let mut index = relation(oid, name, Kind::Index, Vec::new(), "");
    index.index = Some(of);
    index
}

fn relations() -> Vec<Relation> {
    let text = || DataType::Utf8View;
    let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()));
    let tags = DataType::List(Arc::new(Field::new_list_field(DataType::Utf8View, true)));
    let mut orders = relation(
        ORDERS,
        "orders",
        Kind::Table,
        vec![
            Column { not_null: true, ..column("id", DataType::Int64) },
            Column {
                default: Some("'nobody'::character varying".to_owned()),
                comment: Some("who ordered".to_owned()),
                ..column("customer", text())
            },
            column("total", DataType::Decimal128(10, 2)),
            column("placed", instant),
            Column { pg_type: Some("_text".to_owned()), ..column("tags", tags) },
        ],
        "CREATE TABLE orders (id bigint PRIMARY KEY, customer varchar, total numeric(10, 2), placed timestamptz, tags text[])",
    );
    orders.primary_key = vec![0];
    orders.comment = Some("all orders".to_owned());
    orders.rows = Some(3);
    orders.privileges =
        vec![Privilege { grantee: APP, rights: vec!["SELECT".to_owned(), "INSERT".to_owned()], grantor: OWNER }];
    let clicks = vec![column("id", DataType::Int32), column("url", text())];
    let big = vec![column("id", DataType::Int64), column("total", DataType::Decimal128(10, 2))];
    let revenue = vec![column("customer", text()), column("total", DataType::Decimal128(38, 10))];
    let mut events =
        relation(16420, "Events", Kind::Source, clicks.clone(), "CREATE SOURCE \"Events\" (id int, url varchar)");
    events.connector = Some("kafka".to_owned());
    let mut alerts = relation(16421, "alerts", Kind::Sink, big.clone(), "CREATE SINK alerts FROM big_orders");
    alerts.connector = Some("webhook".to_owned());
    let key = Index { table: ORDERS, columns: vec![0], unique: true, primary: true };
    let by_customer = |table: Oid, at: usize| Index { table, columns: vec![at], unique: false, primary: false };
    vec![
        orders,
        index(16397, "orders_pkey", key),
        index(16399, "orders_customer", by_customer(ORDERS, 1)),
        relation(CLICKS, "clicks", Kind::Table, clicks, "CREATE TABLE clicks (id int, url varchar)"),
        relation(BIG_ORDERS, "big_orders", Kind::View, big, "SELECT id, total FROM orders WHERE total > 100"),
        relation(
            REVENUE,
            "revenue",
            Kind::MaterializedView,
            revenue,
            "SELECT customer, sum(total) AS total FROM orders GROUP BY customer",
        ),
        index(16415, "revenue_customer", by_customer(REVENUE, 0)),
        events,
        alerts,
    ]
}

fn users() -> Vec<User> {
    let user = |oid: Oid, name: &str| User { oid, name: name.to_owned(), can_login: true, ..User::default() };
    let all = |user: User| User { superuser: true, create_db: true, create_role: true, password_set: true, ..user };
    vec![
        all(user(OWNER, "postgres")),
        User { member_of: vec![16423], ..user(APP, "app") },
        all(user(16390, "boss")),
        User { can_login: false, ..user(16423, "readers") },
    ]
}

pub(super) fn picture() -> Picture {
    let setting = |name: &str, value: &str| Setting {
        name: name.to_owned(),
        value: value.to_owned(),
        description: format!("Sets {name}."),
        category: "Session".to_owned(),
    };
    let schema = |oid: Oid, name: &str| Schema { oid, name: name.to_owned(), owner: OWNER };
    Picture {
        database: "thalweg".to_owned(),
        database_oid: 16388,
        version: "0.1.0".to_owned(),
        started: 1_700_000_000_000_000,
        schemas: vec![schema(PUBLIC_SCHEMA, "public"), schema(16416, "extra")],
        relations: relations(),
        users: users(),
        settings: vec![setting("DateStyle", "ISO, MDY"), setting("search_path", "\"$user\", public")],
        sessions: vec![Session {
            pid: 7,
            user: OWNER,
            database: "thalweg".to_owned(),
            application: "psql".to_owned(),
            state: "active".to_owned(),
            query: "SELECT 1".to_owned(),
            started: 1_700_000_001_000_000,
            client: Some("127.0.0.1".to_owned()),
        }],
        cursors: vec![Cursor {
            name: "c".to_owned(),
            statement: "DECLARE c CURSOR FOR SELECT 1".to_owned(),
            ..Cursor::default()
        }],
        prepared: vec![Prepared {
            name: "p".to_owned(),
            statement: "SELECT $1".to_owned(),
            parameter_types: vec!["integer".to_owned()],
            ..Prepared::default()
        }],
        progress: vec![Progress {
            oid: REVENUE,
            statement: "CREATE MATERIALIZED VIEW revenue …".to_owned(),
            progress: "42%".to_owned(),
            started: 0,
        }],
        depends: vec![Depend { oid: BIG_ORDERS, on: ORDERS }, Depend { oid: REVENUE, on: ORDERS }],
        functions: vec![Function {
            oid: 16430,
            schema: PUBLIC_SCHEMA,
            name: "twice".to_owned(),
            owner: OWNER,
            arguments: vec!["integer".to_owned()],
            returns: "bigint".to_owned(),
            kind: 'f',
            language: "sql".to_owned(),
            source: "SELECT 2 * $1".to_owned(),
        }],
        secrets: vec![Secret {
            oid: 16431,
            schema: PUBLIC_SCHEMA,
            name: "token".to_owned(),
            owner: OWNER,
            connection: None,
        }],
        expectations: vec![Expectation {
            relation: 16384,
            name: "positive".to_owned(),
            check: "amount > 0".to_owned(),
            on_violation: "QUARANTINE",
            violations: 2,
        }],
        checkpoints: vec![Checkpoint { epoch: 7, durable_at: 1_000_000, state_bytes: 4096, ..Checkpoint::default() }],
        jobs: vec![Job { number: 3, name: "hot".to_owned(), state: "live".to_owned(), ..Job::default() }],
        alerts: vec![Alert {
            oid: 16500,
            name: "hot".to_owned(),
            severity: "info",
            hold: 90_500_000,
            ..Alert::default()
        }],
        alert_rows: None,
        dashboards: vec![Dashboard { oid: 16501, panels: vec![Panel::default()], ..Dashboard::default() }],
    }
}

/// Of user `postgres`.
pub(super) fn session() -> SessionInfo {
    SessionInfo {
        user: "postgres".to_owned(),
        session_user: "postgres".to_owned(),
        database: "thalweg".to_owned(),
        search_path: vec!["public".to_owned()],
        pid: 7,
        settings: [("search_path".to_owned(), "\"$user\", public".to_owned())].into(),
        client: Some(("127.0.0.1".to_owned(), 5000)),
    }
}

/// The catalogs as user `postgres` sees them.
pub(super) fn catalog() -> SystemCatalog {
    SystemCatalog::new(Arc::new(picture()), Arc::new(session()))
}
