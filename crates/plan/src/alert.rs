//! The words of alerts: states and transitions, and the columns that stand beside those of an alert's query. It must not
//! know who is told.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};

/// A row stands, but not yet for long enough.
pub const ALERT_PENDING: &str = "pending";
/// A row has stood for long enough.
pub const ALERT_FIRING: &str = "firing";
/// A firing row is gone.
pub const ALERT_RESOLVED: &str = "resolved";
/// A pending row is gone.
pub const ALERT_CLEARED: &str = "cleared";

/// The columns of an alert behind those of its query: the state, and since when.
pub const ALERT_COLUMNS: [&str; 2] = ["alert_state", "alert_since"];
/// The columns of an alert's history behind those of its query: what has happened, and when.
pub const ALERT_HISTORY_COLUMNS: [&str; 2] = ["transition", "at"];

/// The columns of a query, then a text and a time of these names.
pub fn alert_schema(query: &Schema, names: [&str; 2]) -> SchemaRef {
    let [word, when] = names;
    let zoned = DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()));
    let added = [Field::new(word, DataType::Utf8View, false), Field::new(when, zoned, false)];
    let fields: Vec<FieldRef> = query.fields().iter().cloned().chain(added.map(Arc::new)).collect();
    Arc::new(Schema::new(fields))
}
