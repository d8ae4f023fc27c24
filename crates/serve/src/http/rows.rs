//! `RowWriter`: rows as JSON objects or arrays, one never spreading over lines. It must not know who reads them.

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, IntervalUnit, Schema, SchemaRef};
use serde::Serialize;
use thalweg_core::{PG_TYPE, Result};
use thalweg_formats::Cells;
use utoipa::ToSchema;

/// Writes rows of a schema.
pub(crate) struct RowWriter {
    /// What comes before each value of an object: `{"a":`, then `,"b":` …
    keys: Vec<String>,
    /// Whether a column is JSON as text.
    json: Vec<bool>,
}

/// A batch ready to be written row by row.
pub(crate) struct Rows<'a> {
    writer: &'a RowWriter,
    cells: Vec<Cells>,
}

/// A column as clients see it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Column {
    /// Its name.
    name: String,
    /// Its PostgreSQL type.
    #[schema(example = "bigint")]
    r#type: String,
}

impl RowWriter {
    pub(crate) fn new(schema: &Schema) -> Self {
        let keys = schema.fields().iter().enumerate().map(|(i, field)| {
            let before = if i == 0 { '{' } else { ',' };
            format!("{before}{}:", serde_json::Value::from(field.name().as_str()))
        });
        let json = schema.fields().iter().map(|field| is_json(field));
        Self { keys: keys.collect(), json: json.collect() }
    }

    pub(crate) fn rows(&self, batch: &RecordBatch) -> Result<Rows<'_>> {
        let columns = batch.columns().iter().zip(&self.json);
        let cells = columns.map(|(column, json)| Cells::new(column).map(|c| if *json { c.as_json() } else { c }));
        Ok(Rows { writer: self, cells: cells.collect::<Result<_>>()? })
    }
}

impl Rows<'_> {
    /// `{"a":1,"b":"x"}`
    pub(crate) fn object(&self, row: usize, out: &mut Vec<u8>) {
        if self.cells.is_empty() {
            out.push(b'{');
        }
        for (i, key) in self.writer.keys.iter().enumerate().take(self.cells.len()) {
            out.extend_from_slice(key.as_bytes());
            self.value(i, row, out);
        }
        out.push(b'}');
    }

    /// `[1,"x"]`
    pub(crate) fn array(&self, row: usize, out: &mut Vec<u8>) {
        out.push(b'[');
        for i in 0..self.cells.len() {
            if i > 0 {
                out.push(b',');
            }
            self.value(i, row, out);
        }
        out.push(b']');
    }

    fn value(&self, column: usize, row: usize, out: &mut Vec<u8>) {
        let start = out.len();
        self.cells[column].write_json(row, out);
        if self.writer.json[column] {
            // JSON kept as it was written may have line ends between its tokens; within strings it has none.
            out[start..].iter_mut().filter(|b| matches!(**b, b'\n' | b'\r')).for_each(|b| *b = b' ');
        }
    }
}

fn is_json(field: &Field) -> bool {
    field.metadata().get("ARROW:extension:name").is_some_and(|name| name == "arrow.json")
}

/// The columns of `schema` as clients see them.
pub(crate) fn columns(schema: &SchemaRef) -> Vec<Column> {
    schema.fields().iter().map(|f| Column { name: f.name().clone(), r#type: type_name(f) }).collect()
}

/// The PostgreSQL type of a field.
fn type_name(field: &Field) -> String {
    if let Some(name) = field.metadata().get(PG_TYPE) {
        return name.clone();
    }
    if is_json(field) {
        return "jsonb".to_owned();
    }
    let name = match field.data_type() {
        DataType::Boolean => "boolean",
        DataType::Int8 | DataType::UInt8 | DataType::Int16 => "smallint",
        DataType::UInt16 | DataType::Int32 => "integer",
        DataType::UInt32 | DataType::Int64 => "bigint",
        DataType::UInt64 | DataType::Decimal128(..) | DataType::Decimal256(..) => "numeric",
        DataType::Float16 | DataType::Float32 => "real",
        DataType::Float64 => "double precision",
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => "bytea",
        DataType::Date32 | DataType::Date64 => "date",
        DataType::Time32(_) | DataType::Time64(_) => "time without time zone",
        DataType::Timestamp(_, None) => "timestamp without time zone",
        DataType::Timestamp(_, Some(_)) => "timestamp with time zone",
        DataType::Interval(IntervalUnit::MonthDayNano) => "interval",
        DataType::List(item) | DataType::LargeList(item) => return format!("{}[]", type_name(item)),
        DataType::Struct(_) => "record",
        _ => "character varying",
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringViewArray};

    use super::*;

    #[test]
    fn rows_are_objects_and_arrays_on_one_line() {
        let json = HashMap::from([("ARROW:extension:name".to_owned(), "arrow.json".to_owned())]);
        let schema: SchemaRef = Arc::new(Schema::new(vec![
            Field::new("n \"q\"", DataType::Int64, true),
            Field::new("doc", DataType::Utf8View, true).with_metadata(json),
            Field::new("t", DataType::Utf8View, true),
        ]));
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(vec![Some(1), None])),
            Arc::new(StringViewArray::from(vec!["{\n \"a\": [1,\r\n2]}", "7"])),
            Arc::new(StringViewArray::from(vec!["x\ny", "</script>"])),
        ];
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns).expect("fits");
        let writer = RowWriter::new(&schema);
        let rows = writer.rows(&batch).expect("types are known");
        let mut out = Vec::new();
        rows.object(0, &mut out);
        out.push(b'|');
        rows.array(1, &mut out);
        let expected = r#"{"n \"q\"":1,"doc":{  "a": [1,  2]},"t":"x\ny"}|[null,7,"</script>"]"#;
        assert_eq!(String::from_utf8(out).expect("UTF-8"), expected);
        let types: Vec<String> = super::columns(&schema).into_iter().map(|c| c.r#type).collect();
        assert_eq!(types, ["bigint", "jsonb", "character varying"]);
    }
}
