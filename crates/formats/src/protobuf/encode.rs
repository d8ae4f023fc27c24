//! `ProtobufEncoder`: rows as messages of a given type. It must not know where they go.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Decimal128Type, Float32Type, Float64Type, Int64Type, SchemaRef, TimeUnit, TimestampMicrosecondType,
};
use prost_reflect::prost::Message;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};
use thalweg_core::{Error, Result};

use crate::encode::Cells;

/// Writes each row as one message; NULL is an absent field.
#[derive(Clone, Debug)]
pub struct ProtobufEncoder {
    message: MessageDescriptor,
    fields: Vec<FieldDescriptor>,
}

impl ProtobufEncoder {
    /// For rows of `schema` as messages of type `message`.
    ///
    /// # Errors
    /// A column for which the message has no field, or one of a type that does not fit.
    pub fn new(schema: &SchemaRef, message: MessageDescriptor) -> Result<Self> {
        let mut fields = Vec::with_capacity(schema.fields().len());
        for column in schema.fields() {
            let field = message.get_field_by_name(column.name()).ok_or_else(|| {
                Error::invalid_with_hint(
                    format!("message {} has no field {}", message.full_name(), column.name()),
                    "Give the column the field's name with an alias, or leave it out of the query.",
                )
            })?;
            let list = matches!(column.data_type(), DataType::List(_));
            let timestamp = matches!(field.kind(), Kind::Message(m) if m.full_name() == "google.protobuf.Timestamp");
            if list != field.is_list() || field.is_map() || (matches!(field.kind(), Kind::Message(_)) && !timestamp) {
                return Err(Error::invalid_with_hint(
                    format!("column {} of type {} does not fit its field", column.name(), column.data_type()),
                    "Sinks fill scalar and repeated scalar fields and google.protobuf.Timestamp.",
                ));
            }
            fields.push(field);
        }
        Ok(Self { message, fields })
    }

    /// Calls `each` with the message of every row, in order. The buffer begins with `prefix`.
    ///
    /// # Errors
    /// A value that does not fit its field, or what `each` returns.
    pub fn encode(
        &self,
        batch: &RecordBatch,
        prefix: &[u8],
        mut each: impl FnMut(usize, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let columns: Vec<Reader> = batch
            .columns()
            .iter()
            .zip(&self.fields)
            .map(|(column, field)| Reader::new(column, field))
            .collect::<Result<_>>()?;
        let mut out = Vec::new();
        for row in 0..batch.num_rows() {
            let mut message = DynamicMessage::new(self.message.clone());
            for (reader, field) in columns.iter().zip(&self.fields) {
                if let Some(value) = reader.value(row)? {
                    message.set_field(field, value);
                }
            }
            out.clear();
            out.extend_from_slice(prefix);
            message.encode(&mut out).map_err(|e| Error::Data(format!("a message that cannot be written: {e}")))?;
            each(row, &out)?;
        }
        Ok(())
    }
}

/// A column's values as those of a field.
struct Reader {
    column: ArrayRef,
    kind: Kind,
    text: Option<Cells>,
    items: Option<Box<Reader>>,
}

impl Reader {
    fn new(column: &ArrayRef, field: &FieldDescriptor) -> Result<Self> {
        if let DataType::List(_) = column.data_type() {
            let items = Box::new(Self::of(column.as_list::<i32>().values(), field.kind())?);
            return Ok(Self { column: column.clone(), kind: field.kind(), text: None, items: Some(items) });
        }
        Self::of(column, field.kind())
    }

    fn of(column: &ArrayRef, kind: Kind) -> Result<Self> {
        let to = match &kind {
            Kind::Double => DataType::Float64,
            Kind::Float => DataType::Float32,
            Kind::Bool => DataType::Boolean,
            Kind::Uint64 | Kind::Fixed64 => DataType::Decimal128(38, 0),
            Kind::Bytes => DataType::Binary,
            Kind::Message(_) => DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())),
            Kind::String | Kind::Enum(_) => column.data_type().clone(),
            _ => DataType::Int64,
        };
        let text = matches!(kind, Kind::String | Kind::Enum(_)).then(|| Cells::new(column)).transpose()?;
        Ok(Self { column: cast(column, &to)?, kind, text, items: None })
    }

    fn value(&self, row: usize) -> Result<Option<Value>> {
        if self.column.is_null(row) {
            return Ok(None);
        }
        if let Some(items) = &self.items {
            let offsets = self.column.as_list::<i32>().value_offsets();
            let mut list = Vec::new();
            for item in offsets[row] as usize..offsets[row + 1] as usize {
                let value = items.value(item)?;
                list.push(value.ok_or_else(|| Error::Data("a repeated field cannot hold NULL".to_owned()))?);
            }
            return Ok(Some(Value::List(list)));
        }
        let range = || Error::Data(format!("a number out of the range of its Protobuf field ({:?})", self.kind));
        let integer = || self.column.as_primitive::<Int64Type>().value(row);
        Ok(Some(match &self.kind {
            Kind::Double => Value::F64(self.column.as_primitive::<Float64Type>().value(row)),
            Kind::Float => Value::F32(self.column.as_primitive::<Float32Type>().value(row)),
            Kind::Bool => Value::Bool(self.column.as_boolean().value(row)),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(i32::try_from(integer()).map_err(|_| range())?),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(integer()),
            Kind::Uint32 | Kind::Fixed32 => Value::U32(u32::try_from(integer()).map_err(|_| range())?),
            Kind::Uint64 | Kind::Fixed64 => {
                let wide = self.column.as_primitive::<Decimal128Type>().value(row);
                Value::U64(u64::try_from(wide).map_err(|_| range())?)
            }
            Kind::Bytes => Value::Bytes(self.column.as_binary::<i32>().value(row).to_vec().into()),
            Kind::String => Value::String(self.text_of(row)),
            Kind::Enum(names) => {
                let name = self.text_of(row);
                let value = names.get_value_by_name(&name);
                let value = value.ok_or_else(|| Error::Data(format!("enum {} has no '{name}'", names.full_name())))?;
                Value::EnumNumber(value.number())
            }
            Kind::Message(timestamp) => {
                let micros = self.column.as_primitive::<TimestampMicrosecondType>().value(row);
                let mut message = DynamicMessage::new(timestamp.clone());
                message.set_field_by_name("seconds", Value::I64(micros.div_euclid(1_000_000)));
                message.set_field_by_name("nanos", Value::I32((micros.rem_euclid(1_000_000) * 1_000) as i32));
                Value::Message(message)
            }
        }))
    }

    fn text_of(&self, row: usize) -> String {
        let mut text = Vec::new();
        if let Some(cells) = &self.text {
            cells.write_text(row, &mut text);
        }
        String::from_utf8_lossy(&text).into_owned()
    }
}
