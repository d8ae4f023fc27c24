//! DROP: what goes, what depends on it, and who may. It must not know how objects are made.

use std::collections::BTreeSet;
use std::sync::Arc;

use thalweg_core::{SqlError, SqlState};
use thalweg_sql::server::{Kind, Object, ObjectClass, ObjectName, Objects, Oid, no_schema, quoted};

use super::ddl::{Made, class_of, tag_of};
use super::roles::{may_make_users, no_role};
use super::session::Session;

pub(super) fn drop_all(
    session: &mut Session,
    objects: &mut Objects,
    class: ObjectClass,
    if_exists: bool,
    names: &[ObjectName],
    cascade: bool,
) -> Result<Made, SqlError> {
    let tag = format!("DROP {}", tag_of(class));
    let mut doomed: Vec<Oid> = Vec::new();
    let mut changed = false;
    for name in names {
        match class {
            ObjectClass::Schema => {
                changed |= drop_schema(session, objects, &name.name, if_exists, cascade, &mut doomed)?;
            }
            ObjectClass::User => changed |= drop_user(session, objects, &name.name, if_exists)?,
            ObjectClass::Database | ObjectClass::Column => {
                return Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, format!("{tag} is not supported")));
            }
            _ => {
                let Some(object) = found(session, objects, class, name, if_exists, false)? else { continue };
                owned(session, objects, &object)?;
                by_itself(objects, &object, "drop")?;
                let dependents = objects.dependents(object.oid);
                if !cascade {
                    // Its indexes go with it.
                    let others: Vec<_> =
                        dependents.iter().filter(|d| !matches!(d.kind, Kind::Index(_))).cloned().collect();
                    refuse_dependents(&object, &others)?;
                }
                doomed.extend(dependents.iter().map(|d| d.oid));
                doomed.push(object.oid);
            }
        }
    }
    changed |= !doomed.is_empty();
    doomed.iter().for_each(|oid| drop(objects.remove(*oid)));
    Ok(Made { changed, doomed, ..Made::new(tag) })
}

/// What is part of something else goes with it alone.
pub(super) fn by_itself(objects: &Objects, object: &Object, what: &str) -> Result<(), SqlError> {
    let Some(whole) = object.part_of.and_then(|oid| objects.get(oid)) else { return Ok(()) };
    let message = format!("cannot {what} {} because {} {} requires it", object.name, whole.class(), whole.name);
    let hint = format!("You can {what} {} {} instead.", whole.class(), whole.full_name());
    Err(SqlError::new(SqlState::DEPENDENT_OBJECTS, message).hint(hint))
}

fn refuse_dependents(object: &Object, dependents: &[Arc<Object>]) -> Result<(), SqlError> {
    let dependents: Vec<_> = dependents.iter().filter(|d| d.part_of != Some(object.oid)).collect();
    if dependents.is_empty() {
        return Ok(());
    }
    let what = format!("cannot drop {} {} because other objects depend on it", object.class(), object.name);
    let detail: Vec<String> = dependents
        .iter()
        .rev()
        .map(|d| format!("{} {} depends on {} {}", d.class(), d.full_name(), object.class(), object.full_name()))
        .collect();
    let error = SqlError::new(SqlState::DEPENDENT_OBJECTS, what).detail(detail.join("\n"));
    Err(error.hint("Use DROP ... CASCADE to drop the dependent objects too."))
}

/// The object of a class that `name` means; `None` when it does not exist and need not. `any_relation`: TABLE stands for
/// every kind of relation.
pub(super) fn found(
    session: &mut Session,
    objects: &Objects,
    class: ObjectClass,
    name: &ObjectName,
    if_exists: bool,
    any_relation: bool,
) -> Result<Option<Arc<Object>>, SqlError> {
    let path = session.path();
    match objects.find(name, &path) {
        Some(object) if class_of(object) == class || (any_relation && class == ObjectClass::Table) => {
            Ok(Some(Arc::clone(object)))
        }
        Some(object) => {
            let wanted = tag_of(class).to_lowercase();
            let message = format!("{} is a {}, not a {wanted}", quoted(&object.name), object.class());
            let hint = format!("Use {} instead.", tag_of(class_of(object)));
            Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message).hint(hint))
        }
        None if if_exists => {
            session.notice(format!("{} \"{}\" does not exist, skipping", tag_of(class).to_lowercase(), name.name));
            Ok(None)
        }
        None => Err(objects.expect(name, &path).expect_err("it was not found above")),
    }
}

pub(super) fn owned(session: &Session, objects: &Objects, object: &Object) -> Result<(), SqlError> {
    if objects.owns(&session.user(objects)?, object.owner) {
        return Ok(());
    }
    let message = format!("must be owner of {} {}", object.class(), object.name);
    Err(SqlError::new(SqlState::INSUFFICIENT_PRIVILEGE, message))
}

fn drop_schema(
    session: &mut Session,
    objects: &mut Objects,
    name: &str,
    if_exists: bool,
    cascade: bool,
    doomed: &mut Vec<Oid>,
) -> Result<bool, SqlError> {
    let Some(schema) = objects.schema(name).cloned() else {
        if if_exists {
            session.notice(format!("schema \"{name}\" does not exist, skipping"));
            return Ok(false);
        }
        return Err(no_schema(name));
    };
    if !objects.owns(&session.user(objects)?, schema.owner) {
        return Err(SqlError::new(SqlState::INSUFFICIENT_PRIVILEGE, format!("must be owner of schema {name}")));
    }
    let within: Vec<Arc<Object>> = objects.all().filter(|o| o.schema == name).cloned().collect();
    if !within.is_empty() && !cascade {
        let detail: Vec<String> =
            within.iter().map(|o| format!("{} {} depends on schema {name}", o.class(), o.full_name())).collect();
        let message = format!("cannot drop schema {name} because other objects depend on it");
        let error = SqlError::new(SqlState::DEPENDENT_OBJECTS, message).detail(detail.join("\n"));
        return Err(error.hint("Use DROP ... CASCADE to drop the dependent objects too."));
    }
    let mut all: BTreeSet<Oid> = within.iter().map(|o| o.oid).collect();
    within.iter().for_each(|o| all.extend(objects.dependents(o.oid).iter().map(|d| d.oid)));
    // Those made last first.
    doomed.extend(all.into_iter().rev());
    objects.remove_schema(name);
    Ok(true)
}

fn drop_user(session: &mut Session, objects: &mut Objects, name: &str, if_exists: bool) -> Result<bool, SqlError> {
    may_make_users(session, objects)?;
    let Some(user) = objects.user(name).cloned() else {
        if if_exists {
            session.notice(format!("role \"{name}\" does not exist, skipping"));
            return Ok(false);
        }
        return Err(no_role(name));
    };
    if user.superuser && !session.user(objects)?.superuser {
        return Err(SqlError::new(SqlState::INSUFFICIENT_PRIVILEGE, "must be superuser to drop superusers"));
    }
    if name == session.login.user || name == "root" {
        return Err(SqlError::new(SqlState("55006"), format!("role \"{name}\" cannot be dropped")));
    }
    let relations = objects.all().filter(|o| o.owner == user.oid).map(|o| format!("owner of {} {}", o.class(), o.name));
    let schemas = objects.schemas().filter(|s| s.owner == user.oid).map(|s| format!("owner of schema {}", s.name));
    let owned: Vec<String> = relations.chain(schemas).collect();
    if !owned.is_empty() {
        let message = format!("role \"{name}\" cannot be dropped because some objects depend on it");
        return Err(SqlError::new(SqlState::DEPENDENT_OBJECTS, message).detail(owned.join("\n")));
    }
    objects.remove_user(name);
    Ok(true)
}
