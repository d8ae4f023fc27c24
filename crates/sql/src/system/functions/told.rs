//! A function of the tables as the planner wants it. It must not know what it computes.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{internal_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};
use datafusion::scalar::ScalarValue;
use thalweg_core::PG_TYPE;

use super::call::{Call, Entry, Returns};
use crate::system::cell::{Cell, array, cells};
use crate::system::scope::Scope;
use crate::system::types;

#[derive(Debug)]
struct Told {
    entry: &'static Entry,
    scope: Arc<Scope>,
    signature: Signature,
}

pub(super) fn function(entry: &'static Entry, scope: Arc<Scope>) -> ScalarUDF {
    let counts = entry.arguments.clone().map(|count| match count {
        0 => TypeSignature::Nullary,
        count => TypeSignature::Any(count),
    });
    let signature = Signature::one_of(counts.collect(), Volatility::Stable);
    ScalarUDF::from(Told { entry, scope, signature })
}

impl PartialEq for Told {
    fn eq(&self, other: &Self) -> bool {
        self.entry.name == other.entry.name && Arc::ptr_eq(&self.scope, &other.scope)
    }
}

impl Eq for Told {}

impl Hash for Told {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.entry.name.hash(state);
    }
}

impl ScalarUDFImpl for Told {
    fn name(&self) -> &str {
        self.entry.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        internal_err!("return_field_from_args is asked instead")
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let first = || match args.arg_fields.first() {
            Some(field) => Ok(field),
            None => plan_err!("{} needs an argument", self.entry.name),
        };
        let name = self.entry.name;
        Ok(match self.entry.returns {
            Returns::Type(of) => types::field(name, of),
            Returns::First => Arc::new(first()?.as_ref().clone().with_name(name).with_nullable(true)),
            Returns::Element => match first()?.data_type() {
                DataType::List(item) => Arc::new(item.as_ref().clone().with_name(name).with_nullable(true)),
                other => return plan_err!("cannot subscript type {other} because it does not support subscripting"),
            },
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let named = args.arg_fields.iter().map(|field| field.metadata().get(PG_TYPE).cloned());
        let named: Vec<Option<String>> = named.collect();
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let count = if constant { 1 } else { args.number_rows };
        let columns = args.args.iter().map(|arg| cells(&arg.to_array(count)?)).collect::<Result<Vec<_>>>()?;
        let mut out: Vec<Cell> = Vec::with_capacity(count);
        let mut row = vec![Cell::Null; columns.len()];
        for at in 0..count {
            for (value, column) in row.iter_mut().zip(&columns) {
                value.clone_from(&column[at]);
            }
            out.push((self.entry.run)(&Call { scope: &self.scope, args: &row, types: &named })?);
        }
        let out: ArrayRef = array(args.return_field.data_type(), &out)?;
        Ok(if constant {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&out, 0)?)
        } else {
            ColumnarValue::Array(out)
        })
    }
}
