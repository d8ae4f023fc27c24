//! The three tables: their columns and how events become Arrow columns. It must not know options, splits or files.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray, StringViewBuilder, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use nexmark::event::{Auction, Bid, Event, EventType, Person};
use thalweg_core::{Error, Result};

/// One of the benchmark's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// A person registers.
    Person,
    /// A person opens an auction.
    Auction,
    /// A person bids on an auction.
    Bid,
}

use DataType::{Int64, Utf8View};

/// Times have microseconds as everywhere, filled with the generator's milliseconds.
const TIME: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

const PERSON: &[(&str, DataType)] = &[
    ("id", Int64),
    ("name", Utf8View),
    ("email_address", Utf8View),
    ("credit_card", Utf8View),
    ("city", Utf8View),
    ("state", Utf8View),
    ("date_time", TIME),
    ("extra", Utf8View),
];

const AUCTION: &[(&str, DataType)] = &[
    ("id", Int64),
    ("item_name", Utf8View),
    ("description", Utf8View),
    ("initial_bid", Int64),
    ("reserve", Int64),
    ("date_time", TIME),
    ("expires", TIME),
    ("seller", Int64),
    ("category", Int64),
    ("extra", Utf8View),
];

const BID: &[(&str, DataType)] = &[
    ("auction", Int64),
    ("bidder", Int64),
    ("price", Int64),
    ("channel", Utf8View),
    ("url", Utf8View),
    ("date_time", TIME),
    ("extra", Utf8View),
];

/// How text columns are laid out: views inside the engine, plain for files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Text {
    View,
    Plain,
}

impl Table {
    /// The three, in the order in which an event of each can first occur.
    pub const ALL: [Table; 3] = [Table::Person, Table::Auction, Table::Bid];

    /// The name in SQL and of the folder with its files.
    pub fn name(self) -> &'static str {
        match self {
            Table::Person => "person",
            Table::Auction => "auction",
            Table::Bid => "bid",
        }
    }

    /// All columns, as the source yields them.
    pub fn schema(self) -> SchemaRef {
        self.schema_with(Text::View)
    }

    pub(super) fn schema_with(self, text: Text) -> SchemaRef {
        let fields = self.columns().iter().map(|(name, kind)| {
            let plain = text == Text::Plain && *kind == Utf8View;
            Field::new(*name, if plain { DataType::Utf8 } else { kind.clone() }, true)
        });
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    /// The position of column `name` for a column declared as `declared`.
    ///
    /// # Errors
    /// There is no such column, or it has another type.
    pub(super) fn column(self, name: &str, declared: &DataType) -> Result<usize> {
        let columns = self.columns();
        let Some(at) = columns.iter().position(|(known, _)| known.eq_ignore_ascii_case(name)) else {
            let known: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
            return Err(Error::invalid_with_hint(
                format!("nexmark table {} has no column {name}", self.name()),
                format!("Its columns are {}.", known.join(", ")),
            ));
        };
        let (_, kind) = &columns[at];
        if kind != declared {
            let spelt = match kind {
                Int64 => "BIGINT",
                Utf8View => "VARCHAR",
                _ => "TIMESTAMP",
            };
            return Err(Error::invalid_with_hint(
                format!("column {name} of nexmark table {} is not of the declared type", self.name()),
                format!("Declare it as {name} {spelt}."),
            ));
        }
        Ok(at)
    }

    pub(super) fn kind(self) -> EventType {
        match self {
            Table::Person => EventType::Person,
            Table::Auction => EventType::Auction,
            Table::Bid => EventType::Bid,
        }
    }

    fn columns(self) -> &'static [(&'static str, DataType)] {
        match self {
            Table::Person => PERSON,
            Table::Auction => AUCTION,
            Table::Bid => BID,
        }
    }
}

/// Events of one table, gathered to be turned into columns.
#[derive(Debug)]
pub(super) enum Rows {
    Person(Vec<Person>),
    Auction(Vec<Auction>),
    Bid(Vec<Bid>),
}

impl Rows {
    pub fn new(table: Table, capacity: usize) -> Self {
        match table {
            Table::Person => Rows::Person(Vec::with_capacity(capacity)),
            Table::Auction => Rows::Auction(Vec::with_capacity(capacity)),
            Table::Bid => Rows::Bid(Vec::with_capacity(capacity)),
        }
    }

    /// Adds an event of this table; an event of another table is not taken.
    pub fn push(&mut self, event: Event) {
        match (self, event) {
            (Rows::Person(rows), Event::Person(person)) => rows.push(person),
            (Rows::Auction(rows), Event::Auction(auction)) => rows.push(auction),
            (Rows::Bid(rows), Event::Bid(bid)) => rows.push(bid),
            _ => debug_assert!(false, "the sequence is filtered by type"),
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Rows::Person(rows) => rows.len(),
            Rows::Auction(rows) => rows.len(),
            Rows::Bid(rows) => rows.len(),
        }
    }

    pub fn clear(&mut self) {
        match self {
            Rows::Person(rows) => rows.clear(),
            Rows::Auction(rows) => rows.clear(),
            Rows::Bid(rows) => rows.clear(),
        }
    }

    /// Column `at` of the table.
    pub fn column(&self, at: usize, text: Text) -> ArrayRef {
        match self {
            Rows::Person(rows) => match at {
                0 => ints(rows, |p| p.id),
                1 => texts(rows, text, |p| &p.name),
                2 => texts(rows, text, |p| &p.email_address),
                3 => texts(rows, text, |p| &p.credit_card),
                4 => texts(rows, text, |p| &p.city),
                5 => texts(rows, text, |p| &p.state),
                6 => times(rows, |p| p.date_time),
                _ => texts(rows, text, |p| &p.extra),
            },
            Rows::Auction(rows) => match at {
                0 => ints(rows, |a| a.id),
                1 => texts(rows, text, |a| &a.item_name),
                2 => texts(rows, text, |a| &a.description),
                3 => ints(rows, |a| a.initial_bid),
                4 => ints(rows, |a| a.reserve),
                5 => times(rows, |a| a.date_time),
                6 => times(rows, |a| a.expires),
                7 => ints(rows, |a| a.seller),
                8 => ints(rows, |a| a.category),
                _ => texts(rows, text, |a| &a.extra),
            },
            Rows::Bid(rows) => match at {
                0 => ints(rows, |b| b.auction),
                1 => ints(rows, |b| b.bidder),
                2 => ints(rows, |b| b.price),
                3 => texts(rows, text, |b| &b.channel),
                4 => texts(rows, text, |b| &b.url),
                5 => times(rows, |b| b.date_time),
                _ => texts(rows, text, |b| &b.extra),
            },
        }
    }
}

fn ints<T>(rows: &[T], of: impl Fn(&T) -> usize) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| i64::try_from(of(row)).unwrap_or(i64::MAX))))
}

fn times<T>(rows: &[T], of: impl Fn(&T) -> u64) -> ArrayRef {
    let micros = rows.iter().map(|row| i64::try_from(of(row)).unwrap_or(i64::MAX).saturating_mul(1000));
    Arc::new(TimestampMicrosecondArray::from_iter_values(micros))
}

fn texts<T>(rows: &[T], text: Text, of: impl Fn(&T) -> &str) -> ArrayRef {
    match text {
        Text::Plain => Arc::new(StringArray::from_iter_values(rows.iter().map(of))),
        Text::View => {
            let mut builder = StringViewBuilder::with_capacity(rows.len());
            for row in rows {
                builder.append_value(of(row));
            }
            Arc::new(builder.finish())
        }
    }
}
