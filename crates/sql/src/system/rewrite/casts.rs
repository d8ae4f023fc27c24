//! Casts to types that the planner does not know. It must not know where they stand.

use datafusion::sql::sqlparser::ast::{
    ArrayElemTypeDef, DataType, ExactNumberInfo, Expr, ObjectName, TimezoneInfo, Value, ValueWithSpan,
};

use super::ast;
use crate::system::functions::Named;
use crate::system::types;

/// What a type of PostgreSQL is to the planner.
enum Target {
    Known(DataType),
    /// A function that makes the value.
    Call(&'static str),
    /// The value is as it is.
    Same,
}

/// `expr::to`, its operand already rewritten.
pub(super) fn rewritten(expr: Expr, to: DataType) -> Expr {
    if let DataType::Array(ArrayElemTypeDef::SquareBracket(element, size)) = to {
        return array(expr, *element, size);
    }
    let named = match &to {
        DataType::Custom(name, _) => custom(name),
        DataType::Regclass => Some("regclass".to_owned()),
        DataType::Text | DataType::Varchar(_) | DataType::CharacterVarying(_) => Some("text".to_owned()),
        _ => None,
    };
    let Some(name) = named else { return ast::cast(expr, to) };
    if name == "text"
        && let Some(shown) = named_text(&expr)
    {
        return shown;
    }
    match target(&name) {
        Some(Target::Known(known)) if matches!(to, DataType::Custom(..) | DataType::Regclass) => ast::cast(expr, known),
        Some(Target::Call(function)) => ast::call(function, vec![expr]),
        Some(Target::Same) => expr,
        _ => ast::cast(expr, to),
    }
}

/// `x::regclass`, already rewritten, as text.
pub(super) fn named_text(expr: &Expr) -> Option<Expr> {
    let Expr::Function(function) = expr else { return None };
    let name = ast::last(&function.name)?;
    let named = match name.strip_prefix("__").or_else(|| name.strip_prefix("to_")) {
        Some(rest) => Named::of(rest)?,
        None => return None,
    };
    let args = if name.starts_with("__") { ast::arguments(&function.args)? } else { vec![expr.clone()] };
    Some(ast::call(named.text(), args))
}

/// The name of a type that the parser does not know, without its schema.
fn custom(name: &ObjectName) -> Option<String> {
    let last = name.0.last()?.as_ident()?;
    Some(match last.quote_style {
        Some(_) => format!("\"{}\"", last.value),
        None => last.value.to_lowercase(),
    })
}

fn target(name: &str) -> Option<Target> {
    if let Some(named) = Named::of(name) {
        return Some(Target::Call(named.number()));
    }
    Some(match name {
        "oid" | "xid" | "cid" | "regprocedure" | "regoper" | "regoperator" => Target::Call("__oid"),
        "name" => Target::Call("__name"),
        "\"char\"" => Target::Call("__char"),
        "int2vector" | "oidvector" | "anyarray" | "aclitem" => Target::Same,
        "sql_identifier" | "character_data" | "yes_or_no" => Target::Known(DataType::Text),
        "cardinal_number" => Target::Known(DataType::Int(None)),
        "time_stamp" => Target::Known(DataType::Timestamp(None, TimezoneInfo::WithTimeZone)),
        _ => Target::Known(known(types::written(name)?.name)?),
    })
}

fn known(name: &str) -> Option<DataType> {
    Some(match name {
        "bool" => DataType::Boolean,
        "int2" => DataType::SmallInt(None),
        "int4" => DataType::Int(None),
        "int8" => DataType::BigInt(None),
        "float4" => DataType::Real,
        "float8" => DataType::DoublePrecision,
        "numeric" => DataType::Numeric(ExactNumberInfo::None),
        "date" => DataType::Date,
        "time" => DataType::Time(None, TimezoneInfo::None),
        "timestamp" => DataType::Timestamp(None, TimezoneInfo::None),
        "timestamptz" => DataType::Timestamp(None, TimezoneInfo::WithTimeZone),
        "interval" => DataType::Interval { fields: None, precision: None },
        "bytea" => DataType::Bytea,
        "text" | "varchar" | "bpchar" | "json" | "jsonb" | "uuid" | "inet" | "cidr" | "xml" | "pg_node_tree"
        | "cstring" | "unknown" | "refcursor" => DataType::Text,
        _ => return None,
    })
}

/// `expr::element[]`
fn array(expr: Expr, element: DataType, size: Option<u64>) -> Expr {
    let plain = match &element {
        DataType::Custom(name, _) => custom(name).map(|name| match target(&name) {
            Some(Target::Known(known)) => known,
            Some(Target::Call("__name" | "__char") | Target::Same) => DataType::Text,
            Some(Target::Call(_)) => DataType::Int(None),
            None => element.clone(),
        }),
        DataType::Regclass => Some(DataType::Int(None)),
        _ => None,
    };
    let plain = plain.unwrap_or(element);
    let to = DataType::Array(ArrayElemTypeDef::SquareBracket(Box::new(plain.clone()), size));
    match literal(&expr).and_then(parse) {
        Some(items) => {
            let items = items.into_iter().map(|item| match item {
                Some(item) => ast::cast(ast::text(item), plain.clone()),
                None => Expr::value(Value::Null),
            });
            let items: Vec<Expr> = items.collect();
            ast::cast(made(items), to)
        }
        None => ast::cast(expr, to),
    }
}

pub(super) fn made(items: Vec<Expr>) -> Expr {
    ast::call("make_array", items)
}

pub(super) fn literal(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(text), .. }) => Some(text),
        Expr::Nested(inner) => literal(inner),
        _ => None,
    }
}

/// The elements of `{a,"b c",NULL}`.
pub(crate) fn parse(text: &str) -> Option<Vec<Option<String>>> {
    let inner = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    let mut items = Vec::new();
    if inner.trim().is_empty() {
        return Some(items);
    }
    let mut chars = inner.chars().peekable();
    loop {
        let (mut item, mut quoted) = (String::new(), false);
        loop {
            match chars.next() {
                None | Some(',') if !quoted || item.is_empty() => break,
                None => break,
                Some(',') => break,
                Some('"') => {
                    quoted = true;
                    quoted_part(&mut chars, &mut item)?;
                }
                Some('\\') => item.push(chars.next()?),
                Some('{') => return None,
                Some(c) if c.is_whitespace() && (item.is_empty() || quoted) => {}
                Some(c) => item.push(c),
            }
            if chars.peek().is_none() {
                break;
            }
        }
        let item = if quoted { item } else { item.trim_end().to_owned() };
        items.push((quoted || !item.eq_ignore_ascii_case("null")).then_some(item));
        if chars.peek().is_none() {
            return Some(items);
        }
    }
}

fn quoted_part(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, item: &mut String) -> Option<()> {
    loop {
        match chars.next()? {
            '"' => return Some(()),
            '\\' => item.push(chars.next()?),
            c => item.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn array_literals_are_taken_apart() {
        let some = |items: &[&str]| Some(items.iter().map(|item| Some((*item).to_owned())).collect::<Vec<_>>());
        assert_eq!(parse("{}"), some(&[]));
        assert_eq!(parse("{0}"), some(&["0"]));
        assert_eq!(parse("{a, b c ,d}"), some(&["a", "b c", "d"]));
        assert_eq!(parse("{\"a,b\",\"c\\\"d\"}"), some(&["a,b", "c\"d"]));
        assert_eq!(parse("{NULL,\"NULL\"}"), Some(vec![None, Some("NULL".to_owned())]));
        assert_eq!(parse("x"), None);
    }
}
