//! What relations a query reads. It must not know which there are.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Query, TableFactor, Visit, Visitor};

use crate::parse::normalized;

/// Schemas and names of the relations that a query reads, its own common table expressions left out.
pub(super) fn relations(query: &Query) -> Vec<(Option<String>, String)> {
    let mut relations = Relations::default();
    let _ = query.visit(&mut relations);
    let Relations { found, own } = relations;
    found.into_iter().filter(|(schema, name)| schema.is_some() || !own.contains(name)).collect()
}

#[derive(Default)]
struct Relations {
    found: Vec<(Option<String>, String)>,
    own: HashSet<String>,
}

impl Visitor for Relations {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let tables = query.with.iter().flat_map(|with| &with.cte_tables);
        self.own.extend(tables.map(|table| normalized(table.alias.name.clone())));
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, args: None, .. } = factor {
            let mut parts: Vec<String> =
                name.0.iter().filter_map(|part| part.as_ident()).cloned().map(normalized).collect();
            if let Some(last) = parts.pop() {
                self.found.push((parts.pop(), last));
            }
        }
        ControlFlow::Continue(())
    }
}
