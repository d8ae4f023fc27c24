//! COMMENT ON: what people say of relations and columns. It must not know who asks for it again.

use thalweg_core::{SqlError, SqlState};
use thalweg_sql::server::{Kind, Object, ObjectName, Objects, ast};

use super::ddl::Made;
use super::drops::owned;
use super::session::Session;

/// What a comment is about, and what it says; `None` takes it back.
pub(super) struct Comment<'a> {
    pub of: ast::CommentObject,
    pub name: &'a ast::ObjectName,
    pub text: Option<String>,
    pub if_exists: bool,
}

/// Runs COMMENT ON.
///
/// # Errors
/// There is no such thing, it is something else, it is another's, or its kind has no comments.
pub(super) fn comment(session: &mut Session, objects: &mut Objects, on: Comment<'_>) -> Result<Made, SqlError> {
    use ast::CommentObject as Of;
    let (relation, column) = match on.of {
        Of::Column => {
            let (column, relation) =
                on.name.0.split_last().filter(|(_, relation)| !relation.is_empty()).ok_or_else(|| {
                    let message = "column name must be qualified";
                    SqlError::new(SqlState::SYNTAX_ERROR, message).hint("Write COMMENT ON COLUMN relation.column IS …")
                })?;
            let named = |part: &ast::ObjectNamePart| ObjectName::of(&ast::ObjectName(vec![part.clone()])).name;
            (ObjectName::of(&ast::ObjectName(relation.to_vec())), Some(named(column)))
        }
        Of::Table | Of::View | Of::MaterializedView | Of::Index => (ObjectName::of(on.name), None),
        other => {
            let message = format!("COMMENT ON {other} is not supported");
            let hint = "Tables, sources, views, materialized views, indexes and columns have comments.";
            return Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, message).hint(hint));
        }
    };
    let mut object = match objects.expect(&relation, &session.path()) {
        Ok(object) => object.as_ref().clone(),
        Err(error) if on.if_exists => {
            session.notice(format!("{}, skipping", error.message));
            return Ok(Made::unchanged("COMMENT"));
        }
        Err(error) => return Err(error),
    };
    owned(session, objects, &object)?;
    match column {
        Some(column) => {
            let unknown = |_| {
                let message = format!("column \"{column}\" of relation \"{}\" does not exist", object.name);
                SqlError::new(SqlState::UNDEFINED_COLUMN, message)
            };
            let at = object.columns.index_of(&column).map_err(unknown)?;
            match on.text {
                Some(text) => drop(object.column_comments.insert(at, text)),
                None => drop(object.column_comments.remove(&at)),
            }
        }
        None => {
            if !is(&object, on.of) {
                let message = format!("\"{}\" is not a {}", object.name, on.of.to_string().to_lowercase());
                let hint = format!("It is a {}.", object.class());
                return Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message).hint(hint));
            }
            object.comment = on.text;
        }
    }
    objects.put(object)?;
    Ok(Made::new("COMMENT"))
}

/// Whether `object` is what the statement says it is. What has rows of its own is a table to most tools.
fn is(object: &Object, of: ast::CommentObject) -> bool {
    use ast::CommentObject as Of;
    match object.kind {
        Kind::Table(_) | Kind::Source(_) => of == Of::Table,
        Kind::View => of == Of::View,
        Kind::MaterializedView(_) => of == Of::MaterializedView,
        Kind::Index(_) => of == Of::Index,
        Kind::Alert(_) => of == Of::MaterializedView,
        Kind::Sink | Kind::Secret(_) | Kind::Connection(_) | Kind::Subscription(_) | Kind::Dashboard(_) => false,
    }
}
