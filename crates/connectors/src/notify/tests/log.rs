//! What `log` writes.

use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};

use thalweg_disk::SimDisk;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::{deliver, opened, request, rows, transition};
use crate::registry::EpochSinkRequest;

/// Keeps the events of one target as text.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {}={value:?}", field.name()).expect("a text takes all");
    }
}

impl Subscriber for Kept {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        if event.metadata().target() == "thalweg::notify" {
            let mut line = Line(event.metadata().level().to_string());
            event.record(&mut line);
            self.0.lock().expect("nobody panics").push(line.0);
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[test]
fn a_message_is_an_event_with_fields() {
    let kept = Kept::default();
    tracing::subscriber::with_default(kept.clone(), || {
        let mut sink = opened(request("log", &[("changes", "all"), ("level", "debug")], &SimDisk::new()));
        deliver(sink.as_mut(), &[rows(2, &[(1, Some("a\nb"), -1)])]).expect("taken");
        for (severity, _) in SEVERITIES {
            let pairs = [("alert.name", "hot"), ("alert.severity", *severity)];
            let epoch = transition(3, "firing", "s7", 9.5);
            let request = request("log", &pairs, &SimDisk::new());
            let mut sink = opened(EpochSinkRequest { schema: epoch.deltas[0].schema(), ..request });
            deliver(sink.as_mut(), &[epoch]).expect("taken");
        }
    });
    let kept = kept.0.lock().expect("nobody panics");
    assert_eq!(
        kept[0],
        "DEBUG message=told (delete) sink=\"told\" epoch=2 key=\"c0ffee-7-told-2-0\" op=\"delete\" \
         row=\"{\\\"id\\\":1,\\\"name\\\":\\\"a\\\\nb\\\"}\""
    );
    const SEVERITIES: &[(&str, &str)] =
        &[("critical", "ERROR"), ("warning", "WARN"), ("info", "INFO"), ("page", "INFO")];
    for (line, (severity, level)) in kept[1..].iter().zip(SEVERITIES) {
        assert!(line.starts_with(&format!("{level} message=[{severity}] hot: firing sink=")), "{line}");
        for part in ["alert=\"hot\"", "transition=\"firing\"", "instance=\"s7\"", "row=\"{\\\"value\\\":9.5}\""] {
            assert!(line.contains(part), "{line}");
        }
    }
    assert_eq!(kept.len(), 1 + SEVERITIES.len());
}
