//! The rows of the system relations. They must not know queries.

mod activity;
pub(super) mod classes;
mod databases;
mod grants;
mod information;
pub(super) mod keys;
mod ours;
mod procs;
mod routines;
mod servers;
mod types;
mod watch;

use super::cell::{Row, row};
use super::scope::Scope;

pub(super) use procs::{procs, signature};

/// The rows of `schema.name`. Relations that are there to be empty have none.
pub(super) fn rows(scope: &Scope, schema: &str, name: &str) -> Vec<Row> {
    match schema {
        "pg_catalog" => pg_catalog(scope, name),
        "information_schema" => information_schema(scope, name),
        _ => ours::rows(scope, name.strip_prefix("rw_").unwrap_or(name), schema == "rw_catalog"),
    }
}

fn pg_catalog(scope: &Scope, name: &str) -> Vec<Row> {
    match name {
        "pg_class" => classes::pg_class(scope),
        "pg_attribute" => classes::pg_attribute(scope),
        "pg_attrdef" => classes::pg_attrdef(scope),
        "pg_description" => classes::pg_description(scope),
        "pg_tables" => classes::pg_tables(scope),
        "pg_views" => classes::pg_views(scope),
        "pg_matviews" => classes::pg_matviews(scope),
        "pg_stat_user_tables" | "pg_stat_all_tables" => classes::pg_stat_tables(scope),
        "pg_index" => keys::pg_index(scope),
        "pg_indexes" => keys::pg_indexes(scope),
        "pg_opclass" => keys::pg_opclass(scope),
        "pg_constraint" => keys::pg_constraint(scope),
        "pg_rewrite" => keys::pg_rewrite(scope),
        "pg_depend" => keys::pg_depend(scope),
        "pg_type" => types::pg_type(scope),
        "pg_range" => types::pg_range(scope),
        "pg_am" => types::pg_am(scope),
        "pg_collation" => types::pg_collation(scope),
        "pg_language" => types::pg_language(scope),
        "pg_tablespace" => types::pg_tablespace(scope),
        "pg_proc" => procs::pg_proc(scope),
        "pg_namespace" => databases::pg_namespace(scope),
        "pg_database" => databases::pg_database(scope),
        "pg_roles" => databases::pg_roles(scope),
        "pg_authid" => databases::pg_authid(scope),
        "pg_user" | "pg_shadow" => databases::pg_user(scope),
        "pg_group" => databases::pg_group(scope),
        "pg_auth_members" => databases::pg_auth_members(scope),
        "pg_settings" => activity::pg_settings(scope),
        "pg_stat_activity" => activity::pg_stat_activity(scope),
        "pg_cursors" => activity::pg_cursors(scope),
        "pg_prepared_statements" => activity::pg_prepared_statements(scope),
        "pg_timezone_names" => activity::pg_timezone_names(scope),
        "pg_foreign_data_wrapper" => servers::pg_foreign_data_wrapper(scope),
        "pg_foreign_server" => servers::pg_foreign_server(scope),
        "pg_foreign_table" => servers::pg_foreign_table(scope),
        "pg_get_keywords" => types::pg_get_keywords(scope),
        _ => Vec::new(),
    }
}

fn information_schema(scope: &Scope, name: &str) -> Vec<Row> {
    match name {
        "information_schema_catalog_name" => vec![row! { "catalog_name" => scope.picture.database.as_str() }],
        "schemata" => information::schemata(scope),
        "tables" => information::tables(scope),
        "views" => information::views(scope),
        "columns" => information::columns(scope),
        "table_constraints" => information::table_constraints(scope),
        "key_column_usage" => information::key_column_usage(scope),
        "constraint_column_usage" => information::constraint_column_usage(scope),
        "constraint_table_usage" => information::constraint_table_usage(scope),
        "role_table_grants" | "table_privileges" => grants::table_privileges(scope),
        "column_privileges" => grants::column_privileges(scope),
        "enabled_roles" => grants::enabled_roles(scope),
        "applicable_roles" | "administrable_role_authorizations" => grants::applicable_roles(scope),
        "routines" => routines::routines(scope),
        "parameters" => routines::parameters(scope),
        "view_table_usage" => information::view_table_usage(scope),
        _ => Vec::new(),
    }
}
