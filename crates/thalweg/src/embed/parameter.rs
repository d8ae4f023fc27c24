//! `Parameter`: Rust values that stand for `$1`, `$2`, …. It must not know statements.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BinaryArray, BooleanArray, StringArray};
use arrow::array::{Float32Array, Float64Array, Int16Array, Int32Array, Int64Array};
use thalweg_core::{SqlError, SqlState};

/// A value for a parameter. Text is read as a value of whatever type the statement wants there, as a driver's text is;
/// other values keep their type. For any other Arrow type, give an array of one value.
pub trait Parameter: Sync {
    /// The value as an Arrow array of length one.
    fn to_array(&self) -> ArrayRef;
}

macro_rules! parameters {
    ($($rust:ty => $array:ty),* $(,)?) => {$(
        impl Parameter for $rust {
            fn to_array(&self) -> ArrayRef {
                Some(*self).to_array()
            }
        }

        impl Parameter for Option<$rust> {
            fn to_array(&self) -> ArrayRef {
                Arc::new(<$array>::from(vec![*self]))
            }
        }
    )*};
}

parameters! {
    bool => BooleanArray,
    i16 => Int16Array,
    i32 => Int32Array,
    i64 => Int64Array,
    f32 => Float32Array,
    f64 => Float64Array,
    &str => StringArray,
    &[u8] => BinaryArray,
}

impl Parameter for String {
    fn to_array(&self) -> ArrayRef {
        self.as_str().to_array()
    }
}

impl Parameter for Option<String> {
    fn to_array(&self) -> ArrayRef {
        self.as_deref().to_array()
    }
}

impl Parameter for ArrayRef {
    fn to_array(&self) -> ArrayRef {
        Arc::clone(self)
    }
}

/// The values, each an array of one.
pub(super) fn arrays(parameters: &[&dyn Parameter]) -> Result<Vec<ArrayRef>, SqlError> {
    let one = |(i, parameter): (usize, &&dyn Parameter)| {
        let array = parameter.to_array();
        if array.len() == 1 {
            return Ok(array);
        }
        let message = format!("parameter ${} is an array of {} values, not of one", i + 1, array.len());
        Err(SqlError::new(SqlState::UNDEFINED_PARAMETER, message))
    };
    parameters.iter().enumerate().map(one).collect()
}
