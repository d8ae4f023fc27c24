//! Rows of `thalweg_catalog` that tell of what people watch: jobs, alerts, dashboards. It must not know how they are run.

use super::{Row, row};
use crate::system::picture::{Alert, AlertInstance, Dashboard};
use crate::system::scope::Scope;

/// The rows of a relation by its name.
pub(super) fn rows(scope: &Scope, name: &str) -> Vec<Row> {
    match name {
        "jobs" => jobs(scope),
        "alerts" => scope.picture.alerts.iter().map(|alert| self::alert(scope, alert)).collect(),
        "alert_instances" => scope.picture.alerts.iter().flat_map(|alert| instances(scope, alert)).collect(),
        "alert_history" => scope.picture.alerts.iter().flat_map(|alert| history(scope, alert)).collect(),
        "dashboards" => scope.picture.dashboards.iter().map(|dashboard| self::dashboard(scope, dashboard)).collect(),
        "dashboard_panels" => scope.picture.dashboards.iter().flat_map(panels).collect(),
        _ => Vec::new(),
    }
}

fn jobs(scope: &Scope) -> Vec<Row> {
    let jobs = scope.picture.jobs.iter().map(|job| {
        row! {
            "id" => job.oid, "number" => job.number, "name" => job.name.as_str(), "state" => job.state.as_str(),
            "error" => job.error.as_deref(),
        }
    });
    jobs.collect()
}

fn rows_of(scope: &Scope, alert: &Alert) -> Vec<AlertInstance> {
    scope.picture.alert_rows.as_ref().map_or_else(Vec::new, |rows| rows.instances(alert.oid))
}

fn alert(scope: &Scope, alert: &Alert) -> Row {
    let rows = rows_of(scope, alert);
    let count = |state: &str| rows.iter().filter(|row| row.state == state).count() as i64;
    let (pending, firing) = (count("pending"), count("firing"));
    let state = match (firing, pending) {
        (1.., _) => "firing",
        (_, 1..) => "pending",
        _ => "ok",
    };
    let since = rows.iter().filter(|row| row.state == state).map(|row| row.since).min();
    row! {
        "id" => alert.oid, "schema_name" => scope.schema_name(alert.schema), "name" => alert.name.as_str(),
        "owner" => alert.owner.as_str(), "severity" => alert.severity, "query" => alert.query.as_str(),
        "hold" => held(alert.hold), "state" => state, "pending" => pending, "firing" => firing, "since" => since,
        "silenced_until" => alert.silenced_until, "notify" => alert.notify.as_str(),
    }
}

/// A time as an interval's text.
fn held(micros: i64) -> String {
    let (seconds, rest) = (micros / 1_000_000, micros % 1_000_000);
    let whole = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if rest == 0 { whole } else { format!("{whole}.{rest:06}") }
}

fn instances(scope: &Scope, alert: &Alert) -> Vec<Row> {
    let row = |instance: AlertInstance| {
        let (by, at) = instance.acknowledged.unzip();
        row! {
            "alert" => alert.oid, "name" => alert.name.as_str(), "instance" => instance.instance,
            "state" => instance.state, "since" => instance.since, "row" => instance.row, "acknowledged_by" => by,
            "acknowledged_at" => at, "silenced_until" => instance.silenced_until,
        }
    };
    rows_of(scope, alert).into_iter().map(row).collect()
}

fn history(scope: &Scope, alert: &Alert) -> Vec<Row> {
    let Some(rows) = &scope.picture.alert_rows else { return Vec::new() };
    let row = |event: crate::system::picture::AlertEvent| {
        row! {
            "alert" => alert.oid, "name" => alert.name.as_str(), "instance" => event.instance,
            "transition" => event.transition, "at" => event.at, "row" => event.row, "notified" => event.notified,
        }
    };
    rows.history(alert.oid).into_iter().map(row).collect()
}

fn dashboard(scope: &Scope, dashboard: &Dashboard) -> Row {
    row! {
        "id" => dashboard.oid, "schema_name" => scope.schema_name(dashboard.schema),
        "name" => dashboard.name.as_str(), "title" => dashboard.title.as_deref(),
        "owner" => dashboard.owner.as_str(), "definition" => dashboard.definition.as_str(),
    }
}

fn panels(dashboard: &Dashboard) -> Vec<Row> {
    let row = |(position, panel): (usize, &crate::system::picture::Panel)| {
        row! {
            "dashboard" => dashboard.oid, "position" => i32::try_from(position + 1).unwrap_or(i32::MAX),
            "name" => panel.name.as_str(), "kind" => panel.kind, "query" => panel.query.as_str(),
            "options" => panel.options.as_str(),
        }
    };
    dashboard.panels.iter().enumerate().map(row).collect()
}
