//! Who may do what with a relation. It must not know how the question was asked.

use super::cell::Cell;
use super::picture::{OWNER, Oid, Relation};
use super::quote;
use super::scope::{Class, Scope};

/// Rights and their letters in access lists, in the lists' order.
const RIGHTS: [(&str, char); 7] = [
    ("INSERT", 'a'),
    ("SELECT", 'r'),
    ("UPDATE", 'w'),
    ("DELETE", 'd'),
    ("TRUNCATE", 'D'),
    ("REFERENCES", 'x'),
    ("TRIGGER", 't'),
];

/// All rights on a relation.
pub(super) fn all() -> impl Iterator<Item = &'static str> {
    RIGHTS.iter().map(|(name, _)| *name)
}

/// The access list: null when nobody was granted anything.
pub(super) fn acl(scope: &Scope, relation: &Relation) -> Cell {
    if relation.privileges.is_empty() {
        return Cell::Null;
    }
    let name = |oid: Oid| match scope.user(oid) {
        Some(user) => quote::identifier(&user.name),
        None => String::new(),
    };
    let owner = name(relation.owner);
    let every: String = RIGHTS.iter().map(|(_, letter)| letter).collect();
    let granted = relation.privileges.iter().map(|privilege| {
        let has = |right: &str| privilege.rights.iter().any(|given| is_right(given, right));
        let letters: String = RIGHTS.iter().filter(|(right, _)| has(right)).map(|(_, letter)| letter).collect();
        format!("{}={letters}/{}", name(privilege.grantee), name(privilege.grantor))
    });
    Cell::from(std::iter::once(format!("{owner}={every}/{owner}")).chain(granted).collect::<Vec<_>>())
}

fn is_right(given: &str, right: &str) -> bool {
    given.eq_ignore_ascii_case(right) || given.eq_ignore_ascii_case("ALL")
}

/// Whether `user` has `right` on a relation: as its owner, as a superuser, by a grant to it, to a role it is in or to
/// everybody. Everybody may read the system's relations.
pub(super) fn may(scope: &Scope, user: Oid, class: Class<'_>, right: &str) -> bool {
    let right = right.trim();
    let base = right.get(..right.len().saturating_sub(" WITH GRANT OPTION".len())).unwrap_or(right);
    let right = if right.to_uppercase().ends_with(" WITH GRANT OPTION") { base } else { right };
    let roles = roles(scope, user);
    if is_superuser(scope, user) || roles.contains(&class.owner()) {
        return true;
    }
    match class {
        Class::System(_) => right.eq_ignore_ascii_case("SELECT"),
        Class::Index(_) => false,
        Class::Relation(relation) => relation.privileges.iter().any(|privilege| {
            (privilege.grantee == 0 || roles.contains(&privilege.grantee))
                && privilege.rights.iter().any(|given| is_right(given, right))
        }),
    }
}

pub(super) fn is_superuser(scope: &Scope, user: Oid) -> bool {
    scope.user(user).map_or(user == OWNER, |user| user.superuser)
}

/// A user and all roles it is in, directly or not.
pub(super) fn roles(scope: &Scope, user: Oid) -> Vec<Oid> {
    let mut found = vec![user];
    let mut at = 0;
    while let Some(role) = found.get(at).copied() {
        let more = scope.user(role).map(|user| user.member_of.as_slice()).unwrap_or_default();
        for role in more {
            if !found.contains(role) {
                found.push(*role);
            }
        }
        at += 1;
    }
    found
}
