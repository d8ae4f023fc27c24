//! Values as PostgreSQL prints them. It must not know messages.

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeBinaryArray, ListArray};
use arrow::buffer::ScalarBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, IntervalUnit, Time64MicrosecondType, TimeUnit, TimestampMicrosecondType};
use postgres_types::Type;
use thalweg_core::SqlError;
use thalweg_formats::Cells;
use thalweg_formats::time::write_time;

use super::super::uuid::write_uuid;
use super::binary::unwritable;

/// A column's values, ready to be printed.
pub(super) enum TextValues {
    Plain(Cells),
    Nothing,
    Uuid(FixedSizeBinaryArray),
    Time(ScalarBuffer<i64>),
    Timestamp(ScalarBuffer<i64>, Cells),
    /// `1 2 3`
    Vector(ListArray, Cells),
}

impl TextValues {
    pub(super) fn new(column: &ArrayRef, own: &Type) -> Result<Self, SqlError> {
        let cells = |column: &ArrayRef| Cells::new(column).map_err(SqlError::from);
        let converted = |to: &DataType| cast(column, to).map_err(|e| unwritable(own, &e));
        Ok(match column.data_type() {
            _ if *own == Type::VOID => Self::Nothing,
            DataType::FixedSizeBinary(16) => Self::Uuid(column.as_fixed_size_binary().clone()),
            DataType::Time32(_) | DataType::Time64(_) => {
                let micros = converted(&DataType::Time64(TimeUnit::Microsecond))?;
                Self::Time(micros.as_primitive::<Time64MicrosecondType>().values().clone())
            }
            DataType::Timestamp(_, zone) => {
                let micros = converted(&DataType::Timestamp(TimeUnit::Microsecond, zone.clone()))?;
                let values = micros.as_primitive::<TimestampMicrosecondType>().values().clone();
                Self::Timestamp(values, cells(&micros)?)
            }
            DataType::Duration(_) => Self::Plain(cells(&converted(&DataType::Interval(IntervalUnit::MonthDayNano))?)?),
            DataType::List(_) if matches!(*own, Type::INT2_VECTOR | Type::OID_VECTOR) => {
                let list = column.as_list::<i32>().clone();
                let items = cells(list.values())?;
                Self::Vector(list, items)
            }
            _ => Self::Plain(cells(column)?),
        })
    }

    pub(super) fn write(&self, row: usize, out: &mut Vec<u8>) {
        match self {
            Self::Plain(cells) => cells.write_text(row, out),
            Self::Nothing => {}
            Self::Uuid(values) => write_uuid(values.value(row), out),
            Self::Time(values) => write_time(values[row], out),
            Self::Timestamp(values, cells) => match values[row] {
                i64::MAX => out.extend_from_slice(b"infinity"),
                i64::MIN => out.extend_from_slice(b"-infinity"),
                _ => cells.write_text(row, out),
            },
            Self::Vector(list, items) => {
                let offsets = list.value_offsets();
                for (n, item) in (offsets[row] as usize..offsets[row + 1] as usize).enumerate() {
                    if n > 0 {
                        out.push(b' ');
                    }
                    items.write_text(item, out);
                }
            }
        }
    }
}
