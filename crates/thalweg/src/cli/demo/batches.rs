//! Rows of the demo as columns of Arrow, named as in `demo.sql`. It must not know how they are made or where they go.

use std::sync::Arc;

use anyhow::Result;
use thalweg::arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};

use super::flights::{Airport, Departure, Flight};
use super::market::Trade;
use super::sensors::Reading;

pub(super) fn airports(rows: &[Airport]) -> Result<RecordBatch> {
    batch(vec![
        ("faa", texts(rows.iter().map(|r| r.faa))),
        ("name", texts(rows.iter().map(|r| r.name))),
        ("lat", doubles(rows.iter().map(|r| r.lat))),
        ("lon", doubles(rows.iter().map(|r| r.lon))),
    ])
}

pub(super) fn departures(rows: &[Departure]) -> Result<RecordBatch> {
    const MINUTE: i64 = 60_000;
    let flights = || rows.iter().map(|r| r.flight);
    let numbers = |of: fn(&Flight) -> Option<i64>| -> ArrayRef { Arc::new(Int64Array::from_iter(flights().map(of))) };
    batch(vec![
        ("ts", instants(rows.iter().map(|r| r.ts))),
        ("hour_ts", instants(rows.iter().map(|r| r.hour_ts))),
        ("date_time", Arc::new(micros(flights().map(|f| f.date_time * MINUTE)))),
        ("scheduled", Arc::new(micros(flights().map(|f| f.scheduled * MINUTE)))),
        ("origin", texts(flights().map(|f| f.origin))),
        ("dest", texts(flights().map(|f| f.dest))),
        ("carrier", texts(flights().map(|f| f.carrier))),
        ("flight", numbers(|f| Some(f.flight))),
        ("tailnum", Arc::new(StringArray::from_iter(flights().map(|f| f.tailnum)))),
        ("dep_delay", numbers(|f| f.dep_delay)),
        ("arr_delay", numbers(|f| f.arr_delay)),
        ("air_time", numbers(|f| f.air_time)),
        ("distance", numbers(|f| Some(f.distance))),
        ("cancelled", Arc::new(BooleanArray::from_iter(flights().map(|f| Some(f.cancelled))))),
    ])
}

pub(super) fn trades(rows: &[Trade]) -> Result<RecordBatch> {
    batch(vec![
        ("ts", instants(rows.iter().map(|r| r.ts))),
        ("symbol", texts(rows.iter().map(|r| r.symbol))),
        ("price", doubles(rows.iter().map(|r| r.price))),
        ("quantity", Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.quantity)))),
        ("bid", doubles(rows.iter().map(|r| r.bid))),
        ("ask", doubles(rows.iter().map(|r| r.ask))),
    ])
}

pub(super) fn readings(rows: &[Reading]) -> Result<RecordBatch> {
    batch(vec![
        ("ts", instants(rows.iter().map(|r| r.ts))),
        ("device", texts(rows.iter().map(Reading::device))),
        ("hall", texts(rows.iter().map(Reading::hall))),
        ("temp", doubles(rows.iter().map(|r| r.temp))),
        ("vibration", doubles(rows.iter().map(|r| r.vibration))),
    ])
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> Result<RecordBatch> {
    Ok(RecordBatch::try_from_iter(columns)?)
}

fn texts<T: AsRef<str>>(values: impl Iterator<Item = T>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

fn doubles(values: impl Iterator<Item = f64>) -> ArrayRef {
    Arc::new(Float64Array::from_iter_values(values))
}

/// Of milliseconds.
fn micros(values: impl Iterator<Item = i64>) -> TimestampMicrosecondArray {
    TimestampMicrosecondArray::from_iter_values(values.map(|ms| ms * 1000))
}

fn instants(values: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(micros(values).with_timezone("UTC"))
}
