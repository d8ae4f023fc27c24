//! Rows of settings, sessions and what a session has open. It must not know relations.

use super::{Row, row};
use crate::system::picture::{Cursor, Oid, Prepared, Session, Setting};
use crate::system::scope::Scope;
use crate::system::settings;
use crate::system::types;

/// A setting as this session has it.
pub(super) fn current<'a>(scope: &'a Scope, setting: &'a Setting) -> &'a str {
    scope.session.settings.get(&setting.name.to_lowercase()).map_or(setting.value.as_str(), String::as_str)
}

pub(super) fn pg_settings(scope: &Scope) -> Vec<Row> {
    let row = |setting: &Setting| {
        let value = current(scope, setting);
        row! {
            "name" => setting.name.as_str(), "setting" => value, "category" => setting.category.as_str(),
            "short_desc" => setting.description.as_str(), "context" => "user", "vartype" => kind(value),
            "source" => if value == setting.value { "default" } else { "session" },
            "boot_val" => setting.value.as_str(), "reset_val" => setting.value.as_str(), "pending_restart" => false,
        }
    };
    let told = scope.picture.settings.iter().map(row);
    let known = |name: &str| scope.picture.settings.iter().any(|setting| setting.name.eq_ignore_ascii_case(name));
    let preset = settings::preset(known).map(|(name, value)| {
        row! {
            "name" => name, "setting" => value, "category" => "Preset Options", "context" => "internal",
            "vartype" => kind(value), "source" => "default", "boot_val" => value, "reset_val" => value,
            "pending_restart" => false,
        }
    });
    told.chain(preset).collect()
}

fn kind(value: &str) -> &'static str {
    match value {
        "on" | "off" => "bool",
        value if value.parse::<i64>().is_ok() => "integer",
        value if value.parse::<f64>().is_ok() => "real",
        _ => "string",
    }
}

pub(super) fn pg_stat_activity(scope: &Scope) -> Vec<Row> {
    let row = |session: &Session| {
        row! {
            "datid" => scope.picture.database_oid, "datname" => session.database.as_str(), "pid" => session.pid,
            "usesysid" => session.user, "usename" => scope.user(session.user).map(|user| user.name.as_str()),
            "application_name" => session.application.as_str(), "client_addr" => session.client.as_deref(),
            "backend_start" => session.started, "state" => session.state.as_str(), "query" => session.query.as_str(),
            "backend_type" => "client backend",
        }
    };
    scope.picture.sessions.iter().map(row).collect()
}

pub(super) fn pg_cursors(scope: &Scope) -> Vec<Row> {
    let row = |cursor: &Cursor| {
        row! {
            "name" => cursor.name.as_str(), "statement" => cursor.statement.as_str(), "is_holdable" => cursor.holdable,
            "is_binary" => false, "is_scrollable" => false, "creation_time" => cursor.created,
        }
    };
    scope.picture.cursors.iter().map(row).collect()
}

pub(super) fn pg_prepared_statements(scope: &Scope) -> Vec<Row> {
    let row = |prepared: &Prepared| {
        let of = |name: &String| types::written(name).map_or(0, |of| of.oid);
        let parameters: Vec<Oid> = prepared.parameter_types.iter().map(of).collect();
        row! {
            "name" => prepared.name.as_str(), "statement" => prepared.statement.as_str(),
            "prepare_time" => prepared.created, "parameter_types" => parameters, "from_sql" => prepared.from_sql,
            "generic_plans" => 0, "custom_plans" => 0,
        }
    };
    scope.picture.prepared.iter().map(row).collect()
}

pub(super) fn pg_timezone_names(_: &Scope) -> Vec<Row> {
    let row = |name: &str| row! { "name" => name, "abbrev" => "UTC", "is_dst" => false };
    ["Etc/UTC", "GMT", "UTC"].into_iter().map(row).collect()
}
