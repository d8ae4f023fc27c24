//! Messages to the columns that their fields name. It must not know envelopes or keys.

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, ReflectMessage, Value};
use thalweg_core::Result;

use super::ProtobufReader;
use crate::column::{Column, Values};
use crate::decode::MAX_DEPTH;
use crate::encode::write_string;
use crate::json::Fields;
use crate::record::Reason;
use crate::record::debezium::Part;
use crate::scalar::Scalar;
use crate::value::Fault;

/// Indexes in the header of a framed message: more than this many are refused.
const MAX_NESTING: i64 = 64;

/// Fills columns from messages.
#[derive(Debug)]
pub(crate) struct ProtobufBody {
    message: MessageDescriptor,
    framed: bool,
    targets: Vec<(FieldDescriptor, usize)>,
    scratch: Vec<u8>,
}

impl ProtobufBody {
    /// Fields fill the columns that `fields` names.
    pub(crate) fn new(reader: &ProtobufReader, fields: Fields) -> Result<Self> {
        let named = reader.message.fields().filter_map(|f| Some((f.clone(), fields.column(f.name())?)));
        let targets = named.collect();
        Ok(Self { message: reader.message.clone(), framed: reader.framed, targets, scratch: Vec::new() })
    }

    /// The message that `value` holds.
    pub(crate) fn whole<'a>(&self, value: &'a [u8]) -> Result<Part<'a>, Reason> {
        if !self.framed {
            return Ok(Part { bytes: value, node: 0 });
        }
        const NOT: Fault = Fault("not framed: a zero byte, a schema's id and the path of the message must come first");
        let (_, mut rest) = crate::avro::unframe(value).ok_or(NOT)?;
        let count = varint(&mut rest).ok_or(NOT)?;
        let mut path = vec![0];
        if count != 0 {
            path.clear();
            if !(0..=MAX_NESTING).contains(&count) {
                return Err(NOT.into());
            }
            for _ in 0..count {
                path.push(varint(&mut rest).ok_or(NOT)?);
            }
        }
        let own = self.message.path().iter().skip(1).step_by(2).map(|i| i64::from(*i));
        if !own.eq(path.iter().copied()) {
            return Err(Reason::new(format!("a message of another type than {}", self.message.full_name())));
        }
        Ok(Part { bytes: rest, node: 0 })
    }

    /// Fills the row `row` of what columns `part` has.
    pub(crate) fn fill(&mut self, part: Part<'_>, columns: &mut [Column], row: usize) -> Result<(), Reason> {
        let message = DynamicMessage::decode(self.message.clone(), part.bytes)
            .map_err(|e| Reason::new(format!("not a Protobuf message of type {}: {e}", self.message.full_name())))?;
        for (field, column) in &self.targets {
            let target = &mut columns[*column];
            target.truncate(row);
            let filled = if field.supports_presence() && !message.has_field(field) {
                target.push_null()
            } else {
                push(target, field, &message.get_field(field), &mut self.scratch)
            };
            filled.map_err(|fault| Reason::at(*column, fault))?;
        }
        Ok(())
    }
}

fn varint(bytes: &mut &[u8]) -> Option<i64> {
    let mut value: u64 = 0;
    for shift in (0..63).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    None
}

fn push(column: &mut Column, field: &FieldDescriptor, value: &Value, scratch: &mut Vec<u8>) -> Result<(), Fault> {
    if let (Values::List { offsets, item, .. }, Value::List(items)) = (&mut column.values, value) {
        for value in items {
            match scalar(&field.kind(), value, 0)? {
                Some(scalar) => scalar.as_scalar().push(item)?,
                None => return Err(Fault("nested messages in an array fit only a column of type varchar or jsonb")),
            }
        }
        offsets.push(i32::try_from(item.len()).map_err(|_| Fault("too many items in a batch"))?);
        column.grown();
        return Ok(());
    }
    if let Some(scalar) = scalar(&field.kind(), value, 0)? {
        return scalar.as_scalar().push(column);
    }
    if !matches!(column.values, Values::Text { .. }) {
        return Err(Fault("a nested value fits only a column of type varchar or jsonb"));
    }
    scratch.clear();
    json(&field.kind(), field.is_map(), value, 0, scratch)?;
    column.push_text(scratch)
}

/// A scalar that may own its text.
enum Own<'a> {
    Borrowed(Scalar<'a>),
    Text(String),
}

impl Own<'_> {
    fn as_scalar(&self) -> Scalar<'_> {
        match self {
            Self::Borrowed(scalar) => *scalar,
            Self::Text(text) => Scalar::Text(text),
        }
    }
}

/// The scalar that `value` is; `None` when it is nested.
fn scalar<'a>(kind: &Kind, value: &'a Value, depth: usize) -> Result<Option<Own<'a>>, Fault> {
    if depth > MAX_DEPTH {
        return Err(Fault("nested too deeply"));
    }
    Ok(Some(Own::Borrowed(match value {
        Value::Bool(b) => Scalar::Boolean(*b),
        Value::I32(n) => Scalar::Integer(i64::from(*n)),
        Value::I64(n) => Scalar::Integer(*n),
        Value::U32(n) => Scalar::Integer(i64::from(*n)),
        Value::U64(n) => Scalar::Unsigned(*n),
        Value::F32(f) => Scalar::Float32(*f),
        Value::F64(f) => Scalar::Float64(*f),
        Value::String(text) => Scalar::Text(text),
        Value::Bytes(bytes) => Scalar::Bytes(bytes),
        Value::EnumNumber(number) => {
            let name = kind.as_enum().and_then(|e| e.get_value(*number));
            return Ok(Some(
                name.map_or(Own::Borrowed(Scalar::Integer(i64::from(*number))), |n| Own::Text(n.name().to_owned())),
            ));
        }
        Value::Message(message) => return well_known(message, depth),
        Value::List(_) | Value::Map(_) => return Ok(None),
    })))
}

/// The messages that stand for a single value.
fn well_known(message: &DynamicMessage, depth: usize) -> Result<Option<Own<'static>>, Fault> {
    let number = |name: &str| {
        let value = message.get_field_by_name(name);
        value.and_then(|v| v.as_i64().or_else(|| v.as_i32().map(i64::from))).unwrap_or(0)
    };
    let descriptor = message.descriptor();
    match descriptor.full_name() {
        "google.protobuf.Timestamp" => {
            let micros = number("seconds").checked_mul(1_000_000);
            let micros = micros.and_then(|m| m.checked_add(number("nanos").div_euclid(1_000)));
            Ok(Some(Own::Borrowed(Scalar::Timestamp(micros.ok_or(Fault("timestamp out of range"))?, true))))
        }
        "google.protobuf.Duration" => {
            let (seconds, nanos) = (number("seconds"), number("nanos"));
            let sign = if seconds < 0 || nanos < 0 { "-" } else { "" };
            let (seconds, nanos) = (seconds.unsigned_abs(), nanos.unsigned_abs());
            Ok(Some(Own::Text(format!("{sign}{seconds}.{nanos:09}s"))))
        }
        "google.protobuf.BoolValue"
        | "google.protobuf.Int32Value"
        | "google.protobuf.Int64Value"
        | "google.protobuf.UInt32Value"
        | "google.protobuf.UInt64Value"
        | "google.protobuf.FloatValue"
        | "google.protobuf.DoubleValue"
        | "google.protobuf.StringValue"
        | "google.protobuf.BytesValue" => {
            let Some(field) = descriptor.get_field(1) else { return Ok(None) };
            let value = message.get_field(&field);
            Ok(scalar(&field.kind(), &value, depth + 1)?.map(|own| match own.as_scalar() {
                Scalar::Text(text) => Own::Text(text.to_owned()),
                Scalar::Bytes(bytes) => {
                    let mut text = Vec::new();
                    Scalar::Bytes(bytes).write_text(&mut text);
                    Own::Text(String::from_utf8_lossy(&text).into_owned())
                }
                Scalar::Boolean(b) => Own::Borrowed(Scalar::Boolean(b)),
                Scalar::Integer(n) => Own::Borrowed(Scalar::Integer(n)),
                Scalar::Unsigned(n) => Own::Borrowed(Scalar::Unsigned(n)),
                Scalar::Float32(f) => Own::Borrowed(Scalar::Float32(f)),
                Scalar::Float64(f) => Own::Borrowed(Scalar::Float64(f)),
                _ => Own::Borrowed(Scalar::Null),
            }))
        }
        _ => Ok(None),
    }
}

/// A value as JSON, fields under their own names.
fn json(kind: &Kind, map: bool, value: &Value, depth: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
    if depth > MAX_DEPTH {
        return Err(Fault("nested too deeply"));
    }
    match value {
        Value::List(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                json(kind, false, item, depth + 1, out)?;
            }
            out.push(b']');
        }
        Value::Map(entries) => {
            let value_kind = match kind {
                Kind::Message(entry) if map => entry.map_entry_value_field().kind(),
                _ => return Err(Fault("a map without the type of its values")),
            };
            // In the order of keys, so that the same message is the same text.
            let mut sorted: Vec<(&MapKey, &Value)> = entries.iter().collect();
            sorted.sort_by_key(|(k, _)| *k);
            out.push(b'{');
            for (i, (key, value)) in sorted.into_iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_string(&key_text(key), out);
                out.push(b':');
                json(&value_kind, false, value, depth + 1, out)?;
            }
            out.push(b'}');
        }
        Value::Message(message) => {
            if let Some(own) = well_known(message, depth)? {
                own.as_scalar().write_json(out);
                return Ok(());
            }
            out.push(b'{');
            let mut first = true;
            for field in message.descriptor().fields() {
                if field.supports_presence() && !message.has_field(&field) {
                    continue;
                }
                if !std::mem::take(&mut first) {
                    out.push(b',');
                }
                write_string(field.name(), out);
                out.push(b':');
                json(&field.kind(), field.is_map(), &message.get_field(&field), depth + 1, out)?;
            }
            out.push(b'}');
        }
        _ => match scalar(kind, value, depth)? {
            Some(own) => own.as_scalar().write_json(out),
            None => return Err(Fault("not a value of the message's type")),
        },
    }
    Ok(())
}

fn key_text(key: &MapKey) -> String {
    match key {
        MapKey::Bool(b) => b.to_string(),
        MapKey::I32(n) => n.to_string(),
        MapKey::I64(n) => n.to_string(),
        MapKey::U32(n) => n.to_string(),
        MapKey::U64(n) => n.to_string(),
        MapKey::String(text) => text.clone(),
    }
}
