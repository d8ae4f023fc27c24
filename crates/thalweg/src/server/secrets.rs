//! Secrets and connections: made, changed, and put into the options that refer to them. It must not know connectors.

use std::collections::BTreeSet;
use std::sync::Arc;

use thalweg_core::{Options, Secret, SqlError, SqlState};
use thalweg_sql::server::{
    Connection, Kind, Object, ObjectName, Objects, Oid, Privilege, SecretValue, Statement, masked, quoted,
};

use super::ddl::{Made, home, new_object};
use super::drops::owned;
use super::session::Session;

pub(super) fn create_secret(
    session: &mut Session,
    objects: &mut Objects,
    name: &ObjectName,
    if_not_exists: bool,
    value: &SecretValue,
) -> Result<Made, SqlError> {
    const TAG: &str = "CREATE SECRET";
    if !is_free(session, objects, name, if_not_exists)? {
        return Ok(Made::unchanged(TAG));
    }
    let schema = home(session, objects, name)?;
    let (secret, sealed) = opened(session, value)?;
    let full = format!("{}.{}", quoted(&schema), quoted(&name.name));
    let logged = format!("{TAG} {full} WITH (backend = 'meta') AS SEALED '{sealed}'");
    let object = new_object(session, objects, schema, &name.name, Kind::Secret(secret))?;
    let sql = format!("{TAG} {} WITH (backend = 'meta') AS '{}'", quoted(&name.name), Secret::MASK);
    objects.put(Object { sql, ..object })?;
    Ok(Made { logged: Some(logged), ..Made::new(TAG) })
}

/// A new value for a secret: what refers to it takes it up when it is made or started again.
pub(super) fn alter_secret(
    session: &mut Session,
    objects: &mut Objects,
    name: &ObjectName,
    value: &SecretValue,
) -> Result<Made, SqlError> {
    let object = Arc::clone(objects.expect(name, &session.path())?);
    if !matches!(object.kind, Kind::Secret(_)) {
        return Err(wrong_kind(&object, "secret"));
    }
    owned(session, objects, &object)?;
    let (secret, sealed) = opened(session, value)?;
    let full = format!("{}.{}", quoted(&object.schema), quoted(&object.name));
    let logged = format!("ALTER SECRET {full} WITH (backend = 'meta') AS SEALED '{sealed}'");
    objects.put(Object { kind: Kind::Secret(secret), ..object.as_ref().clone() })?;
    Ok(Made { logged: Some(logged), ..Made::new("ALTER SECRET") })
}

/// The secret, and its sealed form.
fn opened(session: &Session, value: &SecretValue) -> Result<(Secret, String), SqlError> {
    let seal = &session.server.seal;
    match value {
        SecretValue::Clear(secret) => Ok((secret.clone(), seal.seal(secret)?)),
        SecretValue::Sealed(sealed) => Ok((seal.open_sealed(sealed)?, sealed.clone())),
    }
}

pub(super) fn create_connection(
    session: &mut Session,
    objects: &mut Objects,
    statement: &Statement,
    name: &ObjectName,
    if_not_exists: bool,
    options: &Options,
) -> Result<Made, SqlError> {
    const TAG: &str = "CREATE CONNECTION";
    if !is_free(session, objects, name, if_not_exists)? {
        return Ok(Made::unchanged(TAG));
    }
    let schema = home(session, objects, name)?;
    let (mut options, depends) = resolved(session, objects, options)?;
    let connector = options.require("type", "kafka")?;
    super::create::may_connect(session, objects, Some(&connector))?;
    let kind = Kind::Connection(Arc::new(Connection { connector, options }));
    let object = new_object(session, objects, schema, &name.name, kind)?;
    objects.put(Object { sql: masked(&statement.text), depends, ..object })?;
    Ok(Made::new(TAG))
}

/// `options` with what the secrets and the connection that they refer to hold, and those objects. The user must have
/// been granted the use of each.
pub(super) fn resolved(
    session: &Session,
    objects: &Objects,
    options: &Options,
) -> Result<(Options, BTreeSet<Oid>), SqlError> {
    let mut options = options.clone();
    let mut used = BTreeSet::new();
    let references: Vec<(String, String)> =
        options.references().map(|(key, name)| (key.to_owned(), name.to_owned())).collect();
    for (key, name) in references {
        let object = usable(session, objects, &ObjectName::bare(name))?;
        let Kind::Secret(secret) = &object.kind else { return Err(wrong_kind(&object, "secret")) };
        options.resolve(&key, secret);
        used.insert(object.oid);
    }
    if let Some(name) = options.take("connection") {
        let object = usable(session, objects, &ObjectName::bare(name))?;
        let Kind::Connection(connection) = &object.kind else { return Err(wrong_kind(&object, "connection")) };
        if let Some(connector) = options.clone().take("connector").filter(|c| *c != connection.connector) {
            let message = format!("connection {} is for {}, not {connector}", object.name, connection.connector);
            return Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message));
        }
        let kind = Options::new([("connector".to_owned(), connection.connector.clone())]);
        options.default_to(&connection.options);
        options.default_to(&kind);
        used.insert(object.oid);
    }
    Ok((options, used))
}

fn usable(session: &Session, objects: &Objects, name: &ObjectName) -> Result<Arc<Object>, SqlError> {
    let object = Arc::clone(objects.expect(name, &session.path())?);
    if objects.may_reach(&session.user(objects)?, &object, Privilege::Usage) {
        return Ok(object);
    }
    let message = format!("permission denied for {} {}", object.class(), object.name);
    Err(SqlError::new(SqlState::INSUFFICIENT_PRIVILEGE, message))
}

fn wrong_kind(object: &Object, wanted: &str) -> SqlError {
    let message = format!("{} is a {}, not a {wanted}", object.name, object.class());
    SqlError::new(SqlState::WRONG_OBJECT_TYPE, message)
}

/// Whether nothing has the name; `false` where it may be there already.
fn is_free(session: &mut Session, objects: &Objects, name: &ObjectName, if_not_exists: bool) -> Result<bool, SqlError> {
    let full = ObjectName { schema: Some(home(session, objects, name)?), name: name.name.clone() };
    if objects.find(&full, &[]).is_none() {
        return Ok(true);
    }
    let message = format!("relation {} already exists", quoted(&name.name));
    if !if_not_exists {
        return Err(SqlError::new(SqlState::DUPLICATE_TABLE, message));
    }
    session.notice(format!("{message}, skipping"));
    Ok(false)
}
