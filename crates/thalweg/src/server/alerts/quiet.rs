//! `Quiet`: what happens in a silence is not told, and what a history lets go is nothing that happened. It must not know
//! who is told.

use std::sync::Weak;

use arrow::array::{Array, AsArray, BooleanArray};
use arrow::datatypes::TimestampMicrosecondType;
use thalweg_core::{DeltaBatch, Epoch, EpochRows, EpochSink, Error, Incarnation, SinkError};
use thalweg_sql::server::{AlertObject, Kind, Oid};

use crate::server::Server;

/// A sink of an alert's history.
pub(super) struct Quiet {
    sink: Box<dyn EpochSink>,
    server: Weak<Server>,
    alert: Oid,
    /// The columns of the instance and of when it happened.
    instance: usize,
    at: usize,
}

impl Quiet {
    pub fn new(sink: Box<dyn EpochSink>, server: Weak<Server>, alert: Oid, (instance, at): (usize, usize)) -> Self {
        Self { sink, server, alert, instance, at }
    }

    /// The rows of a delta that are to be told.
    fn told(&self, delta: &DeltaBatch, alert: Option<&AlertObject>) -> Result<DeltaBatch, Error> {
        let misfit = || Error::Internal("the history of an alert is not of its types".to_owned());
        let instances = delta.column(self.instance).as_string_view_opt().ok_or_else(misfit)?;
        let times = delta.column(self.at).as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(misfit)?;
        let is_told = |row: usize| {
            let instance = if instances.is_null(row) { "" } else { instances.value(row) };
            delta.weight(row) > 0 && alert.is_none_or(|a| a.silenced_until(instance, times.value(row)).is_none())
        };
        delta.filter(&(0..delta.num_rows()).map(|row| Some(is_told(row))).collect::<BooleanArray>())
    }
}

impl EpochSink for Quiet {
    fn open(&mut self, incarnation: Incarnation) -> Result<Option<Epoch>, SinkError> {
        self.sink.open(incarnation)
    }

    fn deliver(&mut self, epochs: &[EpochRows], upto: Epoch) -> Result<(), SinkError> {
        let objects = self.server.upgrade().map(|server| server.objects.load_full());
        let object = objects.as_ref().and_then(|objects| objects.get(self.alert));
        let alert = object.and_then(|object| match &object.kind {
            Kind::Alert(alert) => Some(alert.as_ref()),
            _ => None,
        });
        let of_epoch = |rows: &EpochRows| {
            let deltas = rows.deltas.iter().map(|delta| self.told(delta, alert)).collect::<Result<Vec<_>, _>>()?;
            Ok(EpochRows { epoch: rows.epoch, deltas: deltas.into_iter().filter(|d| !d.is_empty()).collect() })
        };
        let told = epochs.iter().map(of_epoch).collect::<Result<Vec<_>, _>>().map_err(SinkError::Fatal)?;
        self.sink.deliver(&told, upto)
    }
}
