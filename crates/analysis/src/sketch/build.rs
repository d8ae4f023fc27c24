//! From a call's name, type and parameters to its state. It must not know SQL text.

use arrow::datatypes::DataType;

use super::SketchError;
use super::aggregates::{CountDistinct, Membership, Merging, Percentile, TopTexts, TopWords};
use super::filter::Filter;
use super::groups::{GroupSketches, Grouped};
use super::signatures::{Role, Signature, signatures};
use super::tag::Tag;

/// The state of one aggregate call: `function` over a column of type `argument`, with the constants that follow the
/// column in the call; those left out at the end take their defaults.
///
/// # Errors
/// No such aggregate, a type that it does not take, a parameter that is missing, superfluous or out of its range.
pub fn build(function: &str, argument: &DataType, parameters: &[f64]) -> Result<Box<dyn GroupSketches>, SketchError> {
    let signature = signature(function, Role::Aggregate)?;
    accepted(signature, std::slice::from_ref(argument))?;
    let values = parameter_values(signature, parameters)?;
    let as_bytes = signature.result == DataType::Binary;
    let first = values.first().copied().unwrap_or(0.0);
    Ok(match signature.name {
        "approx_count_distinct" | "hll_sketch" => {
            Box::new(Grouped::new(CountDistinct { precision: first as u8, hashes: Vec::new() }, as_bytes))
        }
        "approx_percentile" => {
            let aggregate = Percentile { k: values[1] as u16, fraction: first, keys: Vec::new() };
            Box::new(Grouped::new(aggregate, as_bytes))
        }
        "quantile_sketch" => {
            Box::new(Grouped::new(Percentile { k: first as u16, fraction: 0.5, keys: Vec::new() }, as_bytes))
        }
        "approx_top_k" | "top_k_sketch" => top(signature.name, argument, first as u16, as_bytes)?,
        "bloom_sketch" => {
            let empty = Filter::sized(first as u32, values[1])?;
            Box::new(Grouped::new(Membership { empty, hashes: Vec::new() }, as_bytes))
        }
        _ => Box::new(Merging::default()),
    })
}

fn top(
    function: &'static str,
    argument: &DataType,
    k: u16,
    as_bytes: bool,
) -> Result<Box<dyn GroupSketches>, SketchError> {
    let tag = Tag::of_type(argument).ok_or_else(|| SketchError::Type {
        function,
        found: argument.to_string(),
        accepted: super::signatures::HASHABLE,
    })?;
    Ok(match tag.is_word() {
        true => Box::new(Grouped::new(TopWords { tag, k, words: Vec::new() }, as_bytes)),
        false => Box::new(Grouped::new(TopTexts { tag, k }, as_bytes)),
    })
}

/// The function of this name and role.
///
/// # Errors
/// There is none.
pub(crate) fn signature(function: &str, role: Role) -> Result<&'static Signature, SketchError> {
    let found = signatures().iter().find(|s| s.name == function && s.role == role);
    found.ok_or_else(|| SketchError::UnknownFunction(function.to_owned()))
}

/// # Errors
/// Too few or too many columns, or a type that the function does not take.
pub(crate) fn accepted(signature: &Signature, found: &[DataType]) -> Result<(), SketchError> {
    if found.len() != signature.arguments.len() {
        let expected = if signature.arguments.len() == 1 { "one column" } else { "two columns" };
        return Err(SketchError::Arguments { function: signature.name, expected, found: found.len() });
    }
    for (accepts, found) in signature.arguments.iter().zip(found) {
        if !accepts.takes(found) {
            let (found, accepted) = (found.to_string(), accepts.words());
            return Err(SketchError::Type { function: signature.name, found, accepted });
        }
    }
    Ok(())
}

/// The parameters with defaults filled in.
///
/// # Errors
/// One is missing, superfluous or out of its range.
pub(crate) fn parameter_values(signature: &Signature, given: &[f64]) -> Result<Vec<f64>, SketchError> {
    let function = signature.name;
    if given.len() > signature.parameters.len() {
        return Err(SketchError::Arguments { function, expected: "fewer parameters", found: given.len() });
    }
    let each = signature.parameters.iter().enumerate();
    each.map(|(i, p)| {
        let given = given.get(i).copied().or(p.default);
        let value = given.ok_or(SketchError::Arguments { function, expected: "more parameters", found: i })?;
        if (p.least..=p.most).contains(&value) && (!p.whole || value.fract() == 0.0) {
            return Ok(value);
        }
        let whole = if p.whole { "a whole number " } else { "" };
        Err(SketchError::Parameter { function, name: p.name, value, whole, least: p.least, most: p.most })
    })
    .collect()
}
