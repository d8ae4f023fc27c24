//! CREATE ALERT: the relation of its instances, that of what has happened to them, and a sink for each who is told. It must
//! not know what a row must be to be an instance.

mod quiet;
mod quieten;
mod rows;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

use thalweg_connectors::EpochSinkRequest;
use thalweg_core::{EpochSink, Error, Options, SqlError, SqlState};
use thalweg_sql::server::{
    AlertObject, AlertStatement, CreateAlert, JobPlan, Kind, Notify, Object, ObjectClass, ObjectName, Objects, Oid,
    PUBLIC, Statement, masked, quoted,
};

use super::create::may_connect;
use super::ddl::{Made, home, stop};
use super::drops::drop_all;
use super::jobs::{End, start};
use super::secrets::resolved;
use super::session::Session;
use super::{Running, Server};
pub(super) use rows::alert_rows;

/// What the name of an alert's history ends with.
pub(super) const HISTORY: &str = "$history";
/// What the names of the sinks of those who are told end with, before their number.
pub(super) const NOTIFY: &str = "$notify";

/// A statement of alerts.
pub(super) fn run(
    session: &mut Session,
    objects: &mut Objects,
    statement: &Statement,
    of: &AlertStatement,
) -> Result<Made, SqlError> {
    match of {
        AlertStatement::Create(alert) => {
            let mut started = Vec::new();
            let made = create(session, objects, statement, alert, &mut started);
            if made.is_err() {
                started.iter().rev().for_each(|oid| stop(&session.server, *oid));
            }
            made.map(|made| Made { started, ..made })
        }
        AlertStatement::Silence(of, lasting) => quieten::silence(session, objects, of, *lasting),
        AlertStatement::Unsilence(of, at) => quieten::unsilence(session, objects, of, *at),
        AlertStatement::Acknowledge(of, at) => quieten::acknowledge(session, objects, of, *at),
    }
}

/// An alert that is being made.
struct Making<'a> {
    session: &'a mut Session,
    server: Arc<Server>,
    alert: &'a CreateAlert,
    label: String,
    /// What runs for it already.
    started: &'a mut Vec<Oid>,
}

fn create(
    session: &mut Session,
    objects: &mut Objects,
    statement: &Statement,
    alert: &CreateAlert,
    started: &mut Vec<Oid>,
) -> Result<Made, SqlError> {
    const TAG: &str = "CREATE ALERT";
    let schema = home(session, objects, &alert.name)?;
    let full = ObjectName { schema: Some(schema.clone()), name: alert.name.name.clone() };
    let mut doomed = Vec::new();
    match objects.find(&full, &[]).cloned() {
        Some(taken) if alert.or_replace && matches!(taken.kind, Kind::Alert(_)) => {
            doomed = drop_all(session, objects, ObjectClass::Alert, false, std::slice::from_ref(&full), false)?.doomed;
        }
        Some(_) => {
            let message = format!("relation {} already exists", quoted(&full.name));
            if alert.if_not_exists {
                session.notice(format!("{message}, skipping"));
                return Ok(Made::unchanged(TAG));
            }
            return Err(SqlError::new(SqlState::DUPLICATE_TABLE, message));
        }
        None => {}
    }
    let label = if schema == PUBLIC { full.name.clone() } else { format!("{schema}.{}", full.name) };
    let server = Arc::clone(&session.server);
    let planned = session.scoped(None, |scope| server.database.alert(scope, alert, &label))?;
    planned.notices.into_iter().for_each(|notice| session.notice(notice));
    let owner = session.user(objects)?.oid;
    let mut making = Making { session, server, alert, label, started };

    let (oid, view) = (objects.number(), planned.view);
    let job = view.job.ok_or_else(|| SqlError::new(SqlState::INTERNAL_ERROR, "an alert without a job"))?;
    let known = job.output.clone();
    making.start(oid, "", job, End::Relations)?;
    let (history, notify) = (objects.number(), Vec::new());
    let (silences, acknowledged) = (Vec::new(), Vec::new());
    let (hold, severity) = (alert.hold, alert.severity);
    let mut made = AlertObject { known, hold, severity, history, notify, silences, acknowledged };
    let whole = Object {
        oid,
        schema,
        name: full.name,
        owner,
        kind: Kind::Alert(Arc::new(made.clone())),
        sql: masked(&statement.text),
        query: Some(view.query),
        columns: view.columns,
        depends: view.reads,
        comment: None,
        column_comments: BTreeMap::new(),
        part_of: None,
    };
    let told = making.history(&whole, history)?;
    let mut parts = vec![told.clone()];
    let mut uses = BTreeSet::new();
    for (number, notify) in (1..).zip(&alert.notify) {
        let sink = objects.number();
        let (part, used) = making.notify(objects, &told, sink, number, notify)?;
        made.notify.push((notify.channel.clone(), sink));
        uses.extend(used);
        parts.push(part);
    }
    let depends = whole.depends.union(&uses).copied().collect();
    objects.put(Object { kind: Kind::Alert(Arc::new(made)), depends, ..whole })?;
    parts.into_iter().try_for_each(|part| objects.put(part))?;
    Ok(Made { doomed, awaited: Some(oid), ..Made::new(TAG) })
}

impl Making<'_> {
    fn start(&mut self, oid: Oid, suffix: &str, job: JobPlan, end: End) -> Result<Arc<Running>, SqlError> {
        let running = start(self.server.works(), &format!("{}{suffix}", self.label), job, end, Some(oid))?;
        let mut all = self.server.running.write().unwrap_or_else(PoisonError::into_inner);
        all.insert(oid, Arc::clone(&running));
        self.started.push(oid);
        Ok(running)
    }

    /// The relation of what happens to `alert`.
    fn history(&mut self, alert: &Object, oid: Oid) -> Result<Object, SqlError> {
        let job = self.server.database.alert_history(alert, &format!("{}{HISTORY}", self.label))?;
        let (known, columns) = (job.output.clone(), Arc::clone(&job.schema));
        self.start(oid, HISTORY, job, End::Relations)?;
        Ok(Object {
            oid,
            name: format!("{}{HISTORY}", alert.name),
            kind: Kind::MaterializedView(known),
            query: None,
            columns,
            depends: BTreeSet::from([alert.oid]),
            part_of: Some(alert.oid),
            ..alert.clone()
        })
    }

    /// The sink of one who is told, and what its options use.
    fn notify(
        &mut self,
        objects: &Objects,
        history: &Object,
        oid: Oid,
        number: usize,
        notify: &Notify,
    ) -> Result<(Object, BTreeSet<Oid>), SqlError> {
        may_connect(self.session, objects, Some(&notify.channel))?;
        let (options, uses) = resolved(self.session, objects, &notify.options)?;
        let suffix = format!("{NOTIFY}{number}");
        let label = format!("{}{suffix}", self.label);
        let job = self.server.database.passed_on(history, &label)?;
        let sink = self.sink(oid, &label, &notify.channel, options, &job)?;
        let at = |name: &str| job.schema.index_of(name).map_err(Error::from);
        let places = (at("alert_instance")?, at("at")?);
        let quiet =
            quiet::Quiet::new(sink, Arc::downgrade(&self.server), history.part_of.unwrap_or(history.oid), places);
        let columns = Arc::clone(&job.schema);
        self.start(oid, &suffix, job, End::Outbox)?;
        self.server.deliveries.begin(&self.server, oid, Box::new(quiet))?;
        let alert = history.part_of;
        let name = history.name.strip_suffix(HISTORY).unwrap_or(&history.name);
        let part = Object {
            oid,
            name: format!("{name}{suffix}"),
            kind: Kind::Sink,
            columns,
            depends: BTreeSet::from_iter(alert.into_iter().chain([history.oid])),
            ..history.clone()
        };
        Ok((part, uses))
    }

    fn sink(
        &self,
        oid: Oid,
        label: &str,
        channel: &str,
        mut options: Options,
        job: &JobPlan,
    ) -> Result<Box<dyn EpochSink>, SqlError> {
        if !thalweg_connectors::has_epoch_sink(channel) {
            let message = format!("there is no way to notify {}", quoted(channel));
            let hint =
                "There are webhook, slack, email and log, and every connector of a sink that delivers exactly once.";
            return Err(SqlError::new(SqlState::UNDEFINED_OBJECT, message).hint(hint));
        }
        if self.server.keeper.is_none() {
            let message = format!("NOTIFY {channel} tells what is in checkpoints, and there are none");
            let hint = "Start the server with --data DIR.";
            return Err(SqlError::new(SqlState::NOT_IN_PREREQUISITE_STATE, message).hint(hint));
        }
        if thalweg_connectors::is_notifier(channel) {
            let (name, severity) = (self.label.clone(), self.alert.severity.word().to_owned());
            let own = [("alert.name", name), ("alert.severity", severity), ("on_refusal", "skip".to_owned())];
            options.default_to(&Options::new(own.map(|(key, value)| (key.to_owned(), value))));
        }
        let request = EpochSinkRequest {
            name: label.to_owned(),
            id: format!("{}-{}", oid.0, label.replace(|c: char| !c.is_ascii_alphanumeric(), "_")),
            cluster: self.server.cluster.clone(),
            connector: channel.to_owned(),
            options,
            schema: Arc::clone(&job.schema),
            key: None,
            // What the history lets go is not told.
            append_only: true,
            disk: self.server.disk(),
        };
        Ok(thalweg_connectors::epoch_sink(request)?)
    }
}
