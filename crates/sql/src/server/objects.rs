//! `Objects`: the catalog of a server as one immutable value. It must not know how statements are parsed or planned.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use thalweg_core::{Options, Secret, SqlError, SqlState};
use thalweg_plan::{Distribution, Expectations, RelationSpec};

use super::alert_object::AlertObject;
use super::dashboard::DashboardObject;
use super::names::{ObjectName, quoted};
use crate::catalog::{LiveEntry, SourceEntry};

/// Names an object for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Oid(pub u32);

/// The first number of an object of a user; those below are the system's.
const FIRST_OID: u32 = 16_384;
/// The user that there is at first.
pub const ROOT: Oid = Oid(10);
/// The schema that there is at first.
pub const PUBLIC: &str = "public";

/// A schema.
#[derive(Clone, Debug)]
pub struct Schema {
    /// Its number.
    pub oid: Oid,
    /// Its name.
    pub name: String,
    /// Who made it.
    pub owner: Oid,
}

/// Someone who may log in, or a role.
#[derive(Clone, Debug)]
pub struct User {
    /// Its number.
    pub oid: Oid,
    /// Its name.
    pub name: String,
    /// May do everything.
    pub superuser: bool,
    /// May log in.
    pub login: bool,
    /// May make schemas and databases.
    pub create_db: bool,
    /// May make users.
    pub create_user: bool,
    /// The roles whose rights it has.
    pub member_of: BTreeSet<Oid>,
    /// Its password's verifier, in PostgreSQL's text form.
    pub password: Option<String>,
}

/// What may be granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Privilege {
    /// Read rows.
    Select,
    /// Put rows in.
    Insert,
    /// Change rows.
    Update,
    /// Take rows out.
    Delete,
    /// Take all rows out.
    Truncate,
    /// Name what is in a schema.
    Usage,
    /// Make something in a schema.
    Create,
}

impl Privilege {
    /// All of them, with PostgreSQL's letter and word.
    pub const ALL: [(Self, char, &'static str); 7] = [
        (Self::Insert, 'a', "INSERT"),
        (Self::Select, 'r', "SELECT"),
        (Self::Update, 'w', "UPDATE"),
        (Self::Delete, 'd', "DELETE"),
        (Self::Truncate, 'D', "TRUNCATE"),
        (Self::Usage, 'U', "USAGE"),
        (Self::Create, 'C', "CREATE"),
    ];
}

/// Everyone, as a grantee.
pub const EVERYONE: Oid = Oid(0);

/// What an object is.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Rows that statements write.
    Table(Arc<SourceObject>),
    /// Rows from outside that are not kept.
    Source(Arc<SourceObject>),
    /// A query that stands for itself.
    View,
    /// A query whose answer is kept fresh.
    MaterializedView(RelationSpec),
    /// A query whose answer leaves.
    Sink,
    /// A way to find rows.
    Index(Index),
    /// A text that is never shown.
    Secret(Secret),
    /// Options that sources and sinks share.
    Connection(Arc<Connection>),
    /// Changes of a relation that are kept for cursors, and for how long.
    Subscription(std::time::Duration),
    /// Rows to be told of, which are kept with their state.
    Alert(Arc<AlertObject>),
    /// Queries, and how they are shown.
    Dashboard(Arc<DashboardObject>),
}

/// `CREATE CONNECTION`.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The connector that it is for.
    pub connector: String,
    /// Its other options, secrets resolved.
    pub options: Options,
}

/// A declared table or source.
#[derive(Clone, Debug)]
pub struct SourceObject {
    pub(crate) entry: SourceEntry,
    pub(crate) defaults: Vec<Option<datafusion::sql::sqlparser::ast::Expr>>,
    pub(crate) expectations: Expectations,
    /// The table of what is set aside of rows that are handed in.
    pub quarantine: Option<Oid>,
}

impl SourceObject {
    /// The connector that reads it, or `None` when rows are handed in.
    pub fn connector(&self) -> Option<&str> {
        let name = self.entry.connector.as_str();
        (name != crate::declare::MEMORY && name != PUSH).then_some(name)
    }

    /// The options of its connector, without its name.
    pub fn options(&self) -> &Options {
        &self.entry.options
    }

    /// Positions of the primary key among all columns.
    pub fn primary_key(&self) -> &[usize] {
        &self.entry.primary_key
    }

    /// Of each column, the text of its default and, for a generated one, of its expression.
    pub fn column_texts(&self) -> Vec<(Option<String>, Option<String>)> {
        let defaults = self.defaults.iter().map(|d| (d.as_ref().map(ToString::to_string), None));
        defaults.chain(self.entry.generated.iter().map(|(_, e)| (None, Some(e.to_string())))).collect()
    }

    /// The columns that may be written: all but the generated ones.
    pub fn writable(&self) -> SchemaRef {
        Arc::clone(&self.entry.declared)
    }
}

/// The connector of sources whose rows are handed in.
pub const PUSH: &str = "push";

/// `CREATE INDEX`.
#[derive(Clone, Debug)]
pub struct Index {
    /// Of which relation.
    pub on: Oid,
    /// Its columns there.
    pub columns: Vec<usize>,
    /// No two rows have the same.
    pub unique: bool,
}

/// Something with a name in a schema.
#[derive(Clone, Debug)]
pub struct Object {
    /// Its number.
    pub oid: Oid,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Who made it.
    pub owner: Oid,
    /// What it is.
    pub kind: Kind,
    /// The statement that made it.
    pub sql: String,
    /// For views: the query alone.
    pub query: Option<String>,
    /// Its columns.
    pub columns: SchemaRef,
    /// What it is made from.
    pub depends: BTreeSet<Oid>,
    /// `COMMENT ON`.
    pub comment: Option<String>,
    /// `COMMENT ON COLUMN`, by position.
    pub column_comments: BTreeMap<usize, String>,
    /// What it goes with: it is made, named and dropped with it.
    pub part_of: Option<Oid>,
}

impl Object {
    /// The word for its kind in messages and command tags.
    pub fn class(&self) -> &'static str {
        match &self.kind {
            Kind::Table(_) => "table",
            Kind::Source(_) => "source",
            Kind::View => "view",
            Kind::MaterializedView(_) => "materialized view",
            Kind::Sink => "sink",
            Kind::Index(_) => "index",
            Kind::Secret(_) => "secret",
            Kind::Connection(_) => "connection",
            Kind::Subscription(_) => "subscription",
            Kind::Alert(_) => "alert",
            Kind::Dashboard(_) => "dashboard",
        }
    }

    /// The declaration of a table or source.
    pub fn source(&self) -> Option<&Arc<SourceObject>> {
        match &self.kind {
            Kind::Table(source) | Kind::Source(source) => Some(source),
            _ => None,
        }
    }

    /// Its name for people and for SQL.
    pub fn full_name(&self) -> String {
        if self.schema == PUBLIC {
            quoted(&self.name)
        } else {
            format!("{}.{}", quoted(&self.schema), quoted(&self.name))
        }
    }

    /// Rows that a query can read.
    pub fn is_readable(&self) -> bool {
        matches!(&self.kind, Kind::Table(_) | Kind::MaterializedView(_) | Kind::Alert(_))
    }

    /// As a source of a plan.
    pub(crate) fn live(&self) -> Option<LiveEntry> {
        let (known, watermark) = match &self.kind {
            Kind::Table(table) => {
                let key = table.primary_key().to_vec();
                let keyed = !key.is_empty();
                let by = if keyed { key.clone() } else { (0..self.columns.fields().len()).collect() };
                let distribution = Distribution::Hash(by);
                (RelationSpec { append_only: false, key: keyed.then_some(key), distribution }, table.entry.watermark)
            }
            Kind::Source(source) => {
                let known = RelationSpec { append_only: true, key: None, distribution: Distribution::Any };
                (known, source.entry.watermark)
            }
            Kind::MaterializedView(known) => (known.clone(), None),
            Kind::Alert(alert) => (alert.known.clone(), None),
            _ => return None,
        };
        Some(LiveEntry { name: format!("#{}", self.oid.0), schema: Arc::clone(&self.columns), known, watermark })
    }
}

/// Everything that there is, at one moment.
#[derive(Clone, Debug)]
pub struct Objects {
    schemas: BTreeMap<String, Schema>,
    users: BTreeMap<String, User>,
    by_name: BTreeMap<(String, String), Oid>,
    by_oid: BTreeMap<Oid, Arc<Object>>,
    /// By object or schema, then by who was granted.
    grants: BTreeMap<Oid, BTreeMap<Oid, BTreeSet<Privilege>>>,
    next: u32,
}

impl Default for Objects {
    fn default() -> Self {
        let root = User {
            oid: ROOT,
            name: "root".to_owned(),
            superuser: true,
            login: true,
            create_db: true,
            create_user: true,
            member_of: BTreeSet::new(),
            password: None,
        };
        let public = Schema { oid: Oid(2200), name: PUBLIC.to_owned(), owner: ROOT };
        Self {
            schemas: BTreeMap::from([(public.name.clone(), public)]),
            users: BTreeMap::from([(root.name.clone(), root)]),
            by_name: BTreeMap::new(),
            by_oid: BTreeMap::new(),
            grants: BTreeMap::from([(
                Oid(2200),
                BTreeMap::from([(EVERYONE, BTreeSet::from([Privilege::Usage, Privilege::Create]))]),
            )]),
            next: FIRST_OID,
        }
    }
}

impl Objects {
    /// A number for a new object.
    pub fn number(&mut self) -> Oid {
        self.next += 1;
        Oid(self.next - 1)
    }

    /// All objects, oldest first.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.by_oid.values()
    }

    /// The object `oid`.
    pub fn get(&self, oid: Oid) -> Option<&Arc<Object>> {
        self.by_oid.get(&oid)
    }

    /// The object that `name` means to someone whose schemas are `path`.
    pub fn find(&self, name: &ObjectName, path: &[String]) -> Option<&Arc<Object>> {
        let within = |schema: &String| self.by_name.get(&(schema.clone(), name.name.clone()));
        let oid = match &name.schema {
            Some(schema) => within(schema),
            None => path.iter().find_map(within),
        };
        oid.and_then(|oid| self.by_oid.get(oid))
    }

    /// As [`Objects::find`], or an error that names the nearest.
    ///
    /// # Errors
    /// There is none.
    pub fn expect(&self, name: &ObjectName, path: &[String]) -> Result<&Arc<Object>, SqlError> {
        self.find(name, path).ok_or_else(|| {
            let error = SqlError::new(SqlState::UNDEFINED_TABLE, format!("relation {name} does not exist"));
            match thalweg_core::nearest(&name.name, self.by_name.keys().map(|(_, n)| n.as_str())) {
                Some(near) => error.hint(format!("Did you mean {near}?")),
                None => error,
            }
        })
    }

    /// Adds an object, or replaces it under the same number.
    ///
    /// # Errors
    /// Another object has its name; its schema does not exist.
    pub fn put(&mut self, object: Object) -> Result<(), SqlError> {
        if !self.schemas.contains_key(&object.schema) {
            return Err(no_schema(&object.schema));
        }
        let name = (object.schema.clone(), object.name.clone());
        if self.by_name.get(&name).is_some_and(|oid| *oid != object.oid) {
            let message = format!("relation {} already exists", quoted(&object.name));
            return Err(SqlError::new(SqlState::DUPLICATE_TABLE, message));
        }
        if let Some(before) = self.by_oid.get(&object.oid) {
            self.by_name.remove(&(before.schema.clone(), before.name.clone()));
        }
        self.by_name.insert(name, object.oid);
        self.by_oid.insert(object.oid, Arc::new(object));
        Ok(())
    }

    /// Takes an object out.
    pub fn remove(&mut self, oid: Oid) -> Option<Arc<Object>> {
        let object = self.by_oid.remove(&oid)?;
        self.by_name.remove(&(object.schema.clone(), object.name.clone()));
        self.grants.remove(&oid);
        Some(object)
    }

    /// Whether `user` may do something with an object or a schema: superusers and owners may everything.
    pub fn may(&self, user: &User, oid: Oid, privilege: Privilege) -> bool {
        let owner = self
            .by_oid
            .get(&oid)
            .map(|o| o.owner)
            .or_else(|| self.schemas.values().find(|s| s.oid == oid).map(|s| s.owner));
        let roles = self.roles_of(user);
        user.superuser
            || owner.is_some_and(|o| roles.contains(&o))
            || self.grants.get(&oid).is_some_and(|grants| {
                roles.iter().chain([&EVERYONE]).any(|role| grants.get(role).is_some_and(|p| p.contains(&privilege)))
            })
    }

    /// Whether `user` may do something with an object and may name what is in its schema.
    pub fn may_reach(&self, user: &User, object: &Object, privilege: Privilege) -> bool {
        let named = self.schemas.get(&object.schema).is_some_and(|s| self.may(user, s.oid, Privilege::Usage));
        named && self.may(user, object.oid, privilege)
    }

    /// The user with a number.
    pub fn user_by_oid(&self, oid: Oid) -> Option<&User> {
        self.users.values().find(|u| u.oid == oid)
    }

    /// Whether `user` owns an object, itself or through a role.
    pub fn owns(&self, user: &User, owner: Oid) -> bool {
        user.superuser || self.roles_of(user).contains(&owner)
    }

    /// The user and every role that it is in, directly or not.
    fn roles_of(&self, user: &User) -> BTreeSet<Oid> {
        let mut roles = BTreeSet::from([user.oid]);
        let mut open: Vec<Oid> = user.member_of.iter().copied().collect();
        while let Some(role) = open.pop() {
            if roles.insert(role) {
                let found = self.users.values().find(|u| u.oid == role);
                open.extend(found.iter().flat_map(|u| u.member_of.iter().copied()));
            }
        }
        roles
    }

    /// Grants or takes back.
    pub fn grant(&mut self, oid: Oid, grantee: Oid, privileges: &[Privilege], give: bool) {
        let of_grantee = self.grants.entry(oid).or_default().entry(grantee).or_default();
        for privilege in privileges {
            if give {
                of_grantee.insert(*privilege);
            } else {
                of_grantee.remove(privilege);
            }
        }
        if of_grantee.is_empty() {
            self.grants.entry(oid).or_default().remove(&grantee);
        }
    }

    /// What was granted on an object or schema, by grantee.
    pub fn grants(&self, oid: Oid) -> impl Iterator<Item = (Oid, &BTreeSet<Privilege>)> {
        self.grants.get(&oid).into_iter().flatten().map(|(grantee, privileges)| (*grantee, privileges))
    }

    /// What is made from `oid`, directly or not, those that are made last first.
    pub fn dependents(&self, oid: Oid) -> Vec<Arc<Object>> {
        let mut found = BTreeSet::from([oid]);
        let mut order = Vec::new();
        // What is made from an object has a higher number.
        for object in self.by_oid.values() {
            if object.depends.iter().any(|d| found.contains(d)) {
                found.insert(object.oid);
                order.push(Arc::clone(object));
            }
        }
        order.reverse();
        order
    }

    /// The schemas.
    pub fn schemas(&self) -> impl Iterator<Item = &Schema> {
        self.schemas.values()
    }

    /// The schema `name`.
    pub fn schema(&self, name: &str) -> Option<&Schema> {
        self.schemas.get(name)
    }

    /// Adds a schema.
    pub fn put_schema(&mut self, schema: Schema) {
        self.schemas.insert(schema.name.clone(), schema);
    }

    /// Takes a schema out.
    pub fn remove_schema(&mut self, name: &str) {
        self.schemas.remove(name);
    }

    /// The users.
    pub fn users(&self) -> impl Iterator<Item = &User> {
        self.users.values()
    }

    /// The user `name`.
    pub fn user(&self, name: &str) -> Option<&User> {
        self.users.get(name)
    }

    /// Adds a user or replaces it.
    pub fn put_user(&mut self, user: User) {
        self.users.insert(user.name.clone(), user);
    }

    /// Takes a user out, and what it was granted.
    pub fn remove_user(&mut self, name: &str) {
        if let Some(user) = self.users.remove(name) {
            self.grants.values_mut().for_each(|g| drop(g.remove(&user.oid)));
            for other in self.users.values_mut() {
                other.member_of.remove(&user.oid);
            }
        }
    }
}

/// `schema` does not exist.
pub fn no_schema(schema: &str) -> SqlError {
    SqlError::new(SqlState::INVALID_SCHEMA_NAME, format!("schema {} does not exist", quoted(schema)))
}
