//! Rows of `information_schema` about functions. It must not know how they run.

use super::{Row, row};
use crate::system::picture::Function;
use crate::system::scope::Scope;
use crate::system::types;

fn specific_name(function: &Function) -> String {
    format!("{}_{}", function.name, function.oid)
}

pub(super) fn routines(scope: &Scope) -> Vec<Row> {
    let database = scope.picture.database.as_str();
    let row = |function: &Function| {
        let schema = scope.schema_name(function.schema);
        let returns = types::written(&function.returns);
        row! {
            "specific_catalog" => database, "specific_schema" => schema, "specific_name" => specific_name(function),
            "routine_catalog" => database, "routine_schema" => schema, "routine_name" => function.name.as_str(),
            "routine_type" => (function.kind == 'f').then_some("FUNCTION"),
            "data_type" => returns.map(|of| types::spelled(of.name)), "type_udt_catalog" => database,
            "type_udt_schema" => "pg_catalog", "type_udt_name" => returns.map(|of| of.name),
            "routine_body" => if function.language.eq_ignore_ascii_case("sql") { "SQL" } else { "EXTERNAL" },
            "routine_definition" => function.source.as_str(),
            "external_language" => function.language.to_uppercase(), "parameter_style" => "GENERAL",
            "is_deterministic" => "NO", "sql_data_access" => "MODIFIES", "is_null_call" => "NO",
            "schema_level_routine" => "YES", "security_type" => "INVOKER",
        }
    };
    scope.picture.functions.iter().map(row).collect()
}

pub(super) fn parameters(scope: &Scope) -> Vec<Row> {
    let database = scope.picture.database.as_str();
    let of_function = |function: &Function| {
        let arguments = function.arguments.iter().enumerate().map(|(at, argument)| {
            let of = types::written(argument);
            row! {
                "specific_catalog" => database, "specific_schema" => scope.schema_name(function.schema),
                "specific_name" => specific_name(function), "ordinal_position" => at + 1, "parameter_mode" => "IN",
                "is_result" => "NO", "as_locator" => "NO", "data_type" => of.map(|of| types::spelled(of.name)),
                "udt_catalog" => database, "udt_schema" => "pg_catalog", "udt_name" => of.map(|of| of.name),
                "dtd_identifier" => (at + 1).to_string(),
            }
        });
        arguments.collect::<Vec<Row>>()
    };
    scope.picture.functions.iter().flat_map(of_function).collect()
}
