//! What SQL is told of the sketch functions: names, arguments, parameters, results, bounds. It must not know how they work.

use arrow::datatypes::DataType;

use super::limits::{
    DEFAULT_CONFIDENCE, DEFAULT_PRECISION, DEFAULT_QUANTILE_K, LEAST_FALSE_POSITIVE_RATE, LEAST_PRECISION,
    LEAST_QUANTILE_K, MOST_CONFIDENCE, MOST_EXPECTED_ITEMS, MOST_FALSE_POSITIVE_RATE, MOST_PRECISION, MOST_QUANTILE_K,
    MOST_TOP_K,
};

pub(crate) const HASHABLE: &str = "a number, text, bytea, date, timestamp or boolean";
pub(crate) const ORDERED: &str = "a number, date or timestamp";
pub(crate) const SKETCH: &str = "a sketch (bytea)";
pub(crate) const FRACTION: &str = "a fraction from 0 to 1 (double precision)";

/// A function of SQL over sketches.
#[derive(Clone, Debug)]
pub struct Signature {
    /// SQL name.
    pub name: &'static str,
    /// How it is called.
    pub role: Role,
    /// Columns, in order.
    pub arguments: &'static [Accepts],
    /// Constants that follow the columns, in order.
    pub parameters: &'static [Parameter],
    /// Arrow type of the result: `Utf8` stands for jsonb text.
    pub result: DataType,
    /// What it gives, a sentence.
    pub doc: &'static str,
    /// How far the result may be off, and with what confidence.
    pub error_bound: &'static str,
}

/// How a function is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Over the rows of a group: [`build`](super::build).
    Aggregate,
    /// On each row: [`call`](super::call).
    Scalar,
}

/// What a column may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepts {
    /// smallint to bigint, real, double, numeric, text, bytea, date, timestamp, boolean.
    Hashable,
    /// smallint to bigint, real, double, numeric, date, timestamp.
    Ordered,
    /// The bytea of a sketch function.
    Sketch,
    /// double precision from 0 to 1.
    Fraction,
}

impl Accepts {
    /// Whether a column of this type may be given.
    pub fn takes(self, found: &DataType) -> bool {
        let binary = matches!(found, DataType::Binary | DataType::LargeBinary | DataType::BinaryView);
        let float = matches!(found, DataType::Float32 | DataType::Float64);
        let ordered = found.is_integer()
            || float
            || matches!(found, DataType::Decimal128(_, _) | DataType::Date32 | DataType::Date64)
            || matches!(found, DataType::Timestamp(_, _));
        let text = matches!(found, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Boolean);
        match self {
            Self::Hashable => ordered || text || binary,
            Self::Ordered => ordered,
            Self::Sketch => binary,
            Self::Fraction => float,
        }
    }

    /// In SQL's words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Hashable => HASHABLE,
            Self::Ordered => ORDERED,
            Self::Sketch => SKETCH,
            Self::Fraction => FRACTION,
        }
    }
}

/// A constant of a call.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Its name in the documentation.
    pub name: &'static str,
    /// It must be a whole number.
    pub whole: bool,
    /// Its value if it is left out; `None`: it must be given.
    pub default: Option<f64>,
    /// Least value.
    pub least: f64,
    /// Greatest value.
    pub most: f64,
}

const PRECISION: Parameter = Parameter {
    name: "precision",
    whole: true,
    default: Some(DEFAULT_PRECISION as f64),
    least: LEAST_PRECISION as f64,
    most: MOST_PRECISION as f64,
};
const QUANTILE_K: Parameter = Parameter {
    name: "k",
    whole: true,
    default: Some(DEFAULT_QUANTILE_K as f64),
    least: LEAST_QUANTILE_K as f64,
    most: MOST_QUANTILE_K as f64,
};
const AT: Parameter = Parameter { name: "fraction", whole: false, default: None, least: 0.0, most: 1.0 };
const TOP_K: Parameter = Parameter { name: "k", whole: true, default: None, least: 1.0, most: MOST_TOP_K as f64 };
const ITEMS: Parameter =
    Parameter { name: "expected_items", whole: true, default: None, least: 1.0, most: MOST_EXPECTED_ITEMS as f64 };
const RATE: Parameter = Parameter {
    name: "false_positive_rate",
    whole: false,
    default: None,
    least: LEAST_FALSE_POSITIVE_RATE,
    most: MOST_FALSE_POSITIVE_RATE,
};
const CONFIDENCE: Parameter = Parameter {
    name: "confidence",
    whole: false,
    default: Some(DEFAULT_CONFIDENCE),
    least: 0.0,
    most: MOST_CONFIDENCE,
};

const DISTINCT_BOUND: &str =
    "relative error 2.08 / sqrt(2^precision) with 95 % (3.2 % by default); nearly exact below 2^precision / 11 values";
const RANK_BOUND: &str = "rank within 2.296 / k^0.9723 of the rows with 99 % (1.33 % by default); exact up to k rows";
const COUNT_BOUND: &str =
    "counts short by at most rows / (max(16 k, 256) + 1), always; exact up to twice max(16 k, 256) values";
const MEMBER_BOUND: &str =
    "never denies a value that was added; claims another with false_positive_rate, up to expected_items";
const OWN_BOUND: &str = "that of the sketch: see sketch_error";
const EXACT: &str = "exact";

const fn aggregate(
    name: &'static str,
    arguments: &'static [Accepts],
    parameters: &'static [Parameter],
    result: DataType,
    doc: &'static str,
    error_bound: &'static str,
) -> Signature {
    Signature { name, role: Role::Aggregate, arguments, parameters, result, doc, error_bound }
}

const fn scalar(
    name: &'static str,
    arguments: &'static [Accepts],
    parameters: &'static [Parameter],
    result: DataType,
    doc: &'static str,
    error_bound: &'static str,
) -> Signature {
    Signature { name, role: Role::Scalar, arguments, parameters, result, doc, error_bound }
}

use Accepts::{Fraction, Hashable, Ordered, Sketch};
use DataType::{Binary, Boolean, Float64, Int64, Utf8};

static SIGNATURES: [Signature; 17] = [
    aggregate(
        "approx_count_distinct",
        &[Hashable],
        &[PRECISION],
        Int64,
        "How many different values there are, about.",
        DISTINCT_BOUND,
    ),
    aggregate(
        "approx_percentile",
        &[Ordered],
        &[AT, QUANTILE_K],
        Float64,
        "The value that this fraction of the rows does not exceed (as percentile_disc), about; dates and timestamps as seconds since 1970-01-01 UTC; NULL without rows.",
        RANK_BOUND,
    ),
    aggregate(
        "approx_top_k",
        &[Hashable],
        &[TOP_K],
        Utf8,
        "The k most frequent values as jsonb: [{\"value\", \"lower\", \"upper\"}, ...]; NULL without rows.",
        COUNT_BOUND,
    ),
    aggregate("hll_sketch", &[Hashable], &[PRECISION], Binary, "A sketch of the different values.", DISTINCT_BOUND),
    aggregate("quantile_sketch", &[Ordered], &[QUANTILE_K], Binary, "A sketch of the values' order.", RANK_BOUND),
    aggregate("top_k_sketch", &[Hashable], &[TOP_K], Binary, "A sketch of the most frequent values.", COUNT_BOUND),
    aggregate(
        "bloom_sketch",
        &[Hashable],
        &[ITEMS, RATE],
        Binary,
        "A Bloom filter of the values, for sketch_contains.",
        MEMBER_BOUND,
    ),
    aggregate(
        "sketch_merge",
        &[Sketch],
        &[],
        Binary,
        "The sketch of everything that the sketches saw; NULL without sketches.",
        OWN_BOUND,
    ),
    scalar("sketch_union", &[Sketch, Sketch], &[], Binary, "The sketch of everything that both saw.", OWN_BOUND),
    scalar(
        "sketch_estimate",
        &[Sketch],
        &[],
        Float64,
        "Number of different values (hll_sketch, bloom_sketch) or of rows (quantile_sketch, top_k_sketch).",
        OWN_BOUND,
    ),
    scalar("sketch_lower", &[Sketch], &[CONFIDENCE], Float64, "Lower bound of sketch_estimate.", OWN_BOUND),
    scalar("sketch_upper", &[Sketch], &[CONFIDENCE], Float64, "Upper bound of sketch_estimate.", OWN_BOUND),
    scalar(
        "sketch_error",
        &[Sketch],
        &[],
        Float64,
        "How far the sketch may be off, at 95 %: relative error of the count (hll_sketch), share of the rows (quantile_sketch, top_k_sketch), false-positive rate (bloom_sketch).",
        EXACT,
    ),
    scalar(
        "sketch_percentile",
        &[Sketch, Fraction],
        &[],
        Float64,
        "The value that this fraction of the rows does not exceed; NULL without rows.",
        RANK_BOUND,
    ),
    scalar(
        "sketch_contains",
        &[Sketch, Hashable],
        &[],
        Boolean,
        "Whether the value may be among those added.",
        MEMBER_BOUND,
    ),
    scalar(
        "sketch_top",
        &[Sketch],
        &[],
        Utf8,
        "The most frequent values as jsonb, as approx_top_k gives them.",
        COUNT_BOUND,
    ),
    scalar(
        "sketch_describe",
        &[Sketch],
        &[],
        Utf8,
        "What the sketch is, as jsonb: kind, parameters, counts, errors.",
        EXACT,
    ),
];

/// Every sketch function of SQL.
pub fn signatures() -> &'static [Signature] {
    &SIGNATURES
}
