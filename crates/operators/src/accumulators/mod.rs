//! The accumulators of aggregate calls: columnar cells per group, and the value tables behind DISTINCT, retractable
//! min and max, and functions that are recomputed. They must not know group keys, epochs or emission.

mod accumulator;
mod best;
mod best_bytes;
mod boolean;
mod calls;
mod codecs;
mod count;
mod double;
mod float;
mod order;
mod ordered;
mod recompute;
mod row_bag;
mod sketch;
mod value_state;
mod values;
mod variance;
mod whole;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use thalweg_core::{Error, Result};
use thalweg_plan::{AggregateCall, AggregateFunction};

use accumulator::Accumulator;
use order::ranked_type;

pub(crate) use calls::Calls;
pub(crate) use row_bag::RowBag;
pub(crate) use value_state::concat_all;

/// Who feeds a min or max.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Feeding {
    /// Rows that are never taken back.
    Once,
    /// Values that come and go, each once.
    Changing,
}

/// The accumulator of `call` for an argument of `argument` (`None` for `count(*)`).
fn accumulator(call: &AggregateCall, argument: Option<&DataType>, feeding: Feeding) -> Result<Box<dyn Accumulator>> {
    use AggregateFunction as F;
    let name = call.function.name();
    let refused = |t: &DataType| {
        let output = call.output.data_type();
        Error::Unsupported(format!("{name}({t}) as {output}; cast the argument to bigint, numeric or double precision"))
    };
    if let F::Count = call.function {
        return Ok(Box::<count::Count>::default());
    }
    if let F::Sketch(of) = &call.function {
        return Ok(Box::new(sketch::Sketches::new(of, call.output.data_type())?));
    }
    let t = argument.ok_or_else(|| Error::Internal(format!("{name} without an argument")))?;
    Ok(match &call.function {
        F::Count => Box::<count::Count>::default(),
        F::Sum | F::Avg => {
            let mean = call.function == F::Avg;
            match t {
                DataType::Float32 | DataType::Float64 => Box::new(float::FloatSum::new(mean)),
                DataType::Int16 | DataType::Int32 | DataType::Int64 => {
                    Box::new(whole::WholeSum::new(0, mean, call.output.data_type()).ok_or_else(|| refused(t))?)
                }
                DataType::Decimal128(_, scale) => {
                    Box::new(whole::WholeSum::new(*scale, mean, call.output.data_type()).ok_or_else(|| refused(t))?)
                }
                _ => return Err(refused(t)),
            }
        }
        F::Min | F::Max => {
            let max = call.function == F::Max;
            match feeding {
                Feeding::Changing => codecs::ordered(t, max)?,
                Feeding::Once => ranked_type!(
                    t,
                    T => if max {
                        Box::new(best::Best::<T, true>::new(t.clone()))
                    } else {
                        Box::new(best::Best::<T, false>::new(t.clone()))
                    },
                    Box::new(best_bytes::BestBytes::new(t, max)?)
                ),
            }
        }
        F::BoolAnd => Box::new(boolean::Bools::new(true)),
        F::BoolOr => Box::new(boolean::Bools::new(false)),
        F::VarPop => Box::new(variance::Variance::new(false, false)),
        F::VarSamp => Box::new(variance::Variance::new(true, false)),
        F::StddevPop => Box::new(variance::Variance::new(false, true)),
        F::StddevSamp => Box::new(variance::Variance::new(true, true)),
        F::Sketch(_) | F::Other(_) => return Err(Error::Internal(format!("{name} has no accumulator of its own"))),
    })
}

/// State column `column` as integers.
pub(crate) fn int64_state(state: &[ArrayRef], column: usize) -> Result<&[i64]> {
    match state.get(column).and_then(|c| c.as_primitive_opt::<Int64Type>()) {
        Some(array) => Ok(array.values()),
        None => Err(Error::Internal(format!("state column {column} is not Int64"))),
    }
}

fn float64_state(state: &[ArrayRef], column: usize) -> Result<&[f64]> {
    match state.get(column).and_then(|c| c.as_primitive_opt::<Float64Type>()) {
        Some(array) => Ok(array.values()),
        None => Err(Error::Internal(format!("state column {column} is not Float64"))),
    }
}
