//! Rows of functions: those that read and write types, those of the system, those of users. It must not know how any of
//! them runs.

use std::collections::HashSet;
use std::sync::LazyLock;

use super::{Row, row};
use crate::system::functions;
use crate::system::picture::{OWNER, Oid};
use crate::system::scope::Scope;
use crate::system::types;

/// A function as `pg_proc` tells of it.
#[derive(Clone, Debug)]
pub(in crate::system) struct Proc {
    pub oid: Oid,
    pub name: String,
    pub schema: Oid,
    pub owner: Oid,
    pub returns: Oid,
    pub arguments: Vec<Oid>,
    pub kind: char,
    pub volatility: &'static str,
    pub language: &'static str,
    pub source: String,
}

/// Functions that read and write the types' values: `oid|name|returns|arguments|volatility`.
static OF_TYPES: LazyLock<Vec<Proc>> = LazyLock::new(|| {
    let parse = |line: &'static str| {
        let fields: Vec<&'static str> = line.split('|').collect();
        let &[oid, name, returns, arguments, volatility] = &fields[..] else { return None };
        let arguments = arguments.split_whitespace().filter_map(|oid| oid.parse().ok()).collect();
        let (oid, returns) = (oid.parse().ok()?, returns.parse().ok()?);
        Some(internal(oid, name, returns, arguments, volatility))
    };
    include_str!("../data/procs.txt").lines().filter_map(parse).collect()
});

/// Functions of the system by the names they are called by. Their numbers are those of no other object.
static OF_SYSTEM: LazyLock<Vec<Proc>> = LazyLock::new(|| {
    const FIRST: usize = 15000;
    let known: HashSet<&str> = OF_TYPES.iter().map(|known| known.name.as_str()).collect();
    let ours = functions::signatures().filter(|(name, _, _)| !known.contains(name));
    ours.enumerate()
        .map(|(at, (name, arguments, returns))| {
            let oid = Oid::try_from(FIRST + at).unwrap_or(Oid::MAX);
            let of = |name: &str| types::by_name(name).map_or(0, |of| of.oid);
            internal(oid, name, of(returns), vec![of("any"); arguments], "s")
        })
        .collect()
});

fn internal(oid: Oid, name: &str, returns: Oid, arguments: Vec<Oid>, volatility: &'static str) -> Proc {
    Proc {
        oid,
        name: name.to_owned(),
        schema: 11,
        owner: OWNER,
        returns,
        arguments,
        kind: 'f',
        volatility,
        language: "internal",
        source: name.to_owned(),
    }
}

pub(in crate::system) fn procs(scope: &Scope) -> impl Iterator<Item = Proc> {
    let system = OF_TYPES.iter().chain(OF_SYSTEM.iter()).cloned();
    let of = |name: &str| types::written(name).map_or(0, |of| of.oid);
    system.chain(scope.picture.functions.iter().map(move |function| Proc {
        oid: function.oid,
        name: function.name.clone(),
        schema: function.schema,
        owner: function.owner,
        returns: of(&function.returns),
        arguments: function.arguments.iter().map(|name| of(name)).collect(),
        kind: function.kind,
        volatility: "v",
        language: if function.language.eq_ignore_ascii_case("sql") { "sql" } else { "c" },
        source: function.source.clone(),
    }))
}

/// The types that a function takes, as SQL calls them.
pub(in crate::system) fn signature(proc: &Proc) -> String {
    let name = |oid: &Oid| types::by_oid(*oid).map_or("-", |of| types::spelled(of.name));
    proc.arguments.iter().map(name).collect::<Vec<_>>().join(", ")
}

pub(super) fn pg_proc(scope: &Scope) -> Vec<Row> {
    let row = |proc: Proc| {
        let language = match proc.language {
            "internal" => 12,
            "sql" => 14,
            _ => 13,
        };
        row! {
            "oid" => proc.oid, "proname" => proc.name, "pronamespace" => proc.schema, "proowner" => proc.owner,
            "prolang" => language, "procost" => 1.0, "prorows" => 0.0, "provariadic" => 0, "prosupport" => 0,
            "prokind" => proc.kind.to_string(), "prosecdef" => false, "proleakproof" => false, "proisstrict" => true,
            "proretset" => false, "provolatile" => proc.volatility, "proparallel" => "s",
            "pronargs" => proc.arguments.len(), "pronargdefaults" => 0, "prorettype" => proc.returns,
            "proargtypes" => proc.arguments, "prosrc" => proc.source,
        }
    };
    procs(scope).map(row).collect()
}
