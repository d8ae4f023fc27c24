//! The picture that the system catalogs are made of, taken of the server as one session may see it.
//! It must not know the relations that are made of it.

use std::sync::{Arc, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use thalweg_runtime::live::JobState;
use thalweg_sql::server::{Kind, Object, Objects, PUBLIC, Privilege};
use thalweg_sql::system::{self, Picture, SessionInfo, SystemCatalog};

use super::Server;
use super::session::Session;

/// The number of the one database.
const DATABASE_OID: i32 = 1;

/// The system catalogs as `session` sees them now.
pub(crate) fn catalog(session: &Session) -> SystemCatalog {
    let objects = session.objects();
    SystemCatalog::new(Arc::new(picture(session, &objects)), Arc::new(session_info(session)))
}

fn session_info(session: &Session) -> SessionInfo {
    SessionInfo {
        user: session.login.user.clone(),
        session_user: session.login.user.clone(),
        database: session.login.database.clone(),
        search_path: session.path(),
        pid: session.login.process_id.cast_signed(),
        settings: session.settings.all().into_iter().collect(),
        client: session.login.peer.map(|p| (p.ip().to_string(), p.port())),
    }
}

fn oid(oid: thalweg_sql::server::Oid) -> i32 {
    i32::try_from(oid.0).unwrap_or(i32::MAX)
}

fn micros(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_micros()).unwrap_or(i64::MAX))
}

fn picture(session: &Session, objects: &Arc<Objects>) -> Picture {
    let server = &session.server;
    let started = server.now() - i64::try_from(server.started.elapsed().as_micros()).unwrap_or(0);
    let schemas = objects.schemas();
    let users = objects.users().map(|u| system::User {
        oid: oid(u.oid),
        name: u.name.clone(),
        superuser: u.superuser,
        can_login: u.login,
        create_db: u.create_db,
        create_role: u.create_user,
        password_set: u.password.is_some(),
        valid_until: None,
        member_of: u.member_of.iter().map(|o| oid(*o)).collect(),
    });
    let sessions = server.sessions.list().into_iter().map(|c| system::Session {
        pid: c.login.process_id.cast_signed(),
        user: objects.user(&c.login.user).map_or(0, |u| oid(u.oid)),
        database: c.login.database.clone(),
        application: c
            .login
            .settings
            .iter()
            .find(|(n, _)| n == "application_name")
            .map_or_else(String::new, |(_, v)| v.clone()),
        state: "active".to_owned(),
        query: String::new(),
        started: micros(c.since),
        client: c.login.peer.map(|p| p.ip().to_string()),
    });
    let running = server.running.read().unwrap_or_else(PoisonError::into_inner);
    let making = running.iter().filter(|(_, r)| r.job.state() == JobState::Backfilling);
    let progress = making.map(|(o, r)| system::Progress {
        oid: oid(*o),
        statement: objects.get(*o).map_or_else(String::new, |o| o.sql.clone()),
        progress: format!("{} rows", r.job.backfill()),
        started,
    });
    let (alerts, alert_rows) = super::alerts::alert_rows(session, objects);
    Picture {
        database: "dev".to_owned(),
        database_oid: DATABASE_OID,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started,
        schemas: schemas
            .map(|s| system::Schema { oid: oid(s.oid), name: s.name.clone(), owner: oid(s.owner) })
            .collect(),
        relations: objects.all().filter_map(|o| relation(session, objects, o)).collect(),
        users: users.collect(),
        settings: session
            .settings
            .all()
            .into_iter()
            .map(|(name, value)| system::Setting { name, value, ..Default::default() })
            .collect(),
        sessions: sessions.collect(),
        cursors: session
            .cursors
            .keys()
            .map(|name| system::Cursor { name: name.clone(), ..Default::default() })
            .collect(),
        prepared: session
            .prepared
            .iter()
            .map(|(name, (s, _))| system::Prepared {
                name: name.clone(),
                statement: s.text.to_string(),
                from_sql: true,
                ..Default::default()
            })
            .collect(),
        progress: progress.collect(),
        depends: objects
            .all()
            .flat_map(|o| o.depends.iter().map(|on| system::Depend { oid: oid(o.oid), on: oid(*on) }))
            .collect(),
        functions: Vec::new(),
        secrets: objects.all().filter_map(|o| secret(objects, o)).collect(),
        expectations: objects.all().flat_map(|o| expectations(o)).collect(),
        jobs: jobs(server),
        alerts,
        alert_rows: Some(alert_rows),
        dashboards: objects.all().filter_map(|o| super::dashboards::told(objects, o)).collect(),
        checkpoints: session.server.keeper.as_ref().map_or_else(Vec::new, |keeper| keeper.recent()),
    }
}

/// What the engine runs.
pub(super) fn jobs(server: &Server) -> Vec<system::Job> {
    let running = server.running.read().unwrap_or_else(PoisonError::into_inner).clone();
    let of_engine = server.engine.jobs().into_iter().map(|job| {
        let of = running.iter().find(|(_, r)| r.job.id == job.id);
        let delivery = of.and_then(|(oid, _)| Some(server.deliveries.of(*oid)?.state())).unwrap_or_default();
        let waits = of.and_then(|(_, r)| r.reopening.iter().find_map(|source| source.error()));
        let retried = delivery.error.or(waits);
        let state = match (&retried, delivery.failed) {
            (_, true) => "failed".to_owned(),
            (Some(_), false) => "retrying".to_owned(),
            (None, false) => format!("{:?}", job.state()).to_lowercase(),
        };
        system::Job {
            oid: of.map(|(o, _)| oid(*o)),
            number: i64::try_from(job.id.0).unwrap_or(i64::MAX),
            name: job.spec.name.clone(),
            state,
            error: job.error().or(retried),
        }
    });
    of_engine.collect()
}

/// A secret or connection; never what is in it.
fn secret(objects: &Objects, object: &Object) -> Option<system::Secret> {
    let connection = match &object.kind {
        Kind::Secret(_) => None,
        Kind::Connection(connection) => Some(connection.connector.clone()),
        _ => return None,
    };
    let schema = objects.schema(&object.schema).map_or(system::PUBLIC_SCHEMA, |s| oid(s.oid));
    Some(system::Secret {
        oid: oid(object.oid),
        schema,
        name: object.name.clone(),
        owner: oid(object.owner),
        connection,
    })
}

fn expectations(object: &Object) -> impl Iterator<Item = system::Expectation> {
    let all = object.source().into_iter().flat_map(|source| source.expectations().list.iter().zip(source.checks()));
    all.map(|(expectation, check)| system::Expectation {
        relation: oid(object.oid),
        name: expectation.name.to_string(),
        check,
        on_violation: expectation.on.word(),
        violations: expectation.counter.load(std::sync::atomic::Ordering::Relaxed),
    })
}

/// What can be listed as a relation.
fn relation(session: &Session, objects: &Objects, object: &Object) -> Option<system::Relation> {
    let kind = match &object.kind {
        Kind::Secret(_) | Kind::Connection(_) | Kind::Dashboard(_) => return None,
        // Its rows are kept as those of a view are.
        Kind::Alert(_) => system::Kind::MaterializedView,
        Kind::Table(_) => system::Kind::Table,
        Kind::Source(_) => system::Kind::Source,
        Kind::View => system::Kind::View,
        Kind::MaterializedView(_) => system::Kind::MaterializedView,
        Kind::Sink => system::Kind::Sink,
        Kind::Index(_) => system::Kind::Index,
        Kind::Subscription(_) => return None,
    };
    let (primary_key, connector, texts) = match &object.kind {
        Kind::Table(s) | Kind::Source(s) => {
            (s.primary_key().to_vec(), s.connector().map(str::to_owned), s.column_texts())
        }
        _ => (Vec::new(), None, Vec::new()),
    };
    let index = match &object.kind {
        Kind::Index(index) => Some(system::Index {
            table: oid(index.on),
            columns: index.columns.clone(),
            unique: index.unique,
            primary: false,
        }),
        _ => None,
    };
    let columns = object.columns.fields().iter().enumerate().map(|(i, field)| {
        let (default, generated) = texts.get(i).cloned().unwrap_or_default();
        system::Column {
            name: field.name().clone(),
            data_type: field.data_type().clone(),
            pg_type: field.metadata().get(thalweg_core::PG_TYPE).cloned(),
            not_null: !field.is_nullable() && !primary_key.is_empty(),
            default,
            generated,
            comment: object.column_comments.get(&i).cloned(),
        }
    });
    let schema = objects.schema(&object.schema).or_else(|| objects.schema(PUBLIC));
    let privileges = objects.grants(object.oid).map(|(grantee, held)| system::Privilege {
        grantee: oid(grantee),
        rights: Privilege::ALL.iter().filter(|p| held.contains(&p.0)).map(|p| p.2.to_owned()).collect(),
        grantor: oid(object.owner),
    });
    let rows = session.server.running(object.oid).and_then(|r| {
        let parts = r.relations.first()?.at(session.server.engine.epoch());
        Some(parts.iter().map(|p| p.num_rows() as u64).sum())
    });
    Some(system::Relation {
        oid: oid(object.oid),
        schema: schema.map_or(system::PUBLIC_SCHEMA, |s| oid(s.oid)),
        name: object.name.clone(),
        kind,
        owner: oid(object.owner),
        columns: columns.collect(),
        primary_key,
        definition: object.query.clone().unwrap_or_else(|| object.sql.clone()),
        comment: object.comment.clone(),
        rows,
        index,
        privileges: privileges.collect(),
        connector,
    })
}
