//! `AvroEncoder`: rows as Avro data of a schema made from their columns. It must not know where they go.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Field, Float32Type, Float64Type, Int64Type, SchemaRef, TimeUnit,
    TimestampMicrosecondType,
};
use thalweg_core::{Error, Result};

use crate::encode::{Cells, write_string};

/// Writes each row as one datum.
#[derive(Clone, Debug)]
pub struct AvroEncoder {
    schema: String,
    kinds: Vec<(Kind, bool)>,
}

/// How the values of a column are written.
#[derive(Clone, Debug)]
enum Kind {
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Decimal(u8, i8),
    Date,
    /// An instant, or a time without a zone.
    Timestamp(bool),
    Text,
    Bytes,
    List(Box<Kind>),
}

impl AvroEncoder {
    /// For rows of `schema` as a record called `name`.
    ///
    /// # Errors
    /// A name that Avro does not allow, or a type that it does not have.
    pub fn new(schema: &SchemaRef, name: &str) -> Result<Self> {
        let kinds: Vec<(Kind, bool)> =
            schema.fields().iter().map(|f| Ok((kind(f, f.data_type())?, f.is_nullable()))).collect::<Result<_>>()?;
        let mut text = Vec::new();
        text.extend_from_slice(b"{\"type\":\"record\",\"name\":");
        write_string(&avro_name(name)?, &mut text);
        text.extend_from_slice(b",\"fields\":[");
        for (i, (field, (kind, nullable))) in schema.fields().iter().zip(&kinds).enumerate() {
            if i > 0 {
                text.push(b',');
            }
            text.extend_from_slice(b"{\"name\":");
            write_string(checked(field.name())?, &mut text);
            text.extend_from_slice(if *nullable { b",\"type\":[\"null\"," } else { b",\"type\":" });
            kind.schema(&mut text);
            text.extend_from_slice(if *nullable { b"],\"default\":null}" } else { b"}" });
        }
        text.extend_from_slice(b"]}");
        let schema = String::from_utf8(text).map_err(|_| Error::Internal("a schema that is not UTF-8".to_owned()))?;
        Ok(Self { schema, kinds })
    }

    /// The schema of the data, as JSON.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// Calls `each` with the datum of every row, in order. The buffer begins with `prefix`.
    ///
    /// # Errors
    /// Another number of columns, or what `each` returns.
    pub fn encode(
        &self,
        batch: &RecordBatch,
        prefix: &[u8],
        mut each: impl FnMut(usize, &[u8]) -> Result<()>,
    ) -> Result<()> {
        if batch.num_columns() != self.kinds.len() {
            return Err(Error::Internal(format!("{} columns for {} fields", batch.num_columns(), self.kinds.len())));
        }
        let writers: Vec<(Writer, bool)> = batch
            .columns()
            .iter()
            .zip(&self.kinds)
            .map(|(column, (kind, nullable))| Ok((Writer::new(column, kind)?, *nullable)))
            .collect::<Result<_>>()?;
        let mut out = Vec::new();
        for row in 0..batch.num_rows() {
            out.clear();
            out.extend_from_slice(prefix);
            for (writer, nullable) in &writers {
                writer.write(row, *nullable, &mut out)?;
            }
            each(row, &out)?;
        }
        Ok(())
    }
}

impl Kind {
    fn schema(&self, out: &mut Vec<u8>) {
        let text = match self {
            Self::Boolean => "\"boolean\"".to_owned(),
            Self::Int => "\"int\"".to_owned(),
            Self::Long => "\"long\"".to_owned(),
            Self::Float => "\"float\"".to_owned(),
            Self::Double => "\"double\"".to_owned(),
            Self::Decimal(precision, scale) => {
                format!(
                    "{{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":{precision},\"scale\":{scale}}}"
                )
            }
            Self::Date => "{\"type\":\"int\",\"logicalType\":\"date\"}".to_owned(),
            Self::Timestamp(true) => "{\"type\":\"long\",\"logicalType\":\"timestamp-micros\"}".to_owned(),
            Self::Timestamp(false) => "{\"type\":\"long\",\"logicalType\":\"local-timestamp-micros\"}".to_owned(),
            Self::Text => "\"string\"".to_owned(),
            Self::Bytes => "\"bytes\"".to_owned(),
            Self::List(item) => {
                out.extend_from_slice(b"{\"type\":\"array\",\"items\":[\"null\",");
                item.schema(out);
                "]}".to_owned()
            }
        };
        out.extend_from_slice(text.as_bytes());
    }
}

fn kind(field: &Field, data_type: &DataType) -> Result<Kind> {
    use DataType as D;
    Ok(match data_type {
        D::Boolean => Kind::Boolean,
        D::Int8 | D::Int16 | D::Int32 | D::UInt8 | D::UInt16 => Kind::Int,
        D::Int64 | D::UInt32 => Kind::Long,
        D::Float16 | D::Float32 => Kind::Float,
        D::Float64 => Kind::Double,
        D::Decimal32(p, s) | D::Decimal64(p, s) | D::Decimal128(p, s) if *s >= 0 => Kind::Decimal(*p, *s),
        D::Date32 | D::Date64 => Kind::Date,
        D::Timestamp(_, zone) => Kind::Timestamp(zone.is_some()),
        D::Binary | D::LargeBinary | D::BinaryView | D::FixedSizeBinary(_) => Kind::Bytes,
        D::List(item) if !item.data_type().is_nested() => Kind::List(Box::new(kind(field, item.data_type())?)),
        D::Utf8 | D::LargeUtf8 | D::Utf8View | D::Interval(_) | D::Time32(_) | D::Time64(_) => Kind::Text,
        other => {
            return Err(Error::invalid_with_hint(
                format!("column {} of type {other} has no Avro type", field.name()),
                "Cast it to varchar or to a simpler type in the query.",
            ));
        }
    })
}

/// A column's values, typed.
struct Writer {
    column: ArrayRef,
    values: Written,
}

enum Written {
    Boolean,
    Integer,
    Float,
    Double,
    Decimal,
    Date,
    Timestamp,
    Text(Cells),
    Bytes,
    List(Box<Writer>),
}

impl Writer {
    fn new(column: &ArrayRef, kind: &Kind) -> Result<Self> {
        let to = |data_type: DataType| cast(column, &data_type);
        let (column, values) = match kind {
            Kind::Boolean => (to(DataType::Boolean)?, Written::Boolean),
            Kind::Int | Kind::Long => (to(DataType::Int64)?, Written::Integer),
            Kind::Float => (to(DataType::Float32)?, Written::Float),
            Kind::Double => (to(DataType::Float64)?, Written::Double),
            Kind::Decimal(p, s) => (to(DataType::Decimal128(*p, *s))?, Written::Decimal),
            Kind::Date => (to(DataType::Date32)?, Written::Date),
            Kind::Timestamp(_) => {
                let zone = if let DataType::Timestamp(_, zone) = column.data_type() { zone.clone() } else { None };
                (to(DataType::Timestamp(TimeUnit::Microsecond, zone))?, Written::Timestamp)
            }
            Kind::Text => (column.clone(), Written::Text(Cells::new(column)?)),
            Kind::Bytes => (to(DataType::Binary)?, Written::Bytes),
            Kind::List(item) => {
                let items = Box::new(Self::new(column.as_list::<i32>().values(), item)?);
                (column.clone(), Written::List(items))
            }
        };
        Ok(Self { column, values })
    }

    fn write(&self, row: usize, nullable: bool, out: &mut Vec<u8>) -> Result<()> {
        let null = self.column.is_null(row);
        if nullable {
            long(i64::from(!null), out);
        }
        match (&self.values, null) {
            (_, true) if nullable => {}
            (_, true) => return Err(Error::Data("NULL in a column that is declared NOT NULL".to_owned())),
            (Written::Boolean, _) => out.push(u8::from(self.column.as_boolean().value(row))),
            (Written::Integer, _) => long(self.column.as_primitive::<Int64Type>().value(row), out),
            (Written::Float, _) => {
                out.extend_from_slice(&self.column.as_primitive::<Float32Type>().value(row).to_le_bytes());
            }
            (Written::Double, _) => {
                out.extend_from_slice(&self.column.as_primitive::<Float64Type>().value(row).to_le_bytes());
            }
            (Written::Decimal, _) => {
                let value = self.column.as_primitive::<Decimal128Type>().value(row).to_be_bytes();
                // The fewest bytes that keep the sign.
                let fill = if value[0] >= 0x80 { 0xff } else { 0 };
                let same = |i: &usize| value[*i] == fill && (value[*i + 1] >= 0x80) == (fill == 0xff);
                let from = (0..15).take_while(same).count();
                prefixed(&value[from..], out);
            }
            (Written::Date, _) => long(i64::from(self.column.as_primitive::<Date32Type>().value(row)), out),
            (Written::Timestamp, _) => {
                long(self.column.as_primitive::<TimestampMicrosecondType>().value(row), out);
            }
            (Written::Text(cells), _) => {
                let mut text = Vec::new();
                cells.write_text(row, &mut text);
                prefixed(&text, out);
            }
            (Written::Bytes, _) => prefixed(self.column.as_binary::<i32>().value(row), out),
            (Written::List(items), _) => {
                let offsets = self.column.as_list::<i32>().value_offsets();
                let (from, to) = (offsets[row] as usize, offsets[row + 1] as usize);
                if from < to {
                    long((to - from) as i64, out);
                    for item in from..to {
                        items.write(item, true, out)?;
                    }
                }
                long(0, out);
            }
        }
        Ok(())
    }
}

/// A variable-length number.
fn long(value: i64, out: &mut Vec<u8>) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn prefixed(bytes: &[u8], out: &mut Vec<u8>) {
    long(bytes.len() as i64, out);
    out.extend_from_slice(bytes);
}

/// `name` if Avro allows it for a field.
fn checked(name: &str) -> Result<&str> {
    let letter = |b: u8| b.is_ascii_alphabetic() || b == b'_';
    let sound = name.bytes().next().is_some_and(letter) && name.bytes().all(|b| letter(b) || b.is_ascii_digit());
    if sound {
        return Ok(name);
    }
    Err(Error::invalid_with_hint(
        format!("'{name}' cannot be the name of a field in Avro"),
        "Use letters, digits and underscores only: give the column an alias in the query.",
    ))
}

/// A name for the record, made of `name`.
fn avro_name(name: &str) -> Result<String> {
    let mut made: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if made.is_empty() || made.as_bytes()[0].is_ascii_digit() {
        made.insert(0, '_');
    }
    Ok(checked(&made)?.to_owned())
}
