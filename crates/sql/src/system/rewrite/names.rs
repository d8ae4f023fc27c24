//! What PostgreSQL calls the columns of a query. It must not know the columns of relations.

use std::collections::HashSet;

use datafusion::sql::sqlparser::ast::{
    AccessExpr, DataType, Expr, FunctionArguments, Ident, Select, SelectItem, SetExpr, TableFactor, TrimWhereField,
    Value,
};

use super::ast;
use crate::parse::normalized;
use crate::system::columns;
use crate::system::types;

/// Stands in a name before what makes it unique.
const MARK: char = '\u{1}';

/// A column's name as it is shown.
pub(in crate::system) fn shown(name: &str) -> &str {
    name.split(MARK).next().unwrap_or(name)
}

/// Gives the items of a select list PostgreSQL's names, and unique ones.
pub(super) fn name_items(select: &mut Select) {
    let wildcard = select
        .projection
        .iter()
        .any(|item| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)));
    let mut taken: HashSet<String> = HashSet::new();
    if wildcard {
        for table in
            select.from.iter().flat_map(|t| std::iter::once(&t.relation).chain(t.joins.iter().map(|j| &j.relation)))
        {
            taken.extend(column_names(table));
        }
    }
    for item in &mut select.projection {
        let (name, plain) = match item {
            SelectItem::UnnamedExpr(expr) => (name_of(expr), is_column(expr)),
            SelectItem::ExprWithAlias { expr, alias } if is_made_unique(expr, alias) => (name_of(expr), false),
            SelectItem::ExprWithAlias { alias, .. } => (normalized(alias.clone()), true),
            _ => continue,
        };
        let unique = (1..).map(|n| format!("{name}{MARK}{n}"));
        let fresh = std::iter::once(name.clone()).chain(unique).find(|name| taken.insert(name.clone()));
        let fresh = fresh.expect("there is always another number");
        match item {
            SelectItem::UnnamedExpr(expr) if !plain || fresh != name => {
                *item = ast::item(expr.clone(), &fresh);
            }
            SelectItem::ExprWithAlias { alias, .. } if !plain || fresh != name => {
                *alias = Ident::with_quote('"', fresh);
            }
            _ => {}
        }
    }
}

/// Whether the alias is the expression's own text and a number: not what was written, but what made the name unique.
fn is_made_unique(expr: &Expr, alias: &Ident) -> bool {
    let numbered = alias.value.strip_prefix(&own_text(expr)).and_then(|rest| rest.strip_prefix('_'));
    alias.quote_style.is_some() && numbered.is_some_and(|number| number.parse::<u32>().is_ok())
}

fn own_text(expr: &Expr) -> String {
    match expr {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) => name_of(expr),
        Expr::Cast { expr, .. } | Expr::Nested(expr) => own_text(expr),
        other => other.to_string().to_lowercase(),
    }
}

fn column_names(table: &TableFactor) -> Vec<String> {
    let TableFactor::Table { name, args: None, .. } = table else { return Vec::new() };
    let schema = match &name.0[..] {
        [schema, _] => schema.as_ident().cloned().map(normalized),
        _ => None,
    };
    let found = ast::last(name).and_then(|name| columns::find(schema.as_deref(), &name));
    found.map(|relation| relation.columns.iter().map(|(name, _)| (*name).to_owned()).collect()).unwrap_or_default()
}

/// A column, other than those that become something else.
fn is_column(expr: &Expr) -> bool {
    let name = match expr {
        Expr::Identifier(name) => Some(name),
        Expr::CompoundIdentifier(parts) => parts.last(),
        _ => None,
    };
    let replaced = ["tableoid", "xmin", "xmax", "cmin", "cmax", "ctid", "current_schema", "current_role"];
    name.is_some_and(|name| !replaced.contains(&name.value.to_lowercase().as_str()))
}

fn name_of(expr: &Expr) -> String {
    figured(expr).unwrap_or_else(|| "?column?".to_owned())
}

fn figured(expr: &Expr) -> Option<String> {
    let fixed = |name: &str| Some(name.to_owned());
    match expr {
        Expr::Identifier(ident) => Some(normalized(ident.clone())),
        Expr::CompoundIdentifier(parts) => parts.last().cloned().map(normalized),
        Expr::CompoundFieldAccess { root, access_chain } => {
            let dots = access_chain.iter().rev().find_map(|access| match access {
                AccessExpr::Dot(Expr::Identifier(field)) => Some(normalized(field.clone())),
                _ => None,
            });
            dots.or_else(|| figured(root))
        }
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => figured(inner),
        Expr::Cast { expr, data_type, .. } => figured(expr).or_else(|| type_name(data_type)),
        Expr::Function(function) => match function.args {
            FunctionArguments::Subquery(_) => fixed("array"),
            _ => ast::last(&function.name),
        },
        Expr::Case { else_result, .. } => else_result.as_deref().and_then(figured).or_else(|| fixed("case")),
        Expr::Subquery(query) => match query.body.as_ref() {
            SetExpr::Select(select) => match select.projection.first() {
                Some(SelectItem::UnnamedExpr(expr)) => figured(expr),
                Some(SelectItem::ExprWithAlias { alias, .. }) => Some(normalized(alias.clone())),
                _ => None,
            },
            _ => None,
        },
        Expr::Exists { .. } => fixed("exists"),
        Expr::Array(_) => fixed("array"),
        Expr::Extract { .. } => fixed("extract"),
        Expr::Substring { .. } => fixed("substring"),
        Expr::Position { .. } => fixed("position"),
        Expr::Overlay { .. } => fixed("overlay"),
        Expr::Ceil { .. } => fixed("ceil"),
        Expr::Floor { .. } => fixed("floor"),
        Expr::Trim { trim_where, .. } => fixed(match trim_where {
            Some(TrimWhereField::Leading) => "ltrim",
            Some(TrimWhereField::Trailing) => "rtrim",
            _ => "btrim",
        }),
        Expr::AtTimeZone { .. } => fixed("timezone"),
        Expr::Interval(_) => fixed("interval"),
        Expr::Value(value) if matches!(value.value, Value::Boolean(_)) => fixed("bool"),
        _ => None,
    }
}

fn type_name(data_type: &DataType) -> Option<String> {
    let written = data_type.to_string();
    let last = written.rsplit('.').next().unwrap_or(&written);
    types::written(last).map(|of| of.name.to_owned())
}
