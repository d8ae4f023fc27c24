//! Functions that return sets of rows: lists of which rows are made. It must not know how the lists are computed.

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, ObjectName, Select, SelectItem, TableAlias, TableFactor, Value, visit_expressions,
};

use super::ast;
use crate::parse::normalized;
use crate::system::functions::ORDINALS;

/// Functions that return a set of rows in PostgreSQL and a list here.
pub(super) fn is_set(name: &str) -> bool {
    matches!(name, "generate_series" | "generate_subscripts" | "pg_partition_ancestors" | "pg_listening_channels")
}

/// A call in FROM as a query that makes rows of lists, or the relation that has the rows.
pub(super) fn as_query(factor: &mut TableFactor) {
    let (name, args, alias, ordinality) = match factor {
        TableFactor::Table { name, args: Some(args), alias, with_ordinality, .. } => {
            (ast::last(name).filter(|_| ast::is_system(name)), ast::plain(&args.args), alias.take(), *with_ordinality)
        }
        TableFactor::Function { name, args, alias, with_ordinality, .. } => {
            (ast::last(name).filter(|_| ast::is_system(name)), ast::plain(args), alias.take(), *with_ordinality)
        }
        TableFactor::UNNEST { array_exprs, alias, with_ordinality, .. } => {
            (Some("unnest".to_owned()), Some(array_exprs.clone()), alias.take(), *with_ordinality)
        }
        _ => return,
    };
    let (Some(name), Some(args)) = (name, args) else { return restore(factor, alias) };
    *factor = if args.is_empty() && is_relation(&name) {
        relation(&name, alias)
    } else if let Some(lists) = lists(&name, &args) {
        query(&name, lists, alias, ordinality)
    } else {
        value(&name, args, alias)
    };
}

/// Any other function: its value is the one row.
fn value(function: &str, args: Vec<Expr>, alias: Option<TableAlias>) -> TableFactor {
    let lateral = args.iter().any(has_columns);
    let mut alias = alias.unwrap_or_else(|| ast::alias(Ident::new(function), &[]));
    if alias.columns.is_empty() {
        alias.columns = ast::alias_columns(&[normalized(alias.name.clone())]);
    }
    ast::derived(ast::select(vec![ast::item(ast::call(function, args), function)], Vec::new()), alias, lateral)
}

fn restore(factor: &mut TableFactor, taken: Option<TableAlias>) {
    match factor {
        TableFactor::Table { alias, .. } | TableFactor::Function { alias, .. } | TableFactor::UNNEST { alias, .. } => {
            *alias = taken;
        }
        _ => {}
    }
}

/// Functions whose rows are always the same: they are relations.
fn is_relation(name: &str) -> bool {
    matches!(
        name,
        "pg_get_keywords" | "pg_timezone_names" | "pg_show_all_settings" | "pg_cursor" | "pg_prepared_statement"
    )
}

fn relation(name: &str, alias: Option<TableAlias>) -> TableFactor {
    let table = match name {
        "pg_show_all_settings" => "pg_settings",
        "pg_cursor" => "pg_cursors",
        "pg_prepared_statement" => "pg_prepared_statements",
        name => name,
    };
    let alias = alias.unwrap_or_else(|| ast::alias(Ident::new(name), &[]));
    let name = ObjectName::from(vec![Ident::new("pg_catalog"), Ident::new(table)]);
    TableFactor::Table {
        name,
        alias: Some(alias),
        args: None,
        with_hints: Vec::new(),
        version: None,
        with_ordinality: false,
        partitions: Vec::new(),
        json_path: None,
        sample: None,
        index_hints: Vec::new(),
    }
}

/// The lists that a call is of, and their columns' names.
fn lists(name: &str, args: &[Expr]) -> Option<Vec<(Expr, String)>> {
    let named = |list: Expr, name: &str| (list, name.to_owned());
    Some(match (name, args) {
        ("unnest", args) if !args.is_empty() => args.iter().map(|list| named(list.clone(), "unnest")).collect(),
        ("_pg_expandarray", [array]) => {
            vec![named(array.clone(), "x"), named(ast::call(ORDINALS, vec![array.clone()]), "n")]
        }
        ("pg_options_to_table", [options]) => vec![
            named(ast::call("__option_names", vec![options.clone()]), "option_name"),
            named(ast::call("__option_values", vec![options.clone()]), "option_value"),
        ],
        ("string_to_table" | "regexp_split_to_table", args) => {
            vec![named(ast::call("string_to_array", args.to_vec()), name)]
        }
        (name, args) if is_set(name) => vec![named(ast::call(name, args.to_vec()), name)],
        _ => return None,
    })
}

fn query(function: &str, lists: Vec<(Expr, String)>, alias: Option<TableAlias>, ordinality: bool) -> TableFactor {
    let lateral = lists.iter().any(|(list, _)| has_columns(list));
    let mut lists = lists;
    if ordinality {
        let first = lists.first().map_or(Expr::value(Value::Null), |(l, _)| l.clone());
        lists.push((ast::call(ORDINALS, vec![first]), "ordinality".to_owned()));
    }
    let mut alias = alias.unwrap_or_else(|| ast::alias(Ident::new(function), &[]));
    let mut names: Vec<String> = lists.iter().map(|(_, name)| name.clone()).collect();
    // One column is named after the alias, if that does not name it itself.
    if lists.len() - usize::from(ordinality) == 1 {
        names[0] = normalized(alias.name.clone());
    }
    for (name, given) in names.iter_mut().zip(&alias.columns) {
        *name = normalized(given.name.clone());
    }
    alias.columns = ast::alias_columns(&names);
    let items: Vec<SelectItem> = lists
        .into_iter()
        .zip(&names)
        .map(|((list, _), name)| ast::item(ast::call("unnest", vec![list]), name))
        .collect();
    ast::derived(ast::select(items, Vec::new()), alias, lateral)
}

fn has_columns(expr: &Expr) -> bool {
    visit_expressions(expr, |e| match e {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) => std::ops::ControlFlow::Break(()),
        _ => std::ops::ControlFlow::Continue(()),
    })
    .is_break()
}

/// Before the first relation there is nothing that it could refer to.
pub(super) fn first_is_not_lateral(select: &mut Select) {
    if let Some(first) = select.from.first_mut()
        && let TableFactor::Derived { lateral, .. } = &mut first.relation
    {
        *lateral = false;
    }
}
