//! Rows that are the same in every database: types and what belongs to them. It must not know relations.

use super::{Row, row};
use crate::system::picture::{OWNER, Oid};
use crate::system::quote;
use crate::system::scope::Scope;
use crate::system::types::{self, PgType};

pub(super) fn pg_type(_: &Scope) -> Vec<Row> {
    let row = |of: &PgType| {
        row! {
            "oid" => of.oid, "typname" => of.name, "typnamespace" => 11, "typowner" => OWNER, "typlen" => of.len,
            "typbyval" => of.by_value, "typtype" => of.kind, "typcategory" => of.category,
            "typispreferred" => of.preferred, "typisdefined" => true, "typdelim" => of.delimiter, "typrelid" => 0,
            "typsubscript" => of.subscript, "typelem" => of.element, "typarray" => of.array, "typinput" => of.input,
            "typoutput" => of.output, "typreceive" => of.receive, "typsend" => of.send,
            "typmodin" => of.modifier_in, "typmodout" => of.modifier_out, "typanalyze" => 0, "typalign" => of.align,
            "typstorage" => of.storage, "typnotnull" => false, "typbasetype" => 0, "typtypmod" => -1, "typndims" => 0,
            "typcollation" => of.collation,
        }
    };
    types::all().iter().map(row).collect()
}

/// Ranges: the type, of what, the multirange, the operator class, the canonical form, the difference.
const RANGES: [[Oid; 6]; 6] = [
    [3904, 23, 4451, 1978, 3914, 3922],
    [3906, 1700, 4532, 3125, 0, 3924],
    [3908, 1114, 4533, 3128, 0, 3929],
    [3910, 1184, 4534, 3127, 0, 3930],
    [3912, 1082, 4535, 3122, 3915, 3925],
    [3926, 20, 4536, 3124, 3928, 3923],
];

pub(super) fn pg_range(_: &Scope) -> Vec<Row> {
    let row = |[range, of, multirange, class, canonical, difference]: &[Oid; 6]| {
        row! {
            "rngtypid" => *range, "rngsubtype" => *of, "rngmultitypid" => *multirange, "rngcollation" => 0,
            "rngsubopc" => *class, "rngcanonical" => *canonical, "rngsubdiff" => *difference,
        }
    };
    RANGES.iter().map(row).collect()
}

pub(super) fn pg_am(_: &Scope) -> Vec<Row> {
    vec![
        row! { "oid" => 2, "amname" => "heap", "amhandler" => 3, "amtype" => "t" },
        row! { "oid" => 403, "amname" => "btree", "amhandler" => 330, "amtype" => "i" },
    ]
}

pub(super) fn pg_collation(_: &Scope) -> Vec<Row> {
    let row = |oid: Oid, name: &str, provider: &str, locale: Option<&str>| {
        row! {
            "oid" => oid, "collname" => name, "collnamespace" => 11, "collowner" => OWNER, "collprovider" => provider,
            "collisdeterministic" => true, "collencoding" => -1, "collcollate" => locale, "collctype" => locale,
        }
    };
    vec![row(100, "default", "d", None), row(950, "C", "c", Some("C")), row(951, "POSIX", "c", Some("POSIX"))]
}

pub(super) fn pg_language(_: &Scope) -> Vec<Row> {
    let row = |oid: Oid, name: &str, trusted: bool| {
        row! {
            "oid" => oid, "lanname" => name, "lanowner" => OWNER, "lanispl" => false, "lanpltrusted" => trusted,
            "lanplcallfoid" => 0, "laninline" => 0, "lanvalidator" => 0,
        }
    };
    vec![row(12, "internal", false), row(13, "c", false), row(14, "sql", true)]
}

pub(super) fn pg_tablespace(_: &Scope) -> Vec<Row> {
    let row = |oid: Oid, name: &str| row! { "oid" => oid, "spcname" => name, "spcowner" => OWNER };
    vec![row(1663, "pg_default"), row(1664, "pg_global")]
}

pub(super) fn pg_get_keywords(_: &Scope) -> Vec<Row> {
    let told = |category: &str| match category {
        "U" => "unreserved",
        "C" => "unreserved (cannot be function or type name)",
        "T" => "reserved (can be function or type name)",
        _ => "reserved",
    };
    let row = |(word, category): (&str, &str)| {
        row! {
            "word" => word, "catcode" => category, "barelabel" => true, "catdesc" => told(category),
            "baredesc" => "can be bare label",
        }
    };
    quote::words().map(row).collect()
}
