//! Operators, functions and arrays as the planner knows them. It must not know what is selected from.

use datafusion::sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, Expr, Function, FunctionArgumentClause, FunctionArguments, Ident, OrderByExpr,
    OrderByKind, Query, Select, SelectItem, SetExpr, Subscript, Value, ValueWithSpan,
};

use super::{ast, casts, sets};
use crate::system::functions::{ARRAY_OR_EMPTY, ORDINALS, SUBSCRIPT};

/// One expression, its operands already rewritten.
pub(super) fn rewritten(expr: Expr) -> Expr {
    match expr {
        Expr::Collate { expr, .. } => *expr,
        Expr::Cast { expr, data_type, format: None, .. } => casts::rewritten(*expr, data_type),
        Expr::BinaryOp { left, op: BinaryOperator::PGCustomBinaryOperator(path), right } => {
            let op = path.last().and_then(|symbol| operator(symbol));
            let op = op.unwrap_or(BinaryOperator::PGCustomBinaryOperator(path));
            Expr::BinaryOp { left, op, right }
        }
        Expr::BinaryOp { left, op: op @ (BinaryOperator::Eq | BinaryOperator::NotEq), right } => {
            compared(*left, op, *right)
        }
        Expr::Like { negated, any, expr, pattern, escape_char: Some(escape) } => match escaped(&pattern, &escape) {
            Some(pattern) => Expr::Like { negated, any, expr, pattern: Box::new(pattern), escape_char: None },
            None => Expr::Like { negated, any, expr, pattern, escape_char: Some(escape) },
        },
        Expr::CompoundFieldAccess { root, access_chain } => accessed(*root, access_chain),
        Expr::Function(function) => called(function),
        Expr::Identifier(ident) if ident.quote_style.is_none() => match ident.value.to_lowercase().as_str() {
            name @ ("current_schema" | "current_role") => ast::call(name, Vec::new()),
            _ => Expr::Identifier(ident),
        },
        other => other,
    }
}

/// A constant pattern with backslashes before what another character escapes.
fn escaped(pattern: &Expr, escape: &ValueWithSpan) -> Option<Expr> {
    let Value::SingleQuotedString(escape) = &escape.value else { return None };
    let escape = escape.chars().next()?;
    let mut out = String::new();
    let text = constant(pattern)?;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            c if c == escape => out.extend(['\\', chars.next()?]),
            '\\' => out.push_str("\\\\"),
            c => out.push(c),
        }
    }
    Some(ast::text(out))
}

fn constant(pattern: &Expr) -> Option<String> {
    match pattern {
        Expr::BinaryOp { left, op: BinaryOperator::StringConcat, right } => Some(constant(left)? + &constant(right)?),
        Expr::Nested(inner) => constant(inner),
        other => casts::literal(other).map(str::to_owned),
    }
}

fn operator(symbol: &str) -> Option<BinaryOperator> {
    Some(match symbol {
        "~" => BinaryOperator::PGRegexMatch,
        "~*" => BinaryOperator::PGRegexIMatch,
        "!~" => BinaryOperator::PGRegexNotMatch,
        "!~*" => BinaryOperator::PGRegexNotIMatch,
        "~~" => BinaryOperator::PGLikeMatch,
        "~~*" => BinaryOperator::PGILikeMatch,
        "!~~" => BinaryOperator::PGNotLikeMatch,
        "!~~*" => BinaryOperator::PGNotILikeMatch,
        "=" => BinaryOperator::Eq,
        "<>" | "!=" => BinaryOperator::NotEq,
        "<" => BinaryOperator::Lt,
        "<=" => BinaryOperator::LtEq,
        ">" => BinaryOperator::Gt,
        ">=" => BinaryOperator::GtEq,
        "+" => BinaryOperator::Plus,
        "-" => BinaryOperator::Minus,
        "*" => BinaryOperator::Multiply,
        "/" => BinaryOperator::Divide,
        "%" => BinaryOperator::Modulo,
        "||" => BinaryOperator::StringConcat,
        _ => return None,
    })
}

/// `(a, b) = (c, d)`: each with each.
fn compared(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    let binary = |left: Expr, op: BinaryOperator, right: Expr| Expr::BinaryOp {
        left: Box::new(left),
        op,
        right: Box::new(right),
    };
    let (left, right) = match (left, right) {
        (Expr::Tuple(left), Expr::Tuple(right)) if left.len() == right.len() && !left.is_empty() => (left, right),
        (left, right) => return binary(left, op, right),
    };
    let both = if op == BinaryOperator::Eq { BinaryOperator::And } else { BinaryOperator::Or };
    let pairs = left.into_iter().zip(right).map(|(left, right)| binary(left, op.clone(), right));
    let all = pairs.reduce(|all, pair| binary(all, both.clone(), pair));
    Expr::Nested(Box::new(all.unwrap_or(Expr::value(Value::Boolean(true)))))
}

/// `(f(x)).n`, `a.b[1]`
fn accessed(root: Expr, chain: Vec<AccessExpr>) -> Expr {
    let mut chain = chain.into_iter().peekable();
    let mut root = match root {
        // The name's further parts.
        Expr::Identifier(first) => {
            let mut parts = vec![first];
            while let Some(AccessExpr::Dot(Expr::Identifier(part))) = chain.peek() {
                parts.push(part.clone());
                chain.next();
            }
            if parts.len() == 1 { Expr::Identifier(parts.remove(0)) } else { Expr::CompoundIdentifier(parts) }
        }
        Expr::Nested(inner) => *inner,
        other => other,
    };
    for access in chain {
        root = match access {
            AccessExpr::Dot(Expr::Identifier(field)) => field_of(root, &crate::parse::normalized(field)),
            AccessExpr::Subscript(Subscript::Index { index }) => ast::call(SUBSCRIPT, vec![root, index]),
            other => Expr::CompoundFieldAccess { root: Box::new(root), access_chain: vec![other] },
        };
    }
    root
}

fn field_of(root: Expr, field: &str) -> Expr {
    // A struct that was just made needs not be taken apart.
    if let Expr::Function(function) = &root
        && ast::last(&function.name).as_deref() == Some("named_struct")
        && let Some(args) = ast::arguments(&function.args)
    {
        let mut pairs = args.chunks_exact(2);
        if let Some([_, value]) = pairs.find(|pair| casts::literal(&pair[0]) == Some(field)) {
            return value.clone();
        }
    }
    ast::call("get_field", vec![root, ast::text(field)])
}

fn called(mut function: Function) -> Expr {
    let Some(name) = ast::last(&function.name).filter(|_| ast::is_system(&function.name)) else {
        return Expr::Function(function);
    };
    if name == "array"
        && let FunctionArguments::Subquery(query) = function.args
    {
        return array_of(*query);
    }
    if matches!(function.args, FunctionArguments::None) {
        return ast::call(&name, Vec::new());
    }
    function.name.0 = vec![function.name.0.pop().expect("a name has a last part")];
    let Some(args) = ast::arguments(&function.args).filter(|_| function.over.is_none()) else {
        return Expr::Function(function);
    };
    match (name.as_str(), &args[..]) {
        ("_pg_expandarray", [array]) => ast::call("named_struct", expanded(array)),
        (name, _) if sets::is_set(name) => ast::call("unnest", vec![Expr::Function(function)]),
        _ => Expr::Function(function),
    }
}

/// Elements and their numbers, as fields `x` and `n`.
fn expanded(array: &Expr) -> Vec<Expr> {
    let unnest = |list: Expr| ast::call("unnest", vec![list]);
    let ordinals = ast::call(ORDINALS, vec![array.clone()]);
    vec![ast::text("x"), unnest(array.clone()), ast::text("n"), unnest(ordinals)]
}

/// `ARRAY(SELECT x …)`: the query's values gathered, in its order.
pub(super) fn array_of(mut query: Query) -> Expr {
    let gathered = match gather(&mut query) {
        Some(()) => query,
        None => {
            let name = Ident::new("__rows");
            let value = Expr::CompoundIdentifier(vec![name.clone(), Ident::new("__value")]);
            let from = ast::derived(query, ast::alias(name, &["__value"]), false);
            ast::select(vec![ast::item(ast::call("array_agg", vec![value]), "array")], vec![from])
        }
    };
    ast::call(ARRAY_OR_EMPTY, vec![Expr::Subquery(Box::new(gathered))])
}

/// Makes the one item of a plain query `array_agg(item ORDER BY …)`.
fn gather(query: &mut Query) -> Option<()> {
    let plain = query.with.is_none() && query.limit_clause.is_none() && query.fetch.is_none();
    let SetExpr::Select(select) = query.body.as_mut() else { return None };
    let item = only_item(select).filter(|_| plain)?;
    let order = match query.order_by.take() {
        Some(order) => match order.kind {
            OrderByKind::Expressions(by) => by,
            OrderByKind::All(_) => return None,
        },
        None => Vec::new(),
    };
    let order = order.into_iter().map(|by| OrderByExpr { expr: by_item(by.expr, &item), ..by }).collect::<Vec<_>>();
    let mut gathered = ast::call("array_agg", vec![item]);
    if let Expr::Function(function) = &mut gathered
        && let FunctionArguments::List(list) = &mut function.args
        && !order.is_empty()
    {
        list.clauses.push(FunctionArgumentClause::OrderBy(order));
    }
    select.projection = vec![ast::item(gathered, "array")];
    Some(())
}

/// The item, if it can be put into an aggregate.
fn only_item(select: &Select) -> Option<Expr> {
    use datafusion::sql::sqlparser::ast::GroupByExpr;
    let ungrouped = matches!(&select.group_by, GroupByExpr::Expressions(by, _) if by.is_empty());
    if !ungrouped || select.distinct.is_some() || select.having.is_some() {
        return None;
    }
    let [SelectItem::UnnamedExpr(item) | SelectItem::ExprWithAlias { expr: item, .. }] = &select.projection[..] else {
        return None;
    };
    (!has_call(item)).then(|| item.clone())
}

/// Functions that may be aggregates or sets of rows: those that are not known to be neither.
fn has_call(expr: &Expr) -> bool {
    let mut found = false;
    let _ = datafusion::sql::sqlparser::ast::visit_expressions(expr, |e| {
        if let Expr::Function(function) = e {
            let name = ast::last(&function.name).unwrap_or_default();
            let aggregates = ["count", "sum", "min", "max", "avg", "array_agg", "string_agg", "bool_and", "bool_or"];
            found |= function.over.is_some() || name == "unnest" || aggregates.contains(&name.as_str());
        }
        std::ops::ControlFlow::<()>::Continue(())
    });
    found
}

/// `ORDER BY 1` is by the item.
fn by_item(expr: Expr, item: &Expr) -> Expr {
    match &expr {
        Expr::Value(value) if matches!(&value.value, Value::Number(n, _) if n == "1") => item.clone(),
        _ => expr,
    }
}
