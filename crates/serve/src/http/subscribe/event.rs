//! `Event`: a subscription's event on its way out. It must not know sockets.

use serde_json::json;
use thalweg_core::SqlError;
use thalweg_formats::time::write_timestamp;

use super::super::failure::ErrorBody;
use super::super::rows::Column;

/// An event, encoded.
#[derive(Debug)]
pub(super) struct Event {
    name: &'static str,
    /// A JSON object on one line.
    object: String,
    /// What a browser is to resume after.
    id: Option<String>,
    /// Nothing follows.
    pub(super) last: bool,
}

impl Event {
    fn new(name: &'static str, object: String) -> Self {
        Self { name, object, id: None, last: false }
    }

    pub(super) fn begin(snapshot: bool, columns: Option<Vec<Column>>) -> Self {
        let object = match columns {
            Some(columns) => json!({ "snapshot": snapshot, "columns": columns }),
            None => json!({ "snapshot": snapshot }),
        };
        Self::new("begin", object.to_string())
    }

    /// `object` is `{"rows":[…]}`.
    pub(super) fn changes(object: String) -> Self {
        Self::new("changes", object)
    }

    pub(super) fn commit(epoch: u64, wall_clock: i64) -> Self {
        let mut time = Vec::new();
        write_timestamp(wall_clock, b'T', b"Z", &mut time);
        let object = json!({ "epoch": epoch, "time": String::from_utf8_lossy(&time) }).to_string();
        Self { id: Some(epoch.to_string()), ..Self::new("commit", object) }
    }

    pub(super) fn lost(after: Option<u64>) -> Self {
        // An empty id makes a browser forget the one it has: it reconnects for a snapshot.
        Self { id: Some(String::new()), last: true, ..Self::new("lost", json!({ "after": after }).to_string()) }
    }

    pub(super) fn resume(after: Option<u64>, reason: &str) -> Self {
        Self { last: true, ..Self::new("resume", json!({ "after": after, "reason": reason }).to_string()) }
    }

    pub(super) fn error(error: SqlError) -> Self {
        let object = serde_json::to_string(&ErrorBody::new(error)).unwrap_or_else(|_| "{}".to_owned());
        Self { last: true, ..Self::new("error", object) }
    }

    /// As a server-sent event.
    pub(super) fn to_sse(&self) -> String {
        let Self { name, object, .. } = self;
        match &self.id {
            Some(id) => format!("event: {name}\nid: {id}\ndata: {object}\n\n"),
            None => format!("event: {name}\ndata: {object}\n\n"),
        }
    }

    /// As the text of a WebSocket message.
    pub(super) fn into_message(self) -> String {
        let rest = self.object.strip_prefix('{').unwrap_or(&self.object);
        let comma = if rest == "}" { "" } else { "," };
        format!("{{\"event\":\"{}\"{comma}{rest}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_carry_the_same_object() {
        let commit = Event::commit(7, 1_793_491_200_000_000);
        assert_eq!(commit.to_sse(), "event: commit\nid: 7\ndata: {\"epoch\":7,\"time\":\"2026-11-01T00:00:00Z\"}\n\n");
        assert_eq!(commit.into_message(), "{\"event\":\"commit\",\"epoch\":7,\"time\":\"2026-11-01T00:00:00Z\"}");
        assert_eq!(Event::begin(true, None).to_sse(), "event: begin\ndata: {\"snapshot\":true}\n\n");
    }
}
