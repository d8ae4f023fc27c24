//! Rows of `information_schema` about rights and roles. It must not know how rights are checked.

use super::{Row, row};
use crate::system::picture::{OWNER, Oid, Relation};
use crate::system::privileges::{self, roles};
use crate::system::scope::Scope;

/// A right that someone has on a relation.
struct Grant<'a> {
    relation: &'a Relation,
    grantor: Oid,
    grantee: Oid,
    right: String,
    /// May give it to others.
    grantable: bool,
}

fn grants(scope: &Scope) -> Vec<Grant<'_>> {
    let mut grants = Vec::new();
    for relation in scope.readable() {
        let (owner, all) = (relation.owner, privileges::all());
        grants.extend(all.map(|right| Grant {
            relation,
            grantor: owner,
            grantee: owner,
            right: right.to_owned(),
            grantable: true,
        }));
        for privilege in &relation.privileges {
            let rights = privilege.rights.iter().map(|right| right.to_uppercase());
            grants.extend(rights.map(|right| Grant {
                relation,
                grantor: privilege.grantor,
                grantee: privilege.grantee,
                right,
                grantable: false,
            }));
        }
    }
    grants
}

fn name(scope: &Scope, oid: Oid) -> Option<&str> {
    if oid == 0 { Some("PUBLIC") } else { scope.user(oid).map(|user| user.name.as_str()) }
}

fn grant_row(scope: &Scope, grant: &Grant<'_>) -> Row {
    row! {
        "grantor" => name(scope, grant.grantor), "grantee" => name(scope, grant.grantee),
        "table_catalog" => scope.picture.database.as_str(), "table_schema" => scope.schema_name(grant.relation.schema),
        "table_name" => grant.relation.name.as_str(), "privilege_type" => grant.right.as_str(),
        "is_grantable" => if grant.grantable { "YES" } else { "NO" },
    }
}

pub(super) fn table_privileges(scope: &Scope) -> Vec<Row> {
    let row = |grant: &Grant<'_>| {
        let mut row = grant_row(scope, grant);
        row.extend(row! { "with_hierarchy" => if grant.right == "SELECT" { "YES" } else { "NO" } });
        row
    };
    grants(scope).iter().map(row).collect()
}

pub(super) fn column_privileges(scope: &Scope) -> Vec<Row> {
    let of_columns = ["SELECT", "INSERT", "UPDATE", "REFERENCES"];
    let mut rows = Vec::new();
    for grant in grants(scope).iter().filter(|grant| of_columns.contains(&grant.right.as_str())) {
        for column in &grant.relation.columns {
            let mut row = grant_row(scope, grant);
            row.extend(row! { "column_name" => column.name.as_str() });
            rows.push(row);
        }
    }
    rows
}

/// The current user's roles.
fn own(scope: &Scope) -> Vec<Oid> {
    let user = scope.user_named(&scope.session.user).map_or(OWNER, |user| user.oid);
    roles(scope, user)
}

pub(super) fn enabled_roles(scope: &Scope) -> Vec<Row> {
    own(scope).into_iter().map(|oid| row! { "role_name" => name(scope, oid) }).collect()
}

pub(super) fn applicable_roles(scope: &Scope) -> Vec<Row> {
    let user = scope.session.user.as_str();
    let others = own(scope).into_iter().skip(1);
    others.map(|oid| row! { "grantee" => user, "role_name" => name(scope, oid), "is_grantable" => "NO" }).collect()
}
