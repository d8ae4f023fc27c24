//! Rows that tell where sources come from: each connector is a server, each source a foreign table of it. It must not
//! know connectors.

use std::collections::BTreeSet;

use super::{Row, row};
use crate::system::picture::{Kind, OWNER, Oid, Relation};
use crate::system::scope::Scope;

/// The one wrapper that all servers have.
const WRAPPER: Oid = 15_900;
/// The first server's number.
const SERVERS: Oid = 15_901;

fn sources(scope: &Scope) -> impl Iterator<Item = &Relation> {
    scope.relations().filter(|relation| relation.kind == Kind::Source)
}

fn connector(source: &Relation) -> &str {
    source.connector.as_deref().unwrap_or("unknown")
}

/// Connectors and their numbers.
fn servers(scope: &Scope) -> Vec<(Oid, &str)> {
    let names: BTreeSet<&str> = sources(scope).map(connector).collect();
    (SERVERS..).zip(names).collect()
}

pub(super) fn pg_foreign_data_wrapper(_: &Scope) -> Vec<Row> {
    vec![row! { "oid" => WRAPPER, "fdwname" => "thalweg", "fdwowner" => OWNER, "fdwhandler" => 0, "fdwvalidator" => 0 }]
}

pub(super) fn pg_foreign_server(scope: &Scope) -> Vec<Row> {
    let row =
        |(oid, name): (Oid, &str)| row! { "oid" => oid, "srvname" => name, "srvowner" => OWNER, "srvfdw" => WRAPPER };
    servers(scope).into_iter().map(row).collect()
}

pub(super) fn pg_foreign_table(scope: &Scope) -> Vec<Row> {
    let servers = servers(scope);
    let row = |source: &Relation| {
        let server = servers.iter().find(|(_, name)| *name == connector(source)).map(|(oid, _)| *oid);
        row! { "ftrelid" => source.oid, "ftserver" => server }
    };
    sources(scope).map(row).collect()
}
