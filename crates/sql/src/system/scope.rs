//! What names and numbers stand for, as one session sees them. It must not know the system relations' rows.

use std::collections::HashMap;
use std::sync::Arc;

use super::columns::{self, SCHEMAS, SystemRelation};
use super::picture::{Column, Index, Kind, OWNER, Oid, Picture, Relation, SessionInfo, User};
use super::quote;

/// Numbers of objects that are told of but that nobody has made: they follow from the number of what they belong to.
const KEY_INDEXES: Oid = 1_000_000_000;
const KEYS: Oid = 1_200_000_000;
const DEFAULTS: Oid = 1_400_000_000;
const RULES: Oid = 1_600_000_000;

/// A picture with what is needed to find things in it.
#[derive(Debug)]
pub(super) struct Scope {
    pub picture: Arc<Picture>,
    pub session: Arc<SessionInfo>,
    pub indexes: Vec<IndexEntry>,
    places: HashMap<Oid, Place>,
    names: HashMap<(Oid, String), Oid>,
}

/// An index: one that is in the picture, or the one that a primary key has.
#[derive(Clone, Debug)]
pub(super) struct IndexEntry {
    pub oid: Oid,
    pub name: String,
    pub schema: Oid,
    pub owner: Oid,
    /// Position of what it is of among the picture's relations.
    pub table: usize,
    pub of: Index,
    pub comment: Option<String>,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Relation(usize),
    Index(usize),
}

/// What `pg_class` tells of.
#[derive(Clone, Copy, Debug)]
pub(super) enum Class<'a> {
    Relation(&'a Relation),
    Index(&'a IndexEntry),
    System(&'static SystemRelation),
}

impl Class<'_> {
    pub fn name(&self) -> &str {
        match self {
            Self::Relation(relation) => &relation.name,
            Self::Index(index) => &index.name,
            Self::System(relation) => relation.name,
        }
    }

    pub fn schema(&self) -> Oid {
        match self {
            Self::Relation(relation) => relation.schema,
            Self::Index(index) => index.schema,
            Self::System(relation) => relation.schema_oid,
        }
    }

    pub fn owner(&self) -> Oid {
        match self {
            Self::Relation(relation) => relation.owner,
            Self::Index(index) => index.owner,
            Self::System(_) => OWNER,
        }
    }
}

impl Scope {
    pub fn new(picture: Arc<Picture>, session: Arc<SessionInfo>) -> Self {
        let mut scope = Self { picture, session, indexes: Vec::new(), places: HashMap::new(), names: HashMap::new() };
        let picture = Arc::clone(&scope.picture);
        let tables: HashMap<Oid, usize> = picture.relations.iter().enumerate().map(|(at, r)| (r.oid, at)).collect();
        for (at, relation) in picture.relations.iter().enumerate() {
            if relation.kind != Kind::Index {
                scope.places.insert(relation.oid, Place::Relation(at));
                scope.names.insert((relation.schema, relation.name.clone()), relation.oid);
            } else if let Some(of) = &relation.index
                && let Some(table) = tables.get(&of.table)
            {
                scope.add_index(IndexEntry {
                    oid: relation.oid,
                    name: relation.name.clone(),
                    schema: relation.schema,
                    owner: relation.owner,
                    table: *table,
                    of: of.clone(),
                    comment: relation.comment.clone(),
                });
            }
        }
        for (at, relation) in picture.relations.iter().enumerate() {
            let told = scope.indexes.iter().any(|index| index.table == at && index.of.primary);
            let has_key = matches!(relation.kind, Kind::Table | Kind::Source) && !relation.primary_key.is_empty();
            if has_key && !told {
                scope.add_index(IndexEntry {
                    oid: KEY_INDEXES.saturating_add(relation.oid),
                    name: format!("{}_pkey", relation.name),
                    schema: relation.schema,
                    owner: relation.owner,
                    table: at,
                    of: Index {
                        table: relation.oid,
                        columns: relation.primary_key.clone(),
                        unique: true,
                        primary: true,
                    },
                    comment: None,
                });
            }
        }
        scope
    }

    fn add_index(&mut self, index: IndexEntry) {
        self.places.insert(index.oid, Place::Index(self.indexes.len()));
        self.names.entry((index.schema, index.name.clone())).or_insert(index.oid);
        self.indexes.push(index);
    }

    /// Relations other than indexes.
    pub fn relations(&self) -> impl Iterator<Item = &Relation> {
        self.picture.relations.iter().filter(|relation| relation.kind != Kind::Index)
    }

    /// Relations that can be read.
    pub fn readable(&self) -> impl Iterator<Item = &Relation> {
        self.relations().filter(|relation| relation.kind != Kind::Sink)
    }

    pub fn class(&self, oid: Oid) -> Option<Class<'_>> {
        match self.places.get(&oid) {
            Some(Place::Relation(at)) => self.picture.relations.get(*at).map(Class::Relation),
            Some(Place::Index(at)) => self.indexes.get(*at).map(Class::Index),
            None => columns::by_oid(oid).map(Class::System),
        }
    }

    pub fn relation(&self, oid: Oid) -> Option<&Relation> {
        match self.class(oid)? {
            Class::Relation(relation) => Some(relation),
            _ => None,
        }
    }

    pub fn index(&self, oid: Oid) -> Option<&IndexEntry> {
        match self.class(oid)? {
            Class::Index(index) => Some(index),
            _ => None,
        }
    }

    /// What an index is of.
    pub fn indexed(&self, index: &IndexEntry) -> &Relation {
        &self.picture.relations[index.table]
    }

    pub fn index_columns<'a>(&'a self, index: &'a IndexEntry) -> impl Iterator<Item = &'a Column> {
        let columns = &self.indexed(index).columns;
        index.of.columns.iter().filter_map(|at| columns.get(*at))
    }

    /// Schemas: number, name, owner.
    pub fn schemas(&self) -> impl Iterator<Item = (Oid, &str, Oid)> {
        let system = SCHEMAS.iter().map(|(oid, name)| (*oid, *name, OWNER));
        system.chain(self.picture.schemas.iter().map(|schema| (schema.oid, schema.name.as_str(), schema.owner)))
    }

    pub fn schema_name(&self, oid: Oid) -> Option<&str> {
        self.schemas().find(|(known, _, _)| *known == oid).map(|(_, name, _)| name)
    }

    pub fn schema_named(&self, name: &str) -> Option<Oid> {
        self.schemas().find(|(_, known, _)| *known == name).map(|(oid, _, _)| oid)
    }

    pub fn user(&self, oid: Oid) -> Option<&User> {
        self.picture.users.iter().find(|user| user.oid == oid)
    }

    pub fn user_named(&self, name: &str) -> Option<&User> {
        self.picture.users.iter().find(|user| user.name == name)
    }

    /// Schemas that names without one are looked up in, those of the system included.
    pub fn path(&self) -> Vec<&str> {
        let explicit = self.session.search_path.iter().any(|name| name == "pg_catalog");
        let system = (!explicit).then_some("pg_catalog");
        system.into_iter().chain(self.session.search_path.iter().map(String::as_str)).collect()
    }

    /// The relation that a name means, `name` or `schema.name`, as in `'name'::regclass`.
    pub fn relation_named(&self, text: &str) -> Option<Oid> {
        let mut parts = quote::split(text).ok()?;
        let name = parts.pop()?;
        match parts.pop() {
            Some(schema) => self.in_schema(&schema, &name),
            None => self.path().into_iter().find_map(|schema| self.in_schema(schema, &name)),
        }
    }

    fn in_schema(&self, schema: &str, name: &str) -> Option<Oid> {
        if let Some(system) = columns::find(Some(schema), name) {
            return Some(system.oid);
        }
        let schema = self.schema_named(schema)?;
        self.names.get(&(schema, name.to_owned())).copied()
    }

    /// Whether a name without a schema finds this relation.
    pub fn visible(&self, oid: Oid) -> Option<bool> {
        let name = self.class(oid)?.name().to_owned();
        Some(self.path().into_iter().find_map(|schema| self.in_schema(schema, &name)) == Some(oid))
    }

    /// A relation's name as `::regclass` shows it: with the schema where it is needed to find it.
    pub fn shown(&self, oid: Oid) -> Option<String> {
        let class = self.class(oid)?;
        let name = quote::identifier(class.name());
        match self.visible(oid) {
            Some(true) => Some(name),
            _ => Some(format!("{}.{name}", quote::identifier(self.schema_name(class.schema())?))),
        }
    }
}

/// The number of a primary key's constraint, by the table's.
pub(super) fn key_oid(table: Oid) -> Oid {
    KEYS.saturating_add(table)
}

/// The table of a primary key's constraint.
pub(super) fn key_table(constraint: Oid) -> Option<Oid> {
    (KEYS..DEFAULTS).contains(&constraint).then(|| constraint - KEYS)
}

/// The number of a column's default, by its running number.
pub(super) fn default_oid(at: usize) -> Oid {
    DEFAULTS.saturating_add(Oid::try_from(at).unwrap_or(Oid::MAX))
}

/// The number of a view's rule, by the view's.
pub(super) fn rule_oid(view: Oid) -> Oid {
    RULES.saturating_add(view)
}

/// The view of a rule.
pub(super) fn rule_view(rule: Oid) -> Option<Oid> {
    (rule >= RULES).then(|| rule - RULES)
}
