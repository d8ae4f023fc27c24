//! Data to the columns that their fields name. It must not know envelopes or keys.

use std::collections::HashMap;

use thalweg_core::{Error, Result};

use super::datum::Datum;
use super::types::{Node, Types};
use super::{AvroReader, unframe};
use crate::column::{Column, Values};
use crate::json::{Fields, fill_value};
use crate::record::Reason;
use crate::record::debezium::{Change, Part};
use crate::value::Fault;

/// Fills columns from Avro data.
#[derive(Debug)]
pub(crate) struct AvroBody {
    framed: bool,
    types: Types,
    /// The roots of the schemas that are known, or why one cannot be had.
    roots: HashMap<u32, Result<usize, String>>,
    /// The root of data that are not framed.
    fixed: usize,
    /// Per record type, which column each field fills.
    targets: HashMap<usize, Targets>,
    fields: Fields,
    /// Fields of the reader's schema with a default, as JSON.
    defaults: Vec<(String, String)>,
    scratch: Vec<u8>,
}

#[derive(Clone, Debug)]
struct Targets {
    columns: Box<[Option<usize>]>,
    /// Columns that the type has no field for, and their default.
    defaults: Box<[(usize, String)]>,
}

impl AvroBody {
    /// Fields fill the columns that `fields` names.
    pub(crate) fn new(reader: &AvroReader, fields: Fields) -> Result<Self> {
        let mut types = Types::default();
        let invalid = |text| Error::invalid(format!("the reader's schema: {text}"));
        let fixed = match &reader.schema {
            Some(schema) => Some(types.add(schema).map_err(invalid)?),
            None if reader.framed => None,
            None => return Err(Error::Internal("Avro data without a schema".to_owned())),
        };
        let mut defaults = Vec::new();
        if let Some(Node::Record(members)) = fixed.map(|f| &types.nodes[f]) {
            let with = |m: &super::types::Member| Some((m.name.clone(), m.default.clone()?));
            defaults.extend(members.iter().filter_map(with).filter(|(_, d)| d != "null"));
        }
        Ok(Self {
            framed: reader.framed,
            types,
            roots: HashMap::new(),
            fixed: fixed.unwrap_or(0),
            targets: HashMap::new(),
            fields,
            defaults,
            scratch: Vec::new(),
        })
    }

    /// The id of the schema of `value`, if it is not known yet.
    pub(crate) fn missing_schema(&self, value: &[u8]) -> Option<u32> {
        let (id, _) = if self.framed { unframe(value)? } else { return None };
        (!self.roots.contains_key(&id)).then_some(id)
    }

    /// Makes a schema known, or why it cannot be had.
    pub(crate) fn add_schema(&mut self, id: u32, text: Result<&str, String>) {
        let root = text.and_then(|text| self.types.add(text));
        self.roots.insert(id, root);
    }

    /// The datum that `value` holds.
    pub(crate) fn whole<'a>(&mut self, value: &'a [u8]) -> Result<Part<'a>, Reason> {
        if !self.framed {
            return Ok(Part { bytes: value, node: self.fixed });
        }
        let (id, bytes) = unframe(value).ok_or(Fault("not framed: a zero byte and a schema's id must come first"))?;
        match self.roots.get(&id) {
            Some(Ok(root)) => Ok(Part { bytes, node: *root }),
            Some(Err(reason)) => Err(Reason::new(format!("schema {id}: {reason}"))),
            None => Err(Reason::new(format!("schema {id} is not known"))),
        }
    }

    /// The change that a datum of Debezium's envelope describes.
    pub(crate) fn change<'a>(&self, whole: Part<'a>) -> Result<Change<'a>, Reason> {
        let Node::Record(members) = &self.types.nodes[whole.node] else {
            return Err(Fault("not an envelope of Debezium: the schema is no record").into());
        };
        let mut change = Change { op: 0, before: None, after: None };
        let mut datum = Datum::new(whole.bytes);
        for member in members {
            match member.name.as_str() {
                "before" => change.before = self.row_of(&mut datum, member.node)?,
                "after" => change.after = self.row_of(&mut datum, member.node)?,
                "op" => {
                    let start = datum.at();
                    datum.skip(&self.types, member.node, 0)?;
                    // One letter, with its length before it; perhaps in a union.
                    change.op = datum.since(start).last().copied().unwrap_or(0);
                }
                _ => datum.skip(&self.types, member.node, 0)?,
            }
        }
        Ok(change)
    }

    fn row_of<'a>(&self, datum: &mut Datum<'a>, node: usize) -> Result<Option<Part<'a>>, Fault> {
        let node = match &self.types.nodes[node] {
            Node::Union(variants) => datum.variant(variants)?,
            _ => node,
        };
        let start = datum.at();
        datum.skip(&self.types, node, 0)?;
        let null = self.types.nodes[node] == Node::Null;
        Ok((!null).then_some(Part { bytes: datum.since(start), node }))
    }

    /// Fills the row `row` of what columns `part` has; returns how many.
    pub(crate) fn fill(&mut self, part: Part<'_>, columns: &mut [Column], row: usize) -> Result<usize, Reason> {
        if !self.targets.contains_key(&part.node) {
            let targets = self.targets_of(part.node)?;
            self.targets.insert(part.node, targets);
        }
        let targets = &self.targets[&part.node];
        let Node::Record(members) = &self.types.nodes[part.node] else {
            return Err(Fault("the Avro schema is no record").into());
        };
        let mut datum = Datum::new(part.bytes);
        let mut filled = 0;
        for (member, target) in members.iter().zip(&targets.columns) {
            match target {
                None => datum.skip(&self.types, member.node, 0)?,
                Some(c) => {
                    columns[*c].truncate(row);
                    fill(&self.types, &mut datum, member.node, &mut columns[*c], &mut self.scratch)
                        .map_err(|fault| Reason::at(*c, fault))?;
                    filled += 1;
                }
            }
        }
        if !datum.ended() {
            return Err(Fault("bytes follow the Avro datum: it was written with another schema").into());
        }
        for (c, default) in &targets.defaults {
            if columns[*c].len() == row {
                fill_value(&mut columns[*c], default.as_bytes(), &mut self.scratch).map_err(|f| Reason::at(*c, f))?;
                filled += 1;
            }
        }
        Ok(filled)
    }

    /// `part` has fields.
    pub(crate) fn is_record(&self, part: Part<'_>) -> bool {
        matches!(self.types.nodes[part.node], Node::Record(_))
    }

    /// Appends all of `part` to one column.
    pub(crate) fn fill_one(&mut self, part: Part<'_>, column: &mut Column) -> Result<(), Fault> {
        let mut datum = Datum::new(part.bytes);
        fill(&self.types, &mut datum, part.node, column, &mut self.scratch)?;
        if datum.ended() { Ok(()) } else { Err(Fault("bytes follow the Avro datum")) }
    }

    fn targets_of(&self, node: usize) -> Result<Targets, Fault> {
        let Node::Record(members) = &self.types.nodes[node] else { return Err(Fault("the Avro schema is no record")) };
        let columns: Box<[Option<usize>]> = members.iter().map(|m| self.fields.column(&m.name)).collect();
        let missing = |(name, default): &(String, String)| {
            let column = self.fields.column(name)?;
            (!columns.contains(&Some(column))).then(|| (column, default.clone()))
        };
        let defaults = self.defaults.iter().filter_map(missing).collect();
        Ok(Targets { columns, defaults })
    }
}

/// The value of `node` that is next into a column.
fn fill(
    types: &Types,
    datum: &mut Datum<'_>,
    node: usize,
    column: &mut Column,
    scratch: &mut Vec<u8>,
) -> Result<(), Fault> {
    let mut node = &types.nodes[node];
    // A union directly in a union is not allowed, yet a name may lead to one.
    for _ in 0..4 {
        let Node::Union(variants) = node else { break };
        node = &types.nodes[datum.variant(variants)?];
    }
    if let Some(scalar) = datum.scalar(node)? {
        return scalar.push(column);
    }
    if let Some(text) = datum.special(node)? {
        return crate::scalar::Scalar::Text(&text).push(column);
    }
    match (&mut column.values, node) {
        (Values::List { offsets, item, .. }, Node::Array(inner)) => {
            while let Some(count) = datum.block()? {
                for _ in 0..count {
                    fill(types, datum, *inner, item, scratch)?;
                }
            }
            offsets.push(i32::try_from(item.len()).map_err(|_| Fault("too many items in a batch"))?);
            column.grown();
            Ok(())
        }
        (Values::Text { .. }, Node::Array(_) | Node::Map(_) | Node::Record(_)) => {
            scratch.clear();
            datum.json_node(types, node, 0, scratch)?;
            column.push_text(scratch)
        }
        _ => Err(Fault("a nested value fits only a column of type varchar or jsonb")),
    }
}
