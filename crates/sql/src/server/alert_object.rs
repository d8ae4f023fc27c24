//! `AlertObject`: an alert in the catalog: how it is told, and who has quietened it. It must not know its rows.

use std::time::Duration;

use thalweg_plan::RelationSpec;

use super::alert::Severity;
use super::objects::Oid;

/// `CREATE ALERT`.
#[derive(Clone, Debug)]
pub struct AlertObject {
    /// What is known of its relation.
    pub known: RelationSpec,
    /// How long a row stands before it fires.
    pub hold: Duration,
    /// How bad it is.
    pub severity: Severity,
    /// The relation of what has happened to it.
    pub history: Oid,
    /// Who is told: the channel, and the sink.
    pub notify: Vec<(String, Oid)>,
    /// When nobody is told.
    pub silences: Vec<Silence>,
    /// Who has taken note, in order.
    pub acknowledged: Vec<Acknowledged>,
}

/// `SILENCE ALERT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence {
    /// One instance; `None`: all.
    pub instance: Option<String>,
    /// From this moment, microseconds since 1970.
    pub from: i64,
    /// Until this one.
    pub until: i64,
    /// Who has said so.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
}

/// `ACKNOWLEDGE ALERT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// One instance; `None`: all.
    pub instance: Option<String>,
    /// When, microseconds since 1970. It holds for what has been so since before.
    pub at: i64,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
}

impl AlertObject {
    /// The end of the silence in which something happened to an instance at `at` (microseconds since 1970), if one was.
    pub fn silenced_until(&self, instance: &str, at: i64) -> Option<i64> {
        let holds = |s: &&Silence| s.from <= at && at < s.until && s.instance.as_deref().is_none_or(|i| i == instance);
        self.silences.iter().filter(holds).map(|s| s.until).max()
    }

    /// Who has taken note of an instance that has been in its state since `since`.
    pub fn acknowledged(&self, instance: &str, since: i64) -> Option<&Acknowledged> {
        let holds = |a: &&Acknowledged| a.at >= since && a.instance.as_deref().is_none_or(|i| i == instance);
        self.acknowledged.iter().rev().find(holds)
    }
}
