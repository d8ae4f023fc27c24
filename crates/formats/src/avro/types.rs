//! Schemas as an arena of nodes: what a cursor needs to know, names resolved. It must not read data.

use std::collections::HashMap;

use apache_avro::Schema;
use apache_avro::schema::{InnerDecimalSchema, UuidSchema};

use super::MAX_SCHEMA_BYTES;
use crate::json::scan::Cursor;

/// What a datum is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Null,
    Boolean,
    /// `int` and `long`.
    Integer,
    Float,
    Double,
    Bytes,
    Text,
    Fixed(usize),
    Enum(Vec<String>),
    /// Bytes, or as many as given; digits after the point.
    Decimal {
        fixed: Option<usize>,
        precision: usize,
        scale: i8,
    },
    /// Sixteen bytes; with a length before them when `prefixed`.
    Uuid {
        prefixed: bool,
    },
    Date,
    /// Its unit is this many nanoseconds.
    Time(i64),
    /// Its unit is this many nanoseconds; `true`: an instant.
    Timestamp(i64, bool),
    Duration,
    Array(usize),
    Map(usize),
    Union(Vec<usize>),
    Record(Vec<Member>),
}

/// A field of a record.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) node: usize,
    /// Its default as JSON.
    pub(super) default: Option<String>,
}

/// Nodes of any number of schemas.
#[derive(Clone, Debug, Default)]
pub(super) struct Types {
    pub(super) nodes: Vec<Node>,
}

impl Types {
    /// Adds the schema that `text` is; returns its root.
    ///
    /// # Errors
    /// Not a schema, or one that is not supported, in words.
    pub(super) fn add(&mut self, text: &str) -> Result<usize, String> {
        if text.len() > MAX_SCHEMA_BYTES {
            return Err(format!("an Avro schema of {} bytes; the limit is {MAX_SCHEMA_BYTES}", text.len()));
        }
        // The parser recurses: the depth is checked before it begins. A schema may be a bare word.
        let mut cursor = Cursor::new(text.as_bytes());
        if text.trim_start().starts_with(['{', '[']) {
            cursor.value().map_err(|fault| format!("not an Avro schema: {}", fault.0))?;
        }
        let schema = Schema::parse_str(text).map_err(|e| format!("not an Avro schema: {e}"))?;
        let before = self.nodes.len();
        let mut names = HashMap::new();
        self.node(&schema, None, &mut names).inspect_err(|_| self.nodes.truncate(before))
    }

    fn push(&mut self, node: Node) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn node(
        &mut self,
        schema: &Schema,
        space: Option<&str>,
        names: &mut HashMap<String, usize>,
    ) -> Result<usize, String> {
        const MILLIS: i64 = 1_000_000;
        const MICROS: i64 = 1_000;
        Ok(match schema {
            Schema::Null => self.push(Node::Null),
            Schema::Boolean => self.push(Node::Boolean),
            Schema::Int | Schema::Long => self.push(Node::Integer),
            Schema::Float => self.push(Node::Float),
            Schema::Double => self.push(Node::Double),
            Schema::Bytes => self.push(Node::Bytes),
            Schema::String | Schema::Uuid(UuidSchema::String) => self.push(Node::Text),
            Schema::Uuid(UuidSchema::Bytes) => self.push(Node::Uuid { prefixed: true }),
            Schema::Uuid(UuidSchema::Fixed(fixed)) => {
                let node = self.push(Node::Uuid { prefixed: false });
                names.insert(fixed.name.fullname(space), node);
                node
            }
            Schema::Date => self.push(Node::Date),
            Schema::TimeMillis => self.push(Node::Time(MILLIS)),
            Schema::TimeMicros => self.push(Node::Time(MICROS)),
            Schema::TimestampMillis => self.push(Node::Timestamp(MILLIS, true)),
            Schema::TimestampMicros => self.push(Node::Timestamp(MICROS, true)),
            Schema::TimestampNanos => self.push(Node::Timestamp(1, true)),
            Schema::LocalTimestampMillis => self.push(Node::Timestamp(MILLIS, false)),
            Schema::LocalTimestampMicros => self.push(Node::Timestamp(MICROS, false)),
            Schema::LocalTimestampNanos => self.push(Node::Timestamp(1, false)),
            Schema::Duration(fixed) => {
                let node = self.push(Node::Duration);
                names.insert(fixed.name.fullname(space), node);
                node
            }
            Schema::Decimal(decimal) => {
                let scale = i8::try_from(decimal.scale).ok().filter(|s| *s <= 38);
                let scale = scale.ok_or_else(|| format!("a decimal of scale {}; 38 is the most", decimal.scale))?;
                let fixed = match &decimal.inner {
                    InnerDecimalSchema::Bytes => None,
                    InnerDecimalSchema::Fixed(fixed) => Some(fixed),
                };
                let (size, precision) = (fixed.map(|f| f.size), decimal.precision);
                let node = self.push(Node::Decimal { fixed: size, precision, scale });
                if let Some(fixed) = fixed {
                    names.insert(fixed.name.fullname(space), node);
                }
                node
            }
            Schema::BigDecimal => return Err("the logical type big-decimal is not supported; use decimal".to_owned()),
            Schema::Fixed(fixed) => {
                let node = self.push(Node::Fixed(fixed.size));
                names.insert(fixed.name.fullname(space), node);
                node
            }
            Schema::Enum(symbols) => {
                let node = self.push(Node::Enum(symbols.symbols.clone()));
                names.insert(symbols.name.fullname(space), node);
                node
            }
            Schema::Array(array) => {
                let item = self.node(&array.items, space, names)?;
                self.push(Node::Array(item))
            }
            Schema::Map(map) => {
                let value = self.node(&map.types, space, names)?;
                self.push(Node::Map(value))
            }
            Schema::Union(union) => {
                let variants: Result<_, String> = union.variants().iter().map(|v| self.node(v, space, names)).collect();
                let variants = variants?;
                self.push(Node::Union(variants))
            }
            Schema::Record(record) => {
                let node = self.push(Node::Record(Vec::new()));
                names.insert(record.name.fullname(space), node);
                let inner = record.name.namespace().or(space);
                let mut members = Vec::with_capacity(record.fields.len());
                for field in &record.fields {
                    let default = field.default.as_ref().map(ToString::to_string);
                    let child = self.node(&field.schema, inner, names)?;
                    members.push(Member { name: field.name.clone(), node: child, default });
                }
                self.nodes[node] = Node::Record(members);
                node
            }
            Schema::Ref { name } => {
                let full = name.fullname(space);
                *names.get(&full).ok_or_else(|| format!("the schema names {full}, which it does not define"))?
            }
        })
    }
}
