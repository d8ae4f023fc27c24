//! CREATE DASHBOARD: an object of the catalog that nothing runs for. It must not know who draws it.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::Schema;
use thalweg_core::{SqlError, SqlState};
use thalweg_sql::server::{
    CreateDashboard, DashboardObject, Kind, Object, ObjectName, Objects, Oid, Statement, quoted,
};
use thalweg_sql::system::{self, Panel};

use super::ddl::{Made, home};
use super::drops::owned;
use super::session::Session;

pub(super) fn create(
    session: &mut Session,
    objects: &mut Objects,
    statement: &Statement,
    dashboard: &CreateDashboard,
) -> Result<Made, SqlError> {
    const TAG: &str = "CREATE DASHBOARD";
    let schema = home(session, objects, &dashboard.name)?;
    let full = ObjectName { schema: Some(schema.clone()), name: dashboard.name.name.clone() };
    // One that takes the place of another is the same to whoever knows its number.
    let mut oid = None;
    match objects.find(&full, &[]).cloned() {
        Some(taken) if dashboard.or_replace && matches!(taken.kind, Kind::Dashboard(_)) => {
            owned(session, objects, &taken)?;
            oid = Some(taken.oid);
        }
        Some(_) => {
            let message = format!("relation {} already exists", quoted(&full.name));
            if dashboard.if_not_exists {
                session.notice(format!("{message}, skipping"));
                return Ok(Made::unchanged(TAG));
            }
            return Err(SqlError::new(SqlState::DUPLICATE_TABLE, message));
        }
        None => {}
    }
    let server = Arc::clone(&session.server);
    let depends = session.scoped(None, |scope| server.database.dashboard(scope, dashboard))?;
    let owner = session.user(objects)?.oid;
    let kind = DashboardObject { title: dashboard.title.clone(), panels: dashboard.panels.clone() };
    let oid = oid.unwrap_or_else(|| objects.number());
    objects.put(Object {
        oid,
        schema,
        name: full.name,
        owner,
        kind: Kind::Dashboard(Arc::new(kind)),
        sql: statement.text.to_string(),
        query: None,
        columns: Arc::new(Schema::empty()),
        depends,
        comment: None,
        column_comments: BTreeMap::new(),
        part_of: None,
    })?;
    Ok(Made::new(TAG))
}

/// As the system relations tell of it.
pub(super) fn told(objects: &Objects, object: &Object) -> Option<system::Dashboard> {
    let Kind::Dashboard(dashboard) = &object.kind else { return None };
    let number = |oid: Oid| i32::try_from(oid.0).unwrap_or(i32::MAX);
    let panels = dashboard.panels.iter().map(|panel| {
        let options = panel.options.iter().map(|(key, value)| (key.clone(), serde_json::Value::from(value.as_str())));
        let options = serde_json::Value::Object(options.collect()).to_string();
        Panel { name: panel.name.clone(), kind: panel.kind.word(), query: panel.query.to_string(), options }
    });
    Some(system::Dashboard {
        oid: number(object.oid),
        schema: objects.schema(&object.schema).map_or(system::PUBLIC_SCHEMA, |s| number(s.oid)),
        name: object.name.clone(),
        title: dashboard.title.clone(),
        owner: objects.user_by_oid(object.owner).map_or_else(String::new, |u| u.name.clone()),
        definition: object.sql.clone(),
        panels: panels.collect(),
    })
}
