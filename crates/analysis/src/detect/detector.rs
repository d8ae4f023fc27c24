//! `Detector`: what an engine holds of an anomaly function, for all keys at once. It must not know any method.

use arrow::array::{BinaryArray, Float64Array, Float64Builder};

/// The state of one detector for every key. Keys are dense numbers given by the caller and used again after `forget`;
/// they mean nothing else, so a state may be loaded under another number than it was saved under.
pub trait Detector: Send {
    /// Scores rows in order: row `i` belongs to `keys[i]`, happened at `times[i]` (µs since 1970), and has the inputs
    /// `inputs[c].value(i)`. The rows of a key come in the order of their times. Appends `keys.len()` values to `out`:
    /// NULL during warm-up, and for a row with a NULL or non-finite input, which changes nothing.
    ///
    /// # Panics
    /// `times` or a column is not as long as `keys`, or the number of columns is not that of `build`.
    fn score(&mut self, keys: &[u32], times: &[i64], inputs: &[Float64Array], out: &mut Float64Builder);

    /// One state for each of `keys`: little-endian bytes with a version and a checksum. NULL where no row was learnt.
    fn save(&self, keys: &[u32]) -> BinaryArray;

    /// Gives each of `keys` the state that was saved for it; NULL forgets it. On an error nothing is changed.
    ///
    /// # Errors
    /// A state is damaged, or was saved by another version, function, number of columns or parameter.
    fn load(&mut self, keys: &[u32], states: &BinaryArray) -> Result<(), DetectError>;

    /// Drops the states of `keys`, whose numbers may then be used for others.
    fn forget(&mut self, keys: &[u32]);

    /// Bytes of memory held.
    fn bytes(&self) -> usize;
}

/// Why a detector was not built or loaded.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DetectError {
    /// There is no function of that name.
    #[error("{name} is not an anomaly function; there are {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// The number of columns does not fit.
    #[error("{function}: it takes {takes}, not {given}")]
    Columns {
        /// Of which function.
        function: &'static str,
        /// How many it takes, in words.
        takes: String,
        /// How many there were.
        given: usize,
    },
    /// More parameters than the function has.
    #[error("{function}: it takes at most {takes} parameters, not {given}: {names}")]
    TooMany {
        /// Of which function.
        function: &'static str,
        /// How many it has.
        takes: usize,
        /// How many there were.
        given: usize,
        /// What they are called, in order.
        names: String,
    },
    /// A parameter without a default was not given.
    #[error("{function}: {parameter} is missing: {doc}")]
    Missing {
        /// Of which function.
        function: &'static str,
        /// Which.
        parameter: &'static str,
        /// What it is.
        doc: &'static str,
    },
    /// A parameter is outside its range.
    #[error("{function}: {parameter} must be {allowed}, not {given}")]
    Range {
        /// Of which function.
        function: &'static str,
        /// Which.
        parameter: &'static str,
        /// The range in words.
        allowed: String,
        /// What was given.
        given: f64,
    },
    /// A saved state cannot be read.
    #[error("{function}: saved state {row} cannot be used: {fault}")]
    State {
        /// Of which function.
        function: &'static str,
        /// Its place among the saved states, from 0.
        row: usize,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// Not as many states as keys.
    #[error("{function}: {keys} keys cannot be given {states} saved states")]
    Lengths {
        /// Of which function.
        function: &'static str,
        /// How many keys.
        keys: usize,
        /// How many states.
        states: usize,
    },
}
