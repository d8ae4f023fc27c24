//! What is shown of objects' numbers in a query's answer: their names. It must not know the objects.

use datafusion::sql::sqlparser::ast::{SelectItem, SetExpr};

use super::casts;

/// Items that are `x::regclass` and the like are shown as names.
pub(super) fn show_names(body: &mut SetExpr) {
    match body {
        SetExpr::Select(select) => {
            for item in &mut select.projection {
                if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item
                    && let Some(named) = casts::named_text(expr)
                {
                    *expr = named;
                }
            }
        }
        SetExpr::SetOperation { left, right, .. } => {
            show_names(left);
            show_names(right);
        }
        SetExpr::Query(query) => show_names(&mut query.body),
        _ => {}
    }
}
