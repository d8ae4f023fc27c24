//! Making syntax. It must not know what is made of it.

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments,
    GroupByExpr, Ident, ObjectName, Query, Select, SelectFlavor, SelectItem, SetExpr, TableAlias, TableAliasColumnDef,
    TableFactor, TableWithJoins, Value,
};

pub(super) fn text(value: impl Into<String>) -> Expr {
    Expr::value(Value::SingleQuotedString(value.into()))
}

pub(super) fn number(value: i64) -> Expr {
    Expr::value(Value::Number(value.to_string(), false))
}

pub(super) fn call(name: &str, args: Vec<Expr>) -> Expr {
    let args = args.into_iter().map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg))).collect();
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses: Vec::new() }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

pub(super) fn cast(expr: Expr, data_type: DataType) -> Expr {
    Expr::Cast { kind: CastKind::DoubleColon, expr: Box::new(expr), data_type, array: false, format: None }
}

/// The arguments of a call, if all are plain expressions.
pub(super) fn arguments(args: &FunctionArguments) -> Option<Vec<Expr>> {
    match args {
        FunctionArguments::None => Some(Vec::new()),
        FunctionArguments::Subquery(_) => None,
        FunctionArguments::List(list) => plain(&list.args),
    }
}

pub(super) fn plain(args: &[FunctionArg]) -> Option<Vec<Expr>> {
    let plain = args.iter().map(|arg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))
        | FunctionArg::Named { arg: FunctionArgExpr::Expr(expr), .. }
        | FunctionArg::ExprNamed { arg: FunctionArgExpr::Expr(expr), .. } => Some(expr.clone()),
        _ => None,
    });
    plain.collect()
}

pub(super) fn item(expr: Expr, alias: &str) -> SelectItem {
    SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('"', alias) }
}

/// `SELECT items FROM from`
pub(super) fn select(projection: Vec<SelectItem>, from: Vec<TableFactor>) -> Query {
    let from = from.into_iter().map(|relation| TableWithJoins { relation, joins: Vec::new() }).collect();
    let select = Select {
        select_token: AttachedToken::empty(),
        optimizer_hints: Vec::new(),
        distinct: None,
        select_modifiers: None,
        top: None,
        top_before_distinct: false,
        projection,
        exclude: None,
        into: None,
        from,
        lateral_views: Vec::new(),
        prewhere: None,
        selection: None,
        connect_by: Vec::new(),
        group_by: GroupByExpr::Expressions(Vec::new(), Vec::new()),
        cluster_by: Vec::new(),
        distribute_by: Vec::new(),
        sort_by: Vec::new(),
        having: None,
        named_window: Vec::new(),
        qualify: None,
        window_before_qualify: false,
        value_table_mode: None,
        flavor: SelectFlavor::Standard,
    };
    Query {
        with: None,
        body: Box::new(SetExpr::Select(Box::new(select))),
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks: Vec::new(),
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators: Vec::new(),
    }
}

pub(super) fn derived(subquery: Query, alias: TableAlias, lateral: bool) -> TableFactor {
    TableFactor::Derived { lateral, subquery: Box::new(subquery), alias: Some(alias), sample: None }
}

pub(super) fn alias(name: Ident, columns: &[&str]) -> TableAlias {
    let columns =
        columns.iter().map(|name| TableAliasColumnDef { name: Ident::with_quote('"', *name), data_type: None });
    TableAlias { explicit: true, name, columns: columns.collect(), at: None }
}

pub(super) fn alias_columns(names: &[String]) -> Vec<TableAliasColumnDef> {
    names.iter().map(|name| TableAliasColumnDef { name: Ident::with_quote('"', name), data_type: None }).collect()
}

/// A name's last part, in lower case unless quoted.
pub(super) fn last(name: &ObjectName) -> Option<String> {
    name.0.last().and_then(|part| part.as_ident()).cloned().map(crate::parse::normalized)
}

/// Whether a name has no schema, or one of the system's.
pub(super) fn is_system(name: &ObjectName) -> bool {
    match &name.0[..] {
        [_] => true,
        [schema, _] => schema
            .as_ident()
            .is_some_and(|schema| matches!(schema.value.to_lowercase().as_str(), "pg_catalog" | "information_schema")),
        _ => false,
    }
}
