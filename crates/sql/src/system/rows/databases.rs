//! Rows of schemas, databases and users. It must not know relations.

use super::{Row, row};
use crate::system::cell::Cell;
use crate::system::picture::{OWNER, Oid, User};
use crate::system::scope::Scope;

/// The number of the encoding UTF8.
const UTF8: i32 = 6;

pub(super) fn pg_namespace(scope: &Scope) -> Vec<Row> {
    let row = |(oid, name, owner): (Oid, &str, Oid)| row! { "oid" => oid, "nspname" => name, "nspowner" => owner };
    scope.schemas().map(row).collect()
}

pub(super) fn pg_database(scope: &Scope) -> Vec<Row> {
    vec![row! {
        "oid" => scope.picture.database_oid, "datname" => scope.picture.database.as_str(), "datdba" => OWNER,
        "encoding" => UTF8, "datlocprovider" => "c", "datistemplate" => false, "datallowconn" => true,
        "datconnlimit" => -1, "datfrozenxid" => 0, "datminmxid" => 0, "dattablespace" => 1663, "datcollate" => "C.UTF-8",
        "datctype" => "C.UTF-8",
    }]
}

/// What is shown instead of a password.
const HIDDEN: &str = "********";

pub(super) fn pg_roles(scope: &Scope) -> Vec<Row> {
    let roles = scope.picture.users.iter().map(|user| {
        let mut row = role(user);
        row.push(("rolpassword", Cell::from(HIDDEN)));
        row
    });
    roles.collect()
}

pub(super) fn pg_authid(scope: &Scope) -> Vec<Row> {
    let roles = scope.picture.users.iter().map(|user| {
        let mut row = role(user);
        row.push(("rolpassword", Cell::from(user.password_set.then_some(HIDDEN))));
        row
    });
    roles.collect()
}

fn role(user: &User) -> Row {
    row! {
        "oid" => user.oid, "rolname" => user.name.as_str(), "rolsuper" => user.superuser, "rolinherit" => true,
        "rolcreaterole" => user.create_role, "rolcreatedb" => user.create_db, "rolcanlogin" => user.can_login,
        "rolreplication" => false, "rolconnlimit" => -1, "rolvaliduntil" => user.valid_until,
        "rolbypassrls" => user.superuser,
    }
}

pub(super) fn pg_user(scope: &Scope) -> Vec<Row> {
    let row = |user: &User| {
        row! {
            "usename" => user.name.as_str(), "usesysid" => user.oid, "usecreatedb" => user.create_db,
            "usesuper" => user.superuser, "userepl" => false, "usebypassrls" => user.superuser, "passwd" => HIDDEN,
            "valuntil" => user.valid_until,
        }
    };
    scope.picture.users.iter().filter(|user| user.can_login).map(row).collect()
}

pub(super) fn pg_group(scope: &Scope) -> Vec<Row> {
    let row = |group: &User| {
        let members = scope.picture.users.iter().filter(|user| user.member_of.contains(&group.oid));
        let members: Vec<Oid> = members.map(|user| user.oid).collect();
        row! { "groname" => group.name.as_str(), "grosysid" => group.oid, "grolist" => members }
    };
    scope.picture.users.iter().filter(|user| !user.can_login).map(row).collect()
}

pub(super) fn pg_auth_members(scope: &Scope) -> Vec<Row> {
    let rows = scope.picture.users.iter().flat_map(|user| {
        user.member_of.iter().map(|role| {
            row! { "roleid" => *role, "member" => user.oid, "grantor" => OWNER, "admin_option" => false }
        })
    });
    rows.collect()
}
