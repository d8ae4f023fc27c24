//! Rows of `thalweg_catalog`, and of `rw_catalog`, which has the same under the names that RisingWave's users know. It
//! must not know `pg_catalog`.

use super::{Row, row};
use crate::system::cell::Cell;
use crate::system::columns;
use crate::system::definition;
use crate::system::picture::{Checkpoint, Expectation, Kind, OWNER, Oid, Relation, Secret};
use crate::system::privileges::acl;
use crate::system::scope::{IndexEntry, Scope};
use crate::system::types;

/// The rows of a relation by its name without `rw_`.
pub(super) fn rows(scope: &Scope, name: &str, rw: bool) -> Vec<Row> {
    match name {
        "tables" => of_kind(scope, Kind::Table, rw),
        "materialized_views" => of_kind(scope, Kind::MaterializedView, rw),
        "sources" => of_kind(scope, Kind::Source, rw),
        "sinks" => of_kind(scope, Kind::Sink, rw),
        "views" => of_kind(scope, Kind::View, rw),
        "indexes" => scope.indexes.iter().map(|index| index_row(scope, index, rw)).collect(),
        "relations" => scope.relations().map(|relation| listed(scope, relation, rw)).collect(),
        "relation_info" => scope.relations().map(|relation| information(scope, relation)).collect(),
        "columns" => scope.relations().flat_map(|relation| columns_of(relation, rw)).collect(),
        "schemas" => schemas(scope),
        "databases" => vec![row! {
            "id" => scope.picture.database_oid, "name" => scope.picture.database.as_str(), "owner" => OWNER,
        }],
        "users" => users(scope, rw),
        "functions" => functions(scope, rw),
        "connections" => secrets(scope, true),
        "secrets" => secrets(scope, false),
        "types" => types::all().iter().map(type_row).collect(),
        "system_tables" => columns::all().iter().map(|system| system_row(system, rw)).collect(),
        "depend" => scope.picture.depends.iter().map(|d| row! { "objid" => d.oid, "refobjid" => d.on }).collect(),
        "description" => super::classes::pg_description(scope),
        "ddl_progress" => progress(scope, rw),
        "table_stats" => scope.relations().filter(|r| r.rows.is_some()).map(stats).collect(),
        "streaming_jobs" => scope.relations().filter(|r| is_streaming(r.kind)).map(|r| job(scope, r)).collect(),
        "settings" => settings(scope),
        "expectations" => scope.picture.expectations.iter().filter_map(|e| expectation(scope, e)).collect(),
        "checkpoints" => scope.picture.checkpoints.iter().map(checkpoint).collect(),
        "sessions" => sessions(scope),
        "recovery_info" => vec![row! { "id" => 1, "state" => "RUNNING" }],
        _ if rw => Vec::new(),
        watched => super::watch::rows(scope, watched),
    }
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Table => "table",
        Kind::Source => "source",
        Kind::View => "view",
        Kind::MaterializedView => "materialized view",
        Kind::Sink => "sink",
        Kind::Index => "index",
    }
}

fn is_streaming(kind: Kind) -> bool {
    matches!(kind, Kind::Table | Kind::Source | Kind::MaterializedView | Kind::Sink)
}

fn common(scope: &Scope, relation: &Relation) -> Row {
    row! {
        "id" => relation.oid, "name" => relation.name.as_str(), "schema_id" => relation.schema,
        "owner" => relation.owner, "definition" => relation.definition.as_str(), "acl" => acl(scope, relation),
    }
}

fn estimate(relation: &Relation) -> Option<i64> {
    relation.rows.map(|rows| i64::try_from(rows).unwrap_or(i64::MAX))
}

fn of_kind(scope: &Scope, kind: Kind, rw: bool) -> Vec<Row> {
    let row = |relation: &Relation| {
        let mut row = common(scope, relation);
        if matches!(kind, Kind::Table) || (rw && matches!(kind, Kind::MaterializedView | Kind::Source)) {
            let append_only = relation.primary_key.is_empty() && kind != Kind::MaterializedView;
            row.extend(row! { "append_only" => append_only });
        }
        if matches!(kind, Kind::Source | Kind::Sink) {
            row.extend(row! { "connector" => relation.connector.as_deref() });
        }
        if kind == Kind::Source {
            let names: Vec<&str> = relation.columns.iter().map(|column| column.name.as_str()).collect();
            row.extend(row! { "columns" => names });
        }
        if !rw {
            row.extend(row! { "comment" => relation.comment.as_deref() });
            if matches!(kind, Kind::Table | Kind::MaterializedView) {
                row.extend(row! { "estimated_rows" => estimate(relation) });
            }
        }
        row
    };
    scope.relations().filter(|relation| relation.kind == kind).map(row).collect()
}

fn index_row(scope: &Scope, index: &IndexEntry, rw: bool) -> Row {
    let columns: Vec<&str> = scope.index_columns(index).map(|column| column.name.as_str()).collect();
    let mut row = row! {
        "id" => index.oid, "name" => index.name.as_str(), "primary_table_id" => index.of.table,
        "key_columns" => columns, "schema_id" => index.schema, "owner" => index.owner,
        "definition" => definition::index(scope, index, false),
    };
    if !rw {
        row.extend(row! { "unique" => index.of.unique });
    }
    row
}

fn listed(scope: &Scope, relation: &Relation, rw: bool) -> Row {
    let mut row = common(scope, relation);
    row.extend(row! { "relation_type" => word(relation.kind) });
    if !rw {
        row.extend(row! {
            "schema_name" => scope.schema_name(relation.schema), "comment" => relation.comment.as_deref(),
        });
    }
    row
}

fn information(scope: &Scope, relation: &Relation) -> Row {
    row! {
        "schemaname" => scope.schema_name(relation.schema), "relationname" => relation.name.as_str(),
        "relationowner" => relation.owner, "definition" => relation.definition.as_str(),
        "relationtype" => word(relation.kind).to_uppercase(), "relationid" => relation.oid, "relationtimezone" => "UTC",
    }
}

fn columns_of(relation: &Relation, rw: bool) -> Vec<Row> {
    let columns = relation.columns.iter().enumerate().map(|(at, column)| {
        let (of, _) = types::of_column(&column.data_type, column.pg_type.as_deref());
        let mut row = row! {
            "relation_id" => relation.oid, "name" => column.name.as_str(), "position" => at + 1, "is_hidden" => false,
            "is_primary_key" => relation.primary_key.contains(&at), "is_generated" => column.generated.is_some(),
            "generation_expression" => column.generated.as_deref(), "data_type" => types::spelled(of.name),
            "type_oid" => of.oid,
        };
        row.extend(if rw {
            row! {
                "is_distribution_key" => false, "is_nullable" => !column.not_null, "type_len" => of.len,
                "udt_type" => of.name,
            }
        } else {
            row! {
                "relation_name" => relation.name.as_str(), "column_default" => column.default.as_deref(),
                "not_null" => column.not_null, "comment" => column.comment.as_deref(),
            }
        });
        row
    });
    columns.collect()
}

fn schemas(scope: &Scope) -> Vec<Row> {
    let row = |(oid, name, owner): (Oid, &str, Oid)| row! { "id" => oid, "name" => name, "owner" => owner };
    scope.schemas().map(row).collect()
}

fn users(scope: &Scope, rw: bool) -> Vec<Row> {
    let rows = scope.picture.users.iter().map(|user| {
        let mut row = row! {
            "id" => user.oid, "name" => user.name.as_str(), "is_super" => user.superuser, "create_db" => user.create_db,
            "create_user" => user.create_role, "can_login" => user.can_login,
        };
        if !rw {
            row.extend(row! { "password_set" => user.password_set, "valid_until" => user.valid_until });
        }
        row
    });
    rows.collect()
}

fn functions(scope: &Scope, rw: bool) -> Vec<Row> {
    let number = |name: &str| types::written(name).map_or(0, |of| of.oid);
    let rows = scope.picture.functions.iter().map(|function| {
        let arguments: Vec<Oid> = function.arguments.iter().map(|name| number(name)).collect();
        let mut row = row! {
            "id" => function.oid, "name" => function.name.as_str(), "schema_id" => function.schema,
            "owner" => function.owner, "type" => if function.kind == 'a' { "aggregate" } else { "scalar" },
            "arg_type_ids" => arguments, "return_type_id" => number(&function.returns),
            "language" => function.language.as_str(),
        };
        if !rw {
            row.extend(row! {
                "arg_types" => function.arguments.join(", "), "return_type" => function.returns.as_str(),
                "definition" => function.source.as_str(),
            });
        }
        row
    });
    rows.collect()
}

fn expectation(scope: &Scope, expectation: &Expectation) -> Option<Row> {
    let relation = scope.relations().find(|relation| relation.oid == expectation.relation)?;
    Some(row! {
        "relation_id" => relation.oid, "schema_name" => scope.schema_name(relation.schema),
        "relation_name" => relation.name.as_str(), "name" => expectation.name.as_str(),
        "check" => expectation.check.as_str(), "on_violation" => expectation.on_violation,
        "violations" => i64::try_from(expectation.violations).unwrap_or(i64::MAX),
    })
}

fn checkpoint(checkpoint: &Checkpoint) -> Row {
    let whole = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    row! {
        "epoch" => whole(checkpoint.epoch), "durable_at" => checkpoint.durable_at,
        "interval_ms" => checkpoint.interval_ms, "duration_ms" => checkpoint.duration_ms,
        "written_bytes" => whole(checkpoint.written_bytes), "state_bytes" => whole(checkpoint.state_bytes),
    }
}

fn secrets(scope: &Scope, connections: bool) -> Vec<Row> {
    let wanted = scope.picture.secrets.iter().filter(|secret| secret.connection.is_some() == connections);
    let row = |secret: &Secret| {
        let mut row = row! {
            "id" => secret.oid, "name" => secret.name.as_str(), "schema_id" => secret.schema, "owner" => secret.owner,
        };
        row.extend(secret.connection.iter().map(|kind| ("type", Cell::from(kind.as_str()))));
        row
    };
    wanted.map(row).collect()
}

fn type_row(of: &types::PgType) -> Row {
    row! {
        "id" => of.oid, "name" => types::spelled(of.name), "input_oid" => of.input, "typelem" => of.element,
        "typarray" => of.array,
    }
}

fn system_row(system: &columns::SystemRelation, rw: bool) -> Row {
    let mut row = row! {
        "id" => system.oid, "name" => system.name, "schema_id" => system.schema_oid, "owner" => OWNER,
    };
    if !rw {
        row.extend(row! {
            "schema_name" => system.schema,
            "relation_type" => if system.kind == "r" { "system table" } else { "system view" },
        });
    }
    row
}

fn progress(scope: &Scope, rw: bool) -> Vec<Row> {
    let rows = scope.picture.progress.iter().map(|progress| {
        let mut row = row! {
            "ddl_id" => progress.oid, "ddl_statement" => progress.statement.as_str(),
            "progress" => progress.progress.as_str(), "initialized_at" => progress.started,
        };
        if rw {
            row.extend(row! { "create_type" => "FOREGROUND", "is_serverless" => false });
        }
        row
    });
    rows.collect()
}

fn stats(relation: &Relation) -> Row {
    row! { "id" => relation.oid, "total_key_count" => estimate(relation) }
}

fn job(scope: &Scope, relation: &Relation) -> Row {
    let filling = scope.picture.progress.iter().any(|progress| progress.oid == relation.oid);
    row! {
        "job_id" => relation.oid, "name" => relation.name.as_str(),
        "status" => if filling { "CREATING" } else { "CREATED" }, "timezone" => "UTC", "parallelism" => "ADAPTIVE",
        "resource_group" => "default", "relation_type" => word(relation.kind),
        "database_id" => scope.picture.database_oid, "schema_id" => relation.schema,
    }
}

fn settings(scope: &Scope) -> Vec<Row> {
    let rows = scope.picture.settings.iter().map(|setting| {
        row! {
            "name" => setting.name.as_str(), "setting" => super::activity::current(scope, setting),
            "description" => setting.description.as_str(), "category" => setting.category.as_str(),
        }
    });
    rows.collect()
}

fn sessions(scope: &Scope) -> Vec<Row> {
    let rows = scope.picture.sessions.iter().map(|session| {
        row! {
            "pid" => session.pid, "user_id" => session.user,
            "user_name" => scope.user(session.user).map(|user| user.name.as_str()),
            "database" => session.database.as_str(), "application_name" => session.application.as_str(),
            "state" => session.state.as_str(), "query" => session.query.as_str(), "started_at" => session.started,
            "client_addr" => session.client.as_deref(),
        }
    });
    rows.collect()
}
