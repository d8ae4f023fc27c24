//! Functions about the server and the session. They must not know objects.

use datafusion::error::Result;
use thalweg_core::SqlState;

use super::call::{Call, Entry, entry, error};
use crate::system::cell::Cell;
use crate::system::settings;

pub(super) static ENTRIES: &[Entry] = &[
    entry("version", 0..=0, "text", |call| {
        Ok(format!("PostgreSQL 15.0 (Thalweg {}) on {}", call.scope.picture.version, std::env::consts::ARCH).into())
    }),
    entry("current_database", 0..=0, "name", |call| Ok(call.scope.session.database.as_str().into())),
    entry("current_catalog", 0..=0, "name", |call| Ok(call.scope.session.database.as_str().into())),
    entry("current_schema", 0..=0, "name", |call| Ok(schemas(call, false).into_iter().next().into())),
    entry("current_schemas", 1..=1, "_name", |call| Ok(schemas(call, call.arg(0).bool() == Some(true)).into())),
    entry("current_user", 0..=0, "name", user),
    entry("current_role", 0..=0, "name", user),
    entry("user", 0..=0, "name", user),
    entry("session_user", 0..=0, "name", |call| Ok(call.scope.session.session_user.as_str().into())),
    entry("system_user", 0..=0, "text", |_| Ok(Cell::Null)),
    entry("current_setting", 1..=2, "text", current_setting),
    // It is the caller who sets: here is only the value that it is set to.
    entry("set_config", 3..=3, "text", |call| Ok(call.arg(1).clone())),
    entry("pg_backend_pid", 0..=0, "int4", |call| Ok(call.scope.session.pid.into())),
    entry("pg_is_in_recovery", 0..=0, "bool", |_| Ok(false.into())),
    entry("pg_is_wal_replay_paused", 0..=0, "bool", |_| Ok(false.into())),
    entry("pg_jit_available", 0..=0, "bool", |_| Ok(false.into())),
    entry("pg_postmaster_start_time", 0..=0, "timestamptz", |call| Ok(call.scope.picture.started.into())),
    entry("pg_conf_load_time", 0..=0, "timestamptz", |call| Ok(call.scope.picture.started.into())),
    entry("inet_server_addr", 0..=0, "inet", |_| Ok(Cell::Null)),
    entry("inet_server_port", 0..=0, "int4", |_| Ok(Cell::Null)),
    entry("inet_client_addr", 0..=0, "inet", |call| Ok(client(call).map(|(host, _)| host.as_str()).into())),
    entry("inet_client_port", 0..=0, "int4", |call| Ok(client(call).map(|(_, port)| i32::from(*port)).into())),
    entry("txid_current", 0..=0, "int8", |_| Ok(1.into())),
    entry("txid_current_if_assigned", 0..=0, "int8", |_| Ok(Cell::Null)),
    entry("pg_current_xact_id", 0..=0, "int8", |_| Ok(1.into())),
    entry("pg_current_xact_id_if_assigned", 0..=0, "int8", |_| Ok(Cell::Null)),
    entry("pg_last_xact_replay_timestamp", 0..=0, "timestamptz", |_| Ok(Cell::Null)),
    entry("pg_my_temp_schema", 0..=0, "oid", |_| Ok(0.into())),
    entry("pg_is_other_temp_schema", 1..=1, "bool", |_| Ok(false.into())),
    entry("pg_blocking_pids", 1..=1, "_int4", |_| Ok(Cell::List(Vec::new()))),
    entry("pg_client_encoding", 0..=0, "name", |_| Ok("UTF8".into())),
    entry("getdatabaseencoding", 0..=0, "name", |_| Ok("UTF8".into())),
    entry("pg_encoding_to_char", 1..=1, "name", |call| Ok(encoding(call.int(0)))),
    entry("pg_char_to_encoding", 1..=1, "int4", |call| {
        let wanted = call.text(0).map(str::to_uppercase);
        let at = wanted.and_then(|name| ENCODINGS.iter().position(|(_, known)| *known == name));
        Ok(at.map_or(-1, |at| ENCODINGS[at].0).into())
    }),
    entry("pg_stat_get_numscans", 1..=1, "int8", |_| Ok(0.into())),
];

const ENCODINGS: [(i64, &str); 3] = [(0, "SQL_ASCII"), (6, "UTF8"), (8, "LATIN1")];

fn encoding(number: Option<i64>) -> Cell {
    let known = |number: i64| ENCODINGS.iter().find(|(known, _)| *known == number).map_or("", |(_, name)| *name);
    number.map(known).into()
}

fn client<'a>(call: &'a Call<'_>) -> Option<&'a (String, u16)> {
    call.scope.session.client.as_ref()
}

fn user(call: &Call<'_>) -> Result<Cell> {
    Ok(call.scope.session.user.as_str().into())
}

/// The schemas of the path that exist.
fn schemas(call: &Call<'_>, implicit: bool) -> Vec<String> {
    let scope = call.scope;
    let explicit = scope.session.search_path.iter().map(String::as_str);
    let path: Vec<&str> = if implicit { scope.path() } else { explicit.collect() };
    path.into_iter().filter(|name| scope.schema_named(name).is_some()).map(str::to_owned).collect()
}

fn current_setting(call: &Call<'_>) -> Result<Cell> {
    let Some(name) = call.text(0) else { return Ok(Cell::Null) };
    let lower = name.to_lowercase();
    if let Some(value) = call.scope.session.settings.get(&lower) {
        return Ok(value.as_str().into());
    }
    let setting = call.scope.picture.settings.iter().find(|setting| setting.name.eq_ignore_ascii_case(name));
    let value = setting.map(|setting| setting.value.as_str()).or_else(|| settings::value(&lower));
    match value {
        Some(value) => Ok(value.into()),
        None if lower == "search_path" => Ok(call.scope.session.search_path.join(", ").into()),
        None if call.arg(1).bool() == Some(true) => Ok(Cell::Null),
        None => Err(error(SqlState::UNDEFINED_OBJECT, format!("unrecognized configuration parameter \"{name}\""))),
    }
}
