//! `Signature`: what SQL needs to know of each function, and the way from a name to a detector. It must not know how
//! a method works.

use std::fmt::Write;
use std::ops::RangeInclusive;

use super::detector::{DetectError, Detector};
use super::{adwin, cusum, ewma, half_space, seasonal, zscore};

/// What SQL needs to know of one function.
#[derive(Debug)]
pub struct Signature {
    /// As it is called in SQL.
    pub name: &'static str,
    /// One sentence for a list of functions.
    pub summary: &'static str,
    /// How many columns it takes before its parameters.
    pub columns: RangeInclusive<usize>,
    /// Its parameters, in their order after the columns.
    pub parameters: &'static [Parameter],
    /// What the result means, and in which unit.
    pub score: &'static str,
    /// From which score on (in magnitude) a row counts as an anomaly; none if the result is not a score.
    pub threshold: Option<f64>,
    pub(super) make: fn(&Given) -> Result<Box<dyn Detector>, DetectError>,
}

/// One parameter of a function.
#[derive(Debug)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// Whether fractions are allowed.
    pub kind: Kind,
    /// What it is if it is not given; none if it must be.
    pub default: Option<f64>,
    /// What is allowed.
    pub range: Range,
    /// What it does, for a person.
    pub doc: &'static str,
}

/// The SQL type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `double precision`.
    Real,
    /// `bigint`.
    Whole,
}

/// The values that a parameter may have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// The least.
    pub least: f64,
    /// The least itself is not allowed.
    pub above: bool,
    /// The most, which is allowed.
    pub most: f64,
}

impl Range {
    pub(super) const fn between(least: f64, most: f64) -> Self {
        Self { least, above: false, most }
    }

    pub(super) const fn above(least: f64, most: f64) -> Self {
        Self { least, above: true, most }
    }
}

impl Parameter {
    pub(super) const fn real(name: &'static str, default: f64, range: Range, doc: &'static str) -> Self {
        Self { name, kind: Kind::Real, default: Some(default), range, doc }
    }

    pub(super) const fn whole(name: &'static str, default: f64, range: Range, doc: &'static str) -> Self {
        Self { name, kind: Kind::Whole, default: Some(default), range, doc }
    }

    fn allows(&self, value: f64) -> bool {
        let Range { least, above, most } = self.range;
        let enough = if above { value > least } else { value >= least };
        // A NaN fails every comparison.
        enough && value <= most && (self.kind == Kind::Real || value.fract() == 0.0)
    }

    fn allowed(&self) -> String {
        let Range { least, above, most } = self.range;
        match (self.kind, above) {
            (Kind::Whole, _) => format!("a whole number from {least} to {most}"),
            (Kind::Real, true) => format!("above {least} and at most {most}"),
            (Kind::Real, false) => format!("from {least} to {most}"),
        }
    }
}

/// What a function was called with: every parameter in its range.
pub(super) struct Given {
    pub(super) signature: &'static Signature,
    pub(super) columns: usize,
    pub(super) parameters: Vec<f64>,
}

impl Given {
    pub(super) fn real(&self, parameter: usize) -> f64 {
        self.parameters[parameter]
    }

    pub(super) fn whole(&self, parameter: usize) -> usize {
        self.parameters[parameter] as usize
    }

    /// That a parameter does not fit the others.
    pub(super) fn refuse(&self, parameter: usize, allowed: String) -> DetectError {
        let name = self.signature.parameters[parameter].name;
        DetectError::Range {
            function: self.signature.name,
            parameter: name,
            allowed,
            given: self.parameters[parameter],
        }
    }
}

static SIGNATURES: [Signature; 9] = [
    zscore::SIGNATURE,
    ewma::SIGNATURE,
    ewma::EXPECTED,
    seasonal::SIGNATURE,
    seasonal::EXPECTED,
    cusum::SIGNATURE,
    cusum::PAGE_HINKLEY,
    adwin::SIGNATURE,
    half_space::SIGNATURE,
];

/// Every function.
pub fn signatures() -> &'static [Signature] {
    &SIGNATURES
}

/// The detector of the function `name` (in lower case) over `columns` columns. Parameters that are `None` or not there
/// have their defaults.
///
/// # Errors
/// No such function, a number of columns or parameters it does not take, a parameter that is missing or out of range.
pub fn build(name: &str, columns: usize, parameters: &[Option<f64>]) -> Result<Box<dyn Detector>, DetectError> {
    let Some(signature) = SIGNATURES.iter().find(|s| s.name == name) else {
        let known = SIGNATURES.iter().map(|s| s.name).collect::<Vec<_>>().join(", ");
        return Err(DetectError::Unknown { name: name.to_owned(), known });
    };
    let function = signature.name;
    if !signature.columns.contains(&columns) {
        return Err(DetectError::Columns { function, takes: count(&signature.columns), given: columns });
    }
    let takes = signature.parameters.len();
    if parameters.len() > takes {
        let names = signature.parameters.iter().map(|p| p.name).collect::<Vec<_>>().join(", ");
        return Err(DetectError::TooMany { function, takes, given: parameters.len(), names });
    }
    let value = |(i, parameter): (usize, &'static Parameter)| {
        let given = parameters.get(i).copied().flatten().or(parameter.default);
        let Parameter { name, doc, .. } = *parameter;
        let given = given.ok_or(DetectError::Missing { function, parameter: name, doc })?;
        if parameter.allows(given) {
            return Ok(given);
        }
        Err(DetectError::Range { function, parameter: name, allowed: parameter.allowed(), given })
    };
    let parameters = signature.parameters.iter().enumerate().map(value).collect::<Result<_, _>>()?;
    (signature.make)(&Given { signature, columns, parameters })
}

fn count(columns: &RangeInclusive<usize>) -> String {
    let mut text = columns.start().to_string();
    if columns.end() > columns.start() {
        write!(text, " to {}", columns.end()).expect("a string takes everything");
    }
    text + if *columns.end() == 1 { " column" } else { " columns" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(name: &str, columns: usize, parameters: &[Option<f64>]) -> String {
        build(name, columns, parameters).err().expect("it is refused").to_string()
    }

    #[test]
    fn errors_name_the_function_the_parameter_and_what_is_allowed() {
        assert_eq!(fault("anomaly_ewma", 1, &[Some(3.0)]), "anomaly_ewma: lambda must be above 0 and at most 1, not 3");
        assert_eq!(
            fault("anomaly_zscore", 1, &[Some(2.5)]),
            "anomaly_zscore: window_rows must be a whole number from 3 to 10000, not 2.5"
        );
        assert_eq!(fault("anomaly_zscore", 2, &[]), "anomaly_zscore: it takes 1 column, not 2");
        assert_eq!(fault("anomaly_half_space", 0, &[]), "anomaly_half_space: it takes 1 to 32 columns, not 0");
        assert!(fault("anomaly_seasonal", 1, &[]).starts_with("anomaly_seasonal: period is missing: "));
        assert!(fault("anomaly_magic", 1, &[]).starts_with("anomaly_magic is not an anomaly function; there are anom"));
        assert!(
            fault("anomaly_cusum", 1, &[None; 9]).starts_with("anomaly_cusum: it takes at most 3 parameters, not 9")
        );
        assert!(fault("anomaly_cusum", 1, &[Some(f64::NAN)]).ends_with("not NaN"));
    }

    #[test]
    fn every_default_is_in_its_range() {
        for signature in signatures() {
            for parameter in signature.parameters {
                assert!(parameter.default.is_none_or(|d| parameter.allows(d)), "{} {}", signature.name, parameter.name);
            }
        }
    }
}
