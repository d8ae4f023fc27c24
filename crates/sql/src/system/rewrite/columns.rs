//! Columns that every relation of PostgreSQL has and no relation here: `tableoid`, `xmin`, `ctid`. It must not know
//! rows.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, Query, Select, TableFactor, TableWithJoins, Value, VisitMut, VisitorMut,
};

use super::ast;
use crate::parse::normalized;
use crate::system::columns;
use crate::system::picture::Oid;

/// Puts their values in the place of such columns.
pub(super) fn replace(select: &mut Select) {
    let tables: HashMap<String, Oid> = select.from.iter().flat_map(tables).collect();
    if tables.is_empty() {
        return;
    }
    let _ = select.visit(&mut Columns { tables, depth: 0 });
}

/// The system's relations among those selected from, by the names they go by.
fn tables(from: &TableWithJoins) -> Vec<(String, Oid)> {
    let factors = std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation));
    let named = factors.filter_map(|factor| {
        let TableFactor::Table { name, alias, args: None, .. } = factor else { return None };
        let schema = match &name.0[..] {
            [schema, _] => schema.as_ident().cloned().map(normalized),
            _ => None,
        };
        let last = ast::last(name)?;
        let found = columns::find(schema.as_deref(), &last)?;
        let goes_by = alias.as_ref().map_or(last, |alias| normalized(alias.name.clone()));
        Some((goes_by, found.oid))
    });
    named.collect()
}

struct Columns {
    tables: HashMap<String, Oid>,
    depth: usize,
}

impl Columns {
    fn value(&self, table: Option<&Ident>, column: &Ident) -> Option<Expr> {
        let oid = match table {
            Some(table) => self.tables.get(&normalized(table.clone())).copied(),
            None if self.depth == 0 => self.tables.values().next().copied(),
            None => None,
        }?;
        match normalized(column.clone()).as_str() {
            "tableoid" => Some(ast::call("__oid", vec![ast::number(oid.into())])),
            "xmin" | "xmax" | "cmin" | "cmax" => Some(ast::call("__oid", vec![ast::number(1)])),
            "ctid" => Some(Expr::value(Value::SingleQuotedString("(0,1)".to_owned()))),
            _ => None,
        }
    }
}

impl VisitorMut for Columns {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let value = match expr {
            Expr::Identifier(column) => self.value(None, column),
            Expr::CompoundIdentifier(parts) => match &parts[..] {
                [table, column] => self.value(Some(table), column),
                _ => None,
            },
            _ => None,
        };
        if let Some(value) = value {
            *expr = value;
        }
        ControlFlow::Continue(())
    }
}
