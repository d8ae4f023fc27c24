//! Roles, and what is granted to them. It must not know objects beyond their owners.

use std::collections::BTreeSet;

use thalweg_core::{SqlError, SqlState};
use thalweg_serve::backend::ScramVerifier;
use thalweg_sql::server::{EVERYONE, ObjectName, Objects, Oid, Privilege, RoleOption, User, ast, no_schema, quoted};

use super::ddl::Made;
use super::drops::owned;
use super::session::Session;

pub(super) fn no_role(name: &str) -> SqlError {
    SqlError::new(SqlState::UNDEFINED_OBJECT, format!("role \"{name}\" does not exist"))
}

pub(super) fn may_make_users(session: &Session, objects: &Objects) -> Result<(), SqlError> {
    let user = session.user(objects)?;
    if user.superuser || user.create_user {
        return Ok(());
    }
    Err(SqlError::new(SqlState::INSUFFICIENT_PRIVILEGE, "permission denied to change roles"))
}

pub(super) fn create_role(
    session: &mut Session,
    objects: &mut Objects,
    name: &str,
    if_not_exists: bool,
    options: &[RoleOption],
) -> Result<Made, SqlError> {
    may_make_users(session, objects)?;
    if objects.user(name).is_some() {
        if if_not_exists {
            session.notice(format!("role \"{name}\" already exists, skipping"));
            return Ok(Made::unchanged("CREATE ROLE"));
        }
        return Err(SqlError::new(SqlState::DUPLICATE_OBJECT, format!("role \"{name}\" already exists")));
    }
    if name == "public" || name.starts_with("pg_") {
        return Err(SqlError::new(SqlState("42939"), format!("role name \"{name}\" is reserved")));
    }
    let mut made = User {
        oid: objects.number(),
        name: name.to_owned(),
        superuser: false,
        login: false,
        create_db: false,
        create_user: false,
        member_of: BTreeSet::new(),
        password: None,
    };
    set_options(session, objects, &mut made, options)?;
    let logged = role_sql("CREATE", &made, objects);
    objects.put_user(made);
    Ok(Made { logged: Some(logged), ..Made::new("CREATE ROLE") })
}

fn set_options(session: &Session, objects: &Objects, role: &mut User, options: &[RoleOption]) -> Result<(), SqlError> {
    let superuser = session.user(objects)?.superuser;
    for option in options {
        match option {
            RoleOption::Superuser(on) => {
                if *on && !superuser {
                    let message = "must be superuser to make superusers";
                    return Err(SqlError::new(SqlState::INSUFFICIENT_PRIVILEGE, message));
                }
                role.superuser = *on;
            }
            RoleOption::CreateDb(on) => role.create_db = *on,
            RoleOption::CreateRole(on) => role.create_user = *on,
            RoleOption::Login(on) => role.login = *on,
            RoleOption::Password(password) => role.password = password.as_deref().and_then(verifier),
            RoleOption::InRole(of) => {
                let of = objects.user(of).ok_or_else(|| no_role(of))?;
                if of.superuser && !superuser {
                    let message = format!("must be superuser to be in role \"{}\"", of.name);
                    return Err(SqlError::new(SqlState::INSUFFICIENT_PRIVILEGE, message));
                }
                role.member_of.insert(of.oid);
            }
        }
    }
    Ok(())
}

/// How a role is made again from the log: its password's verifier, never its password.
fn role_sql(verb: &str, user: &User, objects: &Objects) -> String {
    let roles = objects.users().filter(|u| user.member_of.contains(&u.oid));
    let roles: String = roles.map(|u| format!(" IN ROLE {}", quoted(&u.name))).collect();
    let word = |on: bool, word: &str| format!(" {}{word}", if on { "" } else { "NO" });
    let password = user.password.as_ref().map_or_else(|| " PASSWORD NULL".to_owned(), |p| format!(" PASSWORD '{p}'"));
    format!(
        "{verb} ROLE {} WITH{}{}{}{}{password}{roles}",
        quoted(&user.name),
        word(user.superuser, "SUPERUSER"),
        word(user.login, "LOGIN"),
        word(user.create_db, "CREATEDB"),
        word(user.create_user, "CREATEROLE"),
    )
}

/// The verifier of a password, or the verifier that was given; none for an empty one.
fn verifier(password: &str) -> Option<String> {
    match password {
        "" => None,
        given if ScramVerifier::parse(given).is_some() => Some(given.to_owned()),
        clear => Some(ScramVerifier::new(clear).to_text()),
    }
}

pub(super) fn alter_role(
    session: &mut Session,
    objects: &mut Objects,
    name: &str,
    options: &[RoleOption],
) -> Result<Made, SqlError> {
    let Some(before) = objects.user(name).cloned() else { return Err(no_role(name)) };
    let mut changed = before.clone();
    set_options(session, objects, &mut changed, options)?;
    // The catalog's log has all options of a role: its own password is what a role may change, however it is written.
    let rights = |u: &User| (u.superuser, u.login, u.create_db, u.create_user, u.member_of.clone());
    if name != session.login.user || rights(&before) != rights(&changed) {
        may_make_users(session, objects)?;
        if before.superuser && !session.user(objects)?.superuser {
            return Err(SqlError::new(SqlState::INSUFFICIENT_PRIVILEGE, "must be superuser to alter superusers"));
        }
    }
    let logged = role_sql("ALTER", &changed, objects);
    objects.put_user(changed);
    Ok(Made { logged: Some(logged), ..Made::new("ALTER ROLE") })
}

pub(super) fn granted(
    session: &mut Session,
    objects: &mut Objects,
    privileges: &ast::Privileges,
    on: Option<&ast::GrantObjects>,
    grantees: &[ast::Grantee],
    give: bool,
) -> Result<Made, SqlError> {
    let tag = if give { "GRANT" } else { "REVOKE" };
    let targets = targets(session, objects, on)?;
    let wanted = wanted(privileges)?;
    for grantee in grantees {
        let oid = match (&grantee.grantee_type, &grantee.name) {
            (ast::GranteesType::Public, _) => EVERYONE,
            (_, Some(ast::GranteeName::ObjectName(name))) => {
                let name = ObjectName::of(name).name;
                if name == "public" { EVERYONE } else { objects.user(&name).ok_or_else(|| no_role(&name))?.oid }
            }
            _ => return Err(SqlError::new(SqlState::SYNTAX_ERROR, "a role is expected")),
        };
        targets.iter().for_each(|target| objects.grant(*target, oid, &wanted, give));
    }
    Ok(Made::new(tag))
}

/// What a GRANT is on; the user must own all of it.
fn targets(session: &Session, objects: &Objects, on: Option<&ast::GrantObjects>) -> Result<Vec<Oid>, SqlError> {
    let unsupported = |what: &str| SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, format!("GRANT on {what}"));
    let path = session.path();
    let of_schema = |name: &ast::ObjectName| {
        let name = ObjectName::of(name).name;
        let schema = objects.schema(&name).ok_or_else(|| no_schema(&name))?;
        if objects.owns(&session.user(objects)?, schema.owner) {
            return Ok(schema.clone());
        }
        Err(SqlError::new(SqlState::INSUFFICIENT_PRIVILEGE, format!("must be owner of schema {name}")))
    };
    match on {
        Some(ast::GrantObjects::Tables(names)) => names
            .iter()
            .map(|name| {
                let object = objects.expect(&ObjectName::of(name), &path)?;
                owned(session, objects, object)?;
                Ok(object.oid)
            })
            .collect(),
        Some(ast::GrantObjects::Schemas(names)) => names.iter().map(|n| of_schema(n).map(|s| s.oid)).collect(),
        Some(ast::GrantObjects::AllTablesInSchema { schemas }) => {
            let mut all = Vec::new();
            for schema in schemas {
                let schema = of_schema(schema)?;
                all.extend(objects.all().filter(|o| o.schema == schema.name).map(|o| o.oid));
            }
            Ok(all)
        }
        // One database for all: connecting to it is what a login allows.
        Some(ast::GrantObjects::Databases(_)) => Ok(Vec::new()),
        Some(_) => Err(unsupported("this kind of object")),
        None => Err(unsupported("roles")),
    }
}

fn wanted(privileges: &ast::Privileges) -> Result<Vec<Privilege>, SqlError> {
    match privileges {
        ast::Privileges::All { .. } => Ok(Privilege::ALL.iter().map(|p| p.0).collect()),
        ast::Privileges::Actions(actions) => actions
            .iter()
            .map(|action| match action {
                ast::Action::Select { columns: None } => Ok(Privilege::Select),
                ast::Action::Insert { columns: None } => Ok(Privilege::Insert),
                ast::Action::Update { columns: None } => Ok(Privilege::Update),
                ast::Action::Delete => Ok(Privilege::Delete),
                ast::Action::Truncate => Ok(Privilege::Truncate),
                ast::Action::Usage => Ok(Privilege::Usage),
                ast::Action::Create { .. } => Ok(Privilege::Create),
                other => {
                    Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, format!("privilege {other} is not supported")))
                }
            })
            .collect(),
    }
}
