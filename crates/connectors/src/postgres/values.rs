//! Rows as parameters of a statement: each column an array in PostgreSQL's binary format. It must not know statements.
//!
//! The formats are those of PostgreSQL's `*_recv` functions, which it keeps across versions: big-endian numbers, times
//! from 2000-01-01 on, numerics in digits of base 10,000.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type,
    IntervalMonthDayNanoType, Time64MicrosecondType, TimestampMicrosecondType,
};
use bytes::BytesMut;
use thalweg_core::{Error, Result};
use thalweg_formats::Cells;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use super::types::{Column, Kind};

/// Rows of one statement at most.
const CHUNK_ROWS: usize = 8192;

/// After this much (4 MiB) a statement takes no more rows.
const CHUNK_BYTES: usize = 4 * 1024 * 1024;

/// Days from 1970-01-01 to 2000-01-01.
const DAYS_TO_2000: i32 = 10_957;

/// The same in microseconds.
const MICROS_TO_2000: i64 = DAYS_TO_2000 as i64 * 86_400_000_000;

/// An array of values as it is sent.
pub(super) struct Param(Vec<u8>);

impl std::fmt::Debug for Param {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Param({} bytes)", self.0.len())
    }
}

impl ToSql for Param {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// Appends the binary form of a row's value, which is not NULL.
type Write = Box<dyn Fn(usize, &mut Vec<u8>) -> Result<()>>;

/// The rows of a batch in pieces: for each piece the parameters of a statement, one a column.
pub(super) struct Chunks {
    columns: Vec<(ArrayRef, Type, Write)>,
    next: usize,
    rows: usize,
}

impl Chunks {
    /// All of `batch`, whose columns are `columns`.
    ///
    /// # Errors
    /// A column is not of the type that it was said to be.
    pub(super) fn new(batch: &RecordBatch, columns: &[Column]) -> Result<Self> {
        let writer = |(array, column): (&ArrayRef, &Column)| Ok((array.clone(), column.sent(), writer(array, column)?));
        let columns = batch.columns().iter().zip(columns).map(writer).collect::<Result<_>>()?;
        Ok(Self { columns, next: 0, rows: batch.num_rows() })
    }

    /// The parameters of the next statement.
    fn piece(&mut self) -> Result<Vec<Param>> {
        let mut arrays: Vec<Vec<u8>> = self.columns.iter().map(|(_, of, _)| header(of)).collect();
        let first = self.next;
        while self.next < self.rows && self.next - first < CHUNK_ROWS {
            let mut bytes = 0;
            for ((values, _, write), array) in self.columns.iter().zip(&mut arrays) {
                if values.is_null(self.next) {
                    array.extend_from_slice(&(-1_i32).to_be_bytes());
                } else {
                    let at = array.len();
                    array.extend_from_slice(&[0; 4]);
                    write(self.next, array)?;
                    let length = i32::try_from(array.len() - at - 4)
                        .map_err(|_| Error::Data("a value of more than 2 GiB fits no column of PostgreSQL".into()))?;
                    array[at..at + 4].copy_from_slice(&length.to_be_bytes());
                }
                bytes += array.len();
            }
            self.next += 1;
            if bytes >= CHUNK_BYTES {
                break;
            }
        }
        let rows = (self.next - first) as i32;
        let finish = |mut array: Vec<u8>| {
            array[12..16].copy_from_slice(&rows.to_be_bytes());
            Param(array)
        };
        Ok(arrays.into_iter().map(finish).collect())
    }
}

impl Iterator for Chunks {
    type Item = Result<Vec<Param>>;

    fn next(&mut self) -> Option<Self::Item> {
        (self.next < self.rows).then(|| self.piece())
    }
}

/// The parameters of a statement that takes no row of `columns`.
pub(super) fn nothing<'a>(columns: impl IntoIterator<Item = &'a Column>) -> Vec<Param> {
    columns.into_iter().map(|c| Param(header(&c.sent()))).collect()
}

/// One dimension, perhaps with NULLs, of type `of`; the length, none as yet; counted from 1.
fn header(of: &Type) -> Vec<u8> {
    let mut header = Vec::new();
    for number in [1, 1] {
        header.extend_from_slice(&i32::to_be_bytes(number));
    }
    header.extend_from_slice(&of.oid().to_be_bytes());
    for number in [0, 1] {
        header.extend_from_slice(&i32::to_be_bytes(number));
    }
    header
}

fn writer(array: &ArrayRef, column: &Column) -> Result<Write> {
    macro_rules! number {
        ($t:ty, $value:expr) => {{
            let values = array.as_primitive::<$t>().values().clone();
            let value = $value;
            Box::new(move |row, out| {
                out.extend_from_slice(&value(values[row])?.to_be_bytes());
                Ok(())
            })
        }};
    }
    let name = column.name.clone();
    let range = move |what: &str| Error::Data(format!("column {name}: a {what} that PostgreSQL does not have"));
    Ok(match column.kind {
        Kind::Bool => {
            let values = array.as_boolean().clone();
            Box::new(move |row, out| {
                out.push(u8::from(values.value(row)));
                Ok(())
            })
        }
        Kind::Int2 => number!(Int16Type, Ok::<i16, Error>),
        Kind::Int4 => number!(Int32Type, Ok::<i32, Error>),
        Kind::Int8 => number!(Int64Type, Ok::<i64, Error>),
        Kind::Float4 => number!(Float32Type, Ok::<f32, Error>),
        Kind::Float8 => number!(Float64Type, Ok::<f64, Error>),
        Kind::Time => number!(Time64MicrosecondType, Ok::<i64, Error>),
        Kind::Date => number!(Date32Type, move |v: i32| {
            v.checked_sub(DAYS_TO_2000).filter(|v| *v != i32::MIN).ok_or_else(|| range("date"))
        }),
        // The least number stands for the time before all others.
        Kind::Timestamp | Kind::TimestampTz => number!(TimestampMicrosecondType, move |v: i64| {
            v.checked_sub(MICROS_TO_2000).filter(|v| *v != i64::MIN).ok_or_else(|| range("timestamp"))
        }),
        Kind::Numeric(_, scale) => {
            let values = array.as_primitive::<Decimal128Type>().values().clone();
            Box::new(move |row, out| {
                write_numeric(values[row], scale, out);
                Ok(())
            })
        }
        Kind::Interval => {
            let values = array.as_primitive::<IntervalMonthDayNanoType>().values().clone();
            Box::new(move |row, out| {
                let value = values[row];
                out.extend_from_slice(&(value.nanoseconds / 1_000).to_be_bytes());
                out.extend_from_slice(&value.days.to_be_bytes());
                out.extend_from_slice(&value.months.to_be_bytes());
                Ok(())
            })
        }
        Kind::Bytea => {
            let values = array.as_binary::<i32>().clone();
            Box::new(move |row, out| {
                out.extend_from_slice(values.value(row));
                Ok(())
            })
        }
        Kind::Text | Kind::Array | Kind::Json => text(array, column)?,
    })
}

/// What is sent as text. PostgreSQL has no character of number 0.
fn text(array: &ArrayRef, column: &Column) -> Result<Write> {
    let (name, kind) = (column.name.clone(), column.kind);
    let is_text = matches!(array.data_type(), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    if (kind == Kind::Text) != is_text {
        return Err(Error::Internal(format!("column {name} became {}", array.data_type())));
    }
    let cells = Cells::new(array)?;
    Ok(Box::new(move |row, out| {
        let at = out.len();
        if kind == Kind::Json {
            cells.write_json(row, out);
        } else {
            cells.write_text(row, out);
        }
        if out[at..].contains(&0) {
            return Err(Error::invalid_with_hint(
                format!("column {name} has a text with the character U+0000, which PostgreSQL cannot hold"),
                "Take it out in the query, as with replace(…).",
            ));
        }
        Ok(())
    }))
}

/// `value` × 10^−`scale`: number of digits, weight of the first, sign, digits behind the point to show, digits.
fn write_numeric(value: i128, scale: i8, out: &mut Vec<u8>) {
    const BASE: u128 = 10_000;
    let scale = scale.unsigned_abs();
    // Digits of base 10,000 end at the point: the part behind it is filled up to whole ones.
    let behind = scale.div_ceil(4);
    let mut digits = [0_i16; 12];
    let mut count = 0;
    // 38 digits filled up by 3 are more than fit, so that the last part is cut off before it is filled up.
    let filled = 10_u128.pow(u32::from(behind * 4 - scale));
    let unit = BASE / filled;
    let mut rest = value.unsigned_abs();
    let mut push = |digit: u128| {
        digits[count] = digit as i16;
        count += 1;
    };
    if behind > 0 {
        push(rest % unit * filled);
        rest /= unit;
    }
    while rest > 0 {
        push(rest % BASE);
        rest /= BASE;
    }
    let used = &digits[..count];
    // Zeros at either end are left out.
    let low = used.iter().take_while(|d| **d == 0).count();
    let high = count - used[low..].iter().rev().take_while(|d| **d == 0).count();
    let kept = &used[low.min(high)..high];
    let weight = if kept.is_empty() { 0 } else { high as i16 - 1 - i16::from(behind) };
    let sign: u16 = if value < 0 { 0x4000 } else { 0 };
    out.extend_from_slice(&(kept.len() as i16).to_be_bytes());
    out.extend_from_slice(&weight.to_be_bytes());
    out.extend_from_slice(&sign.to_be_bytes());
    out.extend_from_slice(&u16::from(scale).to_be_bytes());
    for digit in kept.iter().rev() {
        out.extend_from_slice(&digit.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};
    use arrow::datatypes::Field;

    use super::*;

    fn numeric(value: i128, scale: i8) -> Vec<i16> {
        let mut out = Vec::new();
        write_numeric(value, scale, &mut out);
        out.chunks(2).map(|b| i16::from_be_bytes([b[0], b[1]])).collect()
    }

    #[test]
    fn numerics_are_digits_of_base_10000() {
        assert_eq!(numeric(0, 2), [0, 0, 0, 2]);
        assert_eq!(numeric(12_345, 2), [2, 0, 0, 2, 123, 4500]);
        assert_eq!(numeric(-1, 10), [1, -3, 0x4000, 10, 100]);
        assert_eq!(numeric(120_000, 0), [1, 1, 0, 0, 12]);
        assert_eq!(
            numeric(10_i128.pow(38) - 1, 0),
            [10, 9, 0, 0, 99, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999]
        );
    }

    #[test]
    fn rows_are_cut_into_pieces_by_number_and_by_size() {
        let schema = [Field::new("n", DataType::Int64, true), Field::new("t", DataType::Utf8, true)];
        let columns: Vec<Column> = schema.iter().map(|f| Column::of(f).expect("known")).collect();
        let pieces = |rows: usize, bytes: usize| {
            let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows as i64));
            let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..rows).map(|_| "x".repeat(bytes))));
            let batch = RecordBatch::try_from_iter([("n", numbers), ("t", texts)]).expect("two columns");
            let sizes = Chunks::new(&batch, &columns).expect("fits").map(|piece| {
                let array = &piece.expect("written")[0].0;
                i32::from_be_bytes(array[12..16].try_into().expect("four"))
            });
            sizes.collect::<Vec<i32>>()
        };
        assert_eq!(pieces(0, 1), Vec::<i32>::new());
        assert_eq!(pieces(CHUNK_ROWS + 1, 1), [CHUNK_ROWS as i32, 1]);
        assert_eq!(pieces(9, 1024 * 1024), [4, 4, 1]);
    }
}
