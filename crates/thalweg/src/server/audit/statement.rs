//! A statement as the audit log tells it: its kind, what it is about, its text without secrets. It must not know how it
//! is run.

use thalweg_sql::server::{
    AlertStatement, ObjectClass, ObjectName, RoleOption, Statement, StatementKind, SubscriptionStatement, ast, quoted,
};

use super::{Kind, without_secrets};

/// What kind of change `statement` makes, and to what.
pub(super) fn change(statement: &Statement) -> (Kind, Option<String>) {
    match statement.kind.as_ref() {
        StatementKind::CreateRole { name, .. } | StatementKind::AlterRole { name, .. } => {
            (Kind::Role, Some(quoted(name)))
        }
        StatementKind::Drop { class, names, .. } => {
            let names: Vec<String> = names.iter().map(ObjectName::to_string).collect();
            (of_class(*class), Some(names.join(", ")))
        }
        StatementKind::Alter { class, name, .. } => (of_class(*class), Some(name.to_string())),
        StatementKind::CreateSecret { name, .. }
        | StatementKind::AlterSecret { name, .. }
        | StatementKind::CreateConnection { name, .. }
        | StatementKind::Subscription(SubscriptionStatement::Create { name, .. }) => {
            (Kind::Ddl, Some(name.to_string()))
        }
        StatementKind::Alert(
            AlertStatement::Silence(of, _) | AlertStatement::Unsilence(of, _) | AlertStatement::Acknowledge(of, _),
        ) => (Kind::Ddl, Some(of.name.to_string())),
        StatementKind::Sql(sql) => match sql.as_ref() {
            ast::Statement::Grant(grant) => (Kind::Grant, grant.objects.as_ref().map(ToString::to_string)),
            ast::Statement::Revoke(revoke) => (Kind::Grant, revoke.objects.as_ref().map(ToString::to_string)),
            ast::Statement::CreateSchema { schema_name, .. } => (Kind::Ddl, Some(schema_name.to_string())),
            ast::Statement::CreateIndex(index) => (Kind::Ddl, Some(index.table_name.to_string())),
            ast::Statement::Comment { object_name, .. } => (Kind::Ddl, Some(object_name.to_string())),
            _ => (Kind::Ddl, None),
        },
        kind => (Kind::Ddl, kind.created().map(|(name, _)| name.to_string())),
    }
}

fn of_class(class: ObjectClass) -> Kind {
    if class == ObjectClass::User { Kind::Role } else { Kind::Ddl }
}

/// The text of `statement` without secrets. What may hold a password is written anew, from what was understood of it.
pub(crate) fn masked(statement: &Statement) -> String {
    match statement.kind.as_ref() {
        StatementKind::CreateRole { name, options, .. } => role("CREATE", name, options),
        StatementKind::AlterRole { name, options } => role("ALTER", name, options),
        _ => without_secrets(&statement.text),
    }
}

fn role(verb: &str, name: &str, options: &[RoleOption]) -> String {
    let mut out = format!("{verb} ROLE {} WITH", quoted(name));
    for option in options {
        let word = |on: &bool, word: &str| format!(" {}{word}", if *on { "" } else { "NO" });
        out.push_str(&match option {
            RoleOption::Superuser(on) => word(on, "SUPERUSER"),
            RoleOption::CreateDb(on) => word(on, "CREATEDB"),
            RoleOption::CreateRole(on) => word(on, "CREATEROLE"),
            RoleOption::Login(on) => word(on, "LOGIN"),
            RoleOption::Password(None) => " PASSWORD NULL".to_owned(),
            RoleOption::Password(Some(_)) => " PASSWORD '***'".to_owned(),
            RoleOption::InRole(role) => format!(" IN ROLE {}", quoted(role)),
        });
    }
    out
}
