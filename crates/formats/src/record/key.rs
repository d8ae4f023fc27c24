//! The key of a record as columns. It must not know how values are written.

use std::collections::HashSet;

use arrow::datatypes::Schema;

use super::Reason;
use super::debezium::unwrapped;
use crate::avro::AvroBody;
use crate::column::Column;
use crate::json::{Fields, fill_value};
use crate::value::Fault;

/// Fills columns from keys.
#[derive(Debug)]
pub(crate) struct KeyBody {
    /// The columns that a JSON object fills, by name.
    fields: Fields,
    /// The one column that a key which is no object fills.
    single: Option<usize>,
    /// Keys are Avro.
    avro: Option<AvroBody>,
    scratch: Vec<u8>,
}

impl KeyBody {
    /// Keys fill `columns` of `schema`; without any named, those that an object names, but not those of `taken`.
    pub(crate) fn new(schema: &Schema, columns: &[usize], taken: &HashSet<usize>, avro: Option<AvroBody>) -> Self {
        let all = schema.fields().iter().enumerate().map(|(i, f)| (f.name().as_str(), i));
        let named = all.filter(|(_, i)| if columns.is_empty() { !taken.contains(i) } else { columns.contains(i) });
        let single = if let [one] = columns { Some(*one) } else { None };
        Self { fields: Fields::new(named), single, avro, scratch: Vec::new() }
    }

    /// The schema of `key` that is not known yet.
    pub(crate) fn missing_schema(&self, key: &[u8]) -> Option<u32> {
        self.avro.as_ref().and_then(|a| a.missing_schema(key))
    }

    /// Makes a schema known.
    pub(crate) fn add_schema(&mut self, id: u32, text: std::result::Result<&str, String>) {
        if let Some(avro) = &mut self.avro {
            avro.add_schema(id, text);
        }
    }

    /// Fills the row `row` of what columns `key` has; returns how many.
    pub(crate) fn fill(&mut self, key: &[u8], columns: &mut [Column], row: usize) -> Result<usize, Reason> {
        if let Some(avro) = &mut self.avro {
            let part = avro.whole(key)?;
            return match self.single {
                Some(column) if !avro.is_record(part) => {
                    columns[column].truncate(row);
                    avro.fill_one(part, &mut columns[column]).map_err(|fault| Reason::at(column, fault))?;
                    Ok(1)
                }
                _ => avro.fill(part, columns, row),
            };
        }
        if simdutf8::basic::from_utf8(key).is_err() {
            return match self.single {
                Some(column) => {
                    columns[column].truncate(row);
                    super::metadata::push_bytes(&mut columns[column], Some(key))
                        .map_err(|r| Reason { column: Some(column), ..r })?;
                    Ok(1)
                }
                None => Err(Reason::new("the key is not valid UTF-8")),
            };
        }
        if key.trim_ascii_start().first() == Some(&b'{') {
            let object = unwrapped(key)?.unwrap_or(key);
            if object.first() == Some(&b'{') {
                return Ok(self.fields.object(object, columns, row)?);
            }
            return self.scalar(object, columns, row, true);
        }
        self.scalar(key, columns, row, key.first() == Some(&b'"'))
    }

    fn scalar(&mut self, text: &[u8], columns: &mut [Column], row: usize, json: bool) -> Result<usize, Reason> {
        let Some(column) = self.single else { return Ok(0) };
        let target = &mut columns[column];
        target.truncate(row);
        let filled = if json { fill_value(target, text, &mut self.scratch) } else { target.push_text(text) };
        filled.map_err(|fault: Fault| Reason::at(column, fault))?;
        Ok(1)
    }
}
