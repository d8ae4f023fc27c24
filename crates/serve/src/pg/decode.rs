//! Values that clients send, as one-value arrays: text is handed on, binary is read here. Every length is checked. It
//! must not know messages.

mod binary;

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray, new_null_array};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field};
use postgres_types::Type;
use thalweg_core::{SqlError, SqlState};

pub(crate) use self::binary::read_binary;
use super::frontend::{Format, utf8};

/// A parameter as the backend takes it: of the described type, or as text.
pub(crate) fn parameter(value: Option<&[u8]>, format: Format, own: &Type, field: &Field) -> Result<ArrayRef, SqlError> {
    let Some(bytes) = value else { return Ok(new_null_array(field.data_type(), 1)) };
    match format {
        Format::Text => Ok(Arc::new(StringArray::from(vec![utf8(bytes)?]))),
        Format::Binary => {
            let read = read_binary(own, bytes)?;
            // Text stands for a value of any type.
            if *read.data_type() == DataType::Utf8 { Ok(read) } else { fit(read, field.data_type()) }
        }
    }
}

/// The same value as another type, if it can be.
pub(crate) fn fit(value: ArrayRef, to: &DataType) -> Result<ArrayRef, SqlError> {
    if value.data_type() == to {
        return Ok(value);
    }
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(&value, to, &options).map_err(|error| {
        let message = format!("a value of type {} is not a {to}: {error}", value.data_type());
        SqlError::new(SqlState::INVALID_BINARY_REPRESENTATION, message)
    })
}
