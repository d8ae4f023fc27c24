//! `SketchError`: what went wrong with a sketch, where, and how to mend it. It must not carry users' values.

/// A failed call on sketches.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SketchError {
    /// The name is not in [`signatures`](super::signatures).
    #[error("function {0}() is not a sketch function")]
    UnknownFunction(String),
    /// The column's type is not accepted.
    #[error("{function}() does not take {found}: give it {accepted}, or cast")]
    Type {
        /// SQL name of the function.
        function: &'static str,
        /// The Arrow type found.
        found: String,
        /// What is accepted, in SQL's words.
        accepted: &'static str,
    },
    /// Too few or too many arguments or parameters.
    #[error("{function}() was given {found} arguments: it takes {expected}")]
    Arguments {
        /// SQL name of the function.
        function: &'static str,
        /// How many it takes.
        expected: &'static str,
        /// How many there were.
        found: usize,
    },
    /// A parameter is out of its range.
    #[error("{function}(): {name} is {value}, it must be {whole}between {least} and {most}")]
    Parameter {
        /// SQL name of the function.
        function: &'static str,
        /// Name of the parameter.
        name: &'static str,
        /// The value found.
        value: f64,
        /// `"a whole number "` if it must be one.
        whole: &'static str,
        /// Least value.
        least: f64,
        /// Greatest value.
        most: f64,
    },
    /// The bytes are no sketch of ours, or not whole.
    #[error("these bytes are not a sketch: {0}; use the bytes of a sketch function as they are")]
    Damaged(&'static str),
    /// Sketches of different kinds, or of kinds that cannot be joined.
    #[error("cannot merge a sketch of {right} into one of {left}: merge sketches of one function and one type")]
    Kinds {
        /// What the receiving sketch is.
        left: &'static str,
        /// What the other one is.
        right: &'static str,
    },
    /// Bloom filters of different sizes cannot be joined.
    #[error(
        "cannot merge Bloom filters of different sizes: give bloom_sketch() the same expected_items and false_positive_rate"
    )]
    Filters,
    /// The function asks something that this kind of sketch does not know.
    #[error("{function}() does not work on a sketch of {kind}: make the sketch with {mend}")]
    WrongKind {
        /// SQL name of the function.
        function: &'static str,
        /// What the sketch is.
        kind: &'static str,
        /// The function that makes the right kind.
        mend: &'static str,
    },
    /// A text or bytea is too long to be counted.
    #[error("a value of {bytes} bytes is too long for top_k: the limit is {limit} bytes; count left(x, n) or md5(x)")]
    ValueTooLong {
        /// Its length, bytes.
        bytes: usize,
        /// The limit, bytes.
        limit: usize,
    },
    /// The sketch would be larger than allowed.
    #[error(
        "a sketch of {bytes} bytes is above the limit of {limit} bytes: expect fewer items or allow a larger error"
    )]
    TooLarge {
        /// Its size, bytes.
        bytes: usize,
        /// The limit, bytes.
        limit: usize,
    },
    /// More bytes at once than one Arrow array can hold.
    #[error("sketches of more than {limit} bytes at once: ask for fewer groups a call")]
    TooManyBytes {
        /// The limit, bytes.
        limit: usize,
    },
    /// Arrays of one call have different lengths: a defect of the caller.
    #[error("internal error: {0} rows beside {1}; please report it")]
    Rows(usize, usize),
}
