//! The rows of alerts as the system relations tell them. It must not know how these are asked.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use thalweg_formats::JsonEncoder;
use thalweg_sql::server::{AlertObject, Kind, Object, Objects, Oid, Privilege};
use thalweg_sql::system::{self, AlertEvent, AlertInstance};

use crate::server::Server;
use crate::server::read::Pinned;
use crate::server::session::Session;

/// The alerts that a session's user may read, and their rows.
pub(crate) fn alert_rows(
    session: &Session,
    objects: &Arc<Objects>,
) -> (Vec<system::Alert>, Arc<dyn system::AlertRows>) {
    let user = session.user(objects).ok();
    let may_read = |o: &&Arc<Object>| user.as_ref().is_some_and(|u| objects.may_reach(u, o, Privilege::Select));
    let now = session.server.now();
    let alerts = objects.all().filter(may_read).filter_map(|object| match &object.kind {
        Kind::Alert(alert) => Some(told(session, objects, object, alert, now)),
        _ => None,
    });
    let rows = Rows { server: Arc::clone(&session.server), objects: Arc::clone(objects), now };
    (alerts.collect(), Arc::new(rows))
}

fn number(oid: Oid) -> i32 {
    i32::try_from(oid.0).unwrap_or(i32::MAX)
}

fn told(session: &Session, objects: &Objects, object: &Object, alert: &AlertObject, now: i64) -> system::Alert {
    let notify = alert.notify.iter().map(|(channel, sink)| {
        let state = session.server.deliveries.of(*sink).map(|delivery| delivery.state()).unwrap_or_default();
        let word = match (state.failed, &state.error) {
            (true, _) => "failed",
            (false, Some(_)) => "retrying",
            (false, None) => "live",
        };
        serde_json::json!({ "channel": channel, "state": word, "error": state.error })
    });
    system::Alert {
        oid: number(object.oid),
        schema: objects.schema(&object.schema).map_or(system::PUBLIC_SCHEMA, |s| number(s.oid)),
        name: object.name.clone(),
        owner: objects.user_by_oid(object.owner).map_or_else(String::new, |u| u.name.clone()),
        severity: alert.severity.word(),
        query: object.query.clone().unwrap_or_default(),
        hold: i64::try_from(alert.hold.as_micros()).unwrap_or(i64::MAX),
        silenced_until: all_silenced(alert, now),
        notify: serde_json::Value::from_iter(notify).to_string(),
    }
}

/// The end of the silence over all instances.
fn all_silenced(alert: &AlertObject, now: i64) -> Option<i64> {
    let holds = alert.silences.iter().filter(|s| s.instance.is_none() && s.from <= now && now < s.until);
    holds.map(|s| s.until).max()
}

struct Rows {
    server: Arc<Server>,
    objects: Arc<Objects>,
    now: i64,
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows").finish_non_exhaustive()
    }
}

/// A row of an alert's relation or of its history: what it is called, a word, a moment, and the rest as JSON.
struct Told {
    instance: String,
    word: String,
    when: i64,
    row: String,
}

impl Rows {
    fn alert(&self, alert: i32) -> Option<(&Arc<Object>, &AlertObject)> {
        let object = self.objects.get(Oid(u32::try_from(alert).ok()?))?;
        match &object.kind {
            Kind::Alert(alert) => Some((object, alert)),
            _ => None,
        }
    }

    /// The rows of a relation, or none while it cannot be read.
    fn read(&self, oid: Oid, columns: &SchemaRef) -> Vec<Told> {
        let parts = Pinned::one(&self.server, oid).ok().flatten().unwrap_or_default();
        let batches = parts.iter().flat_map(|part| (0..part.num_batches()).filter_map(|i| part.batch(i).ok()));
        batches.flat_map(|batch| told_of(&batch, columns)).collect()
    }

    /// Up to which moment everything is known to have been told (microseconds since 1970); `None`: nobody is to be told.
    fn told_until(&self, alert: &AlertObject) -> Option<i64> {
        let delivered = alert
            .notify
            .iter()
            .map(|(_, sink)| self.server.deliveries.of(*sink).map_or(0, |delivery| delivery.state().delivered_at));
        delivered.min()
    }
}

/// The last three columns name the instance, a word and a moment; those before are the row.
fn told_of(batch: &RecordBatch, columns: &SchemaRef) -> Vec<Told> {
    let width = columns.fields().len().saturating_sub(3);
    let row: Vec<usize> = (0..width).collect();
    let mut lines = Vec::with_capacity(batch.num_rows());
    let projected = batch.project(&row).ok();
    let encoded = projected.map(|rows| {
        JsonEncoder::new(&rows.schema()).encode_each(&rows, |_, line| {
            lines.push(String::from_utf8_lossy(line).trim_end().to_owned());
            Ok(())
        })
    });
    if !matches!(encoded, Some(Ok(()))) {
        lines.resize(batch.num_rows(), "{}".to_owned());
    }
    let text = |column: &ArrayRef, row: usize| {
        let text = column.as_string_view_opt().filter(|texts| !texts.is_null(row));
        text.map_or_else(String::new, |texts| texts.value(row).to_owned())
    };
    let when =
        |row: usize| batch.column(width + 2).as_primitive_opt::<TimestampMicrosecondType>().map_or(0, |t| t.value(row));
    let told = |(at, row): (usize, String)| Told {
        instance: text(batch.column(width), at),
        word: text(batch.column(width + 1), at),
        when: when(at),
        row,
    };
    lines.into_iter().enumerate().map(told).collect()
}

impl system::AlertRows for Rows {
    fn instances(&self, alert: i32) -> Vec<AlertInstance> {
        let Some((object, alert)) = self.alert(alert) else { return Vec::new() };
        let instance = |told: Told| AlertInstance {
            acknowledged: alert.acknowledged(&told.instance, told.when).map(|a| (a.by.clone(), a.at)),
            silenced_until: alert.silenced_until(&told.instance, self.now),
            instance: told.instance,
            state: told.word,
            since: told.when,
            row: told.row,
        };
        let mut all: Vec<AlertInstance> = self.read(object.oid, &object.columns).into_iter().map(instance).collect();
        all.sort_by(|a, b| (a.since, &a.instance).cmp(&(b.since, &b.instance)));
        all
    }

    fn history(&self, alert: i32) -> Vec<AlertEvent> {
        let Some((_, alert)) = self.alert(alert) else { return Vec::new() };
        let Some(history) = self.objects.get(alert.history) else { return Vec::new() };
        let told_until = self.told_until(alert);
        let event = |told: Told| AlertEvent {
            notified: match told_until {
                None => "none",
                Some(_) if alert.silenced_until(&told.instance, told.when).is_some() => "silenced",
                Some(until) if told.when <= until => "sent",
                Some(_) => "waiting",
            },
            instance: told.instance,
            transition: told.word,
            at: told.when,
            row: told.row,
        };
        let mut all: Vec<AlertEvent> = self.read(history.oid, &history.columns).into_iter().map(event).collect();
        all.sort_by_key(|event| event.at);
        all
    }
}
