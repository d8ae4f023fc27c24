//! The value of a record as columns, whatever its encoding. It must not know envelopes.

use std::collections::HashSet;

use arrow::datatypes::Schema;
use thalweg_core::{Error, Result};

use super::debezium::{Change, Part, json_change};
use super::metadata::push_bytes;
use super::{Encoding, Reason};
use crate::avro::AvroBody;
use crate::column::Column;
use crate::csv::{CsvLayout, Lines};
use crate::decode::MAX_LINE_BYTES;
use crate::json::Fields;
use crate::protobuf::ProtobufBody;
use crate::value::Fault;

/// Fills columns from values.
#[derive(Debug)]
pub(crate) enum Body {
    Json(Fields),
    Csv(Lines),
    Bytes(usize),
    Avro(Box<AvroBody>),
    Protobuf(Box<ProtobufBody>),
}

impl Body {
    /// Fills the columns of `schema` that are not `taken`.
    pub(crate) fn new(encoding: &Encoding, schema: &Schema, taken: &HashSet<usize>) -> Result<Self> {
        let free = || {
            let fields = schema.fields().iter().enumerate();
            fields.filter(|(i, _)| !taken.contains(i)).map(|(i, f)| (f.name().as_str(), i))
        };
        Ok(match encoding {
            Encoding::Json => Self::Json(Fields::new(free())),
            Encoding::Csv(style) => {
                let positions: Vec<usize> = free().map(|(_, i)| i).collect();
                Self::Csv(Lines::for_columns(style.clone(), &positions))
            }
            Encoding::Bytes => {
                let mut free = free();
                match (free.next(), free.next()) {
                    (Some((_, column)), None) => Self::Bytes(column),
                    _ => {
                        return Err(Error::invalid_with_hint(
                            "encode = 'bytes' fills exactly one column beside the included ones",
                            "Declare one column of type bytea or varchar.",
                        ));
                    }
                }
            }
            Encoding::Avro(reader) => Self::Avro(Box::new(AvroBody::new(reader, Fields::new(free()))?)),
            Encoding::Protobuf(reader) => Self::Protobuf(Box::new(ProtobufBody::new(reader, Fields::new(free()))?)),
        })
    }

    /// The schema of `value` that is not known yet.
    pub(crate) fn missing_schema(&self, value: &[u8]) -> Option<u32> {
        if let Self::Avro(avro) = self { avro.missing_schema(value) } else { None }
    }

    /// Makes a schema known.
    pub(crate) fn add_schema(&mut self, id: u32, text: std::result::Result<&str, String>) {
        if let Self::Avro(avro) = self {
            avro.add_schema(id, text);
        }
    }

    /// All of `value` as one row.
    pub(crate) fn whole<'a>(&mut self, value: &'a [u8]) -> Result<Part<'a>, Reason> {
        if value.len() > MAX_LINE_BYTES {
            return Err(Fault("record too long").into());
        }
        match self {
            Self::Json(_) | Self::Csv(_) if simdutf8::basic::from_utf8(value).is_err() => {
                Err(Fault("not valid UTF-8").into())
            }
            Self::Avro(avro) => avro.whole(value),
            Self::Protobuf(protobuf) => protobuf.whole(value),
            _ => Ok(Part { bytes: value, node: 0 }),
        }
    }

    /// The change that `value` describes; `None` when it describes none.
    pub(crate) fn change<'a>(&mut self, value: &'a [u8]) -> Result<Option<Change<'a>>, Reason> {
        let whole = self.whole(value)?;
        match self {
            Self::Json(_) => Ok(json_change(whole.bytes)?),
            Self::Avro(avro) => avro.change(whole).map(Some),
            _ => Err(Fault("the encoding has no envelope").into()),
        }
    }

    /// Fills the row `row` of what columns `part` has; on a fault the caller takes it back.
    pub(crate) fn fill(&mut self, part: Part<'_>, columns: &mut [Column], row: usize) -> Result<(), Reason> {
        match self {
            Self::Json(fields) => {
                fields.object(part.bytes, columns, row)?;
            }
            Self::Csv(lines) => lines.one(columns, part.bytes)?,
            Self::Bytes(column) => push_bytes(&mut columns[*column], Some(part.bytes))
                .map_err(|r| Reason { column: Some(*column), ..r })?,
            Self::Avro(avro) => {
                avro.fill(part, columns, row)?;
            }
            Self::Protobuf(protobuf) => protobuf.fill(part, columns, row)?,
        }
        Ok(())
    }
}

impl Lines {
    /// Records whose fields fill the columns at `positions`, in that order.
    fn for_columns(style: crate::CsvStyle, positions: &[usize]) -> Self {
        let most = positions.iter().max().map_or(0, |m| m + 1);
        let mut by_column = vec![usize::MAX; most];
        for (field, column) in positions.iter().enumerate() {
            by_column[*column] = field;
        }
        Self::from_targets(
            CsvLayout { style, fields: positions.len(), positions: by_column, multiline: true },
            positions.iter().map(|c| Some(*c)).collect(),
        )
    }
}
