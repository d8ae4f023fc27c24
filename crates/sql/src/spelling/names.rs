//! Names of a SELECT list: the planner wants them unique, PostgreSQL does not. It must not know what they stand for.

use std::collections::HashSet;

use datafusion::sql::sqlparser::ast::{Expr, Ident, SelectItem};

use crate::parse::normalized;

/// Gives each item whose name stands before it already a name of its own: `a`, `a_2`, `a_3`.
pub(super) fn make_unique(items: &mut [SelectItem]) {
    let given: HashSet<String> = items.iter().filter_map(name).collect();
    let mut taken: HashSet<String> = HashSet::new();
    for item in items {
        let Some(name) = name(item) else { continue };
        if taken.insert(name.clone()) {
            continue;
        }
        let fresh = (2..)
            .map(|n| format!("{name}_{n}"))
            .find(|fresh| !given.contains(fresh) && taken.insert(fresh.clone()))
            .expect("there is always another number");
        rename(item, fresh);
    }
}

fn rename(item: &mut SelectItem, name: String) {
    let alias = Ident::with_quote('"', name);
    match item {
        SelectItem::ExprWithAlias { alias: old, .. } => *old = alias,
        SelectItem::UnnamedExpr(expr) => *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias },
        _ => {}
    }
}

/// The name of an item's column; none for `*`.
fn name(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(normalized(alias.clone())),
        SelectItem::UnnamedExpr(expr) => Some(expression_name(expr)),
        _ => None,
    }
}

/// As the planner names it: a cast has its operand's name, everything else its own text.
fn expression_name(expr: &Expr) -> String {
    match expr {
        Expr::Identifier(ident) => normalized(ident.clone()),
        Expr::CompoundIdentifier(parts) => parts.last().cloned().map(normalized).unwrap_or_default(),
        Expr::Cast { expr, .. } | Expr::Nested(expr) => expression_name(expr),
        other => other.to_string().to_lowercase(),
    }
}
