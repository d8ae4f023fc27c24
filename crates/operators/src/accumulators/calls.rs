//! `Calls`: the calls of one GROUP BY together: who keeps cells, who follows a value table, who is recomputed.
//! It must not know group keys (but for naming them in state), epochs or emission.

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use thalweg_core::{Error, Result};
use thalweg_plan::{AggregateCall, AggregateFunction};

use super::accumulator::{Accumulator, Change, both, valid};
use super::recompute::Recompute;
use super::value_state::take_rows;
use super::values::{Events, MOST_BITS, Member, Values, filter_of};
use super::{Feeding, accumulator};
use crate::KeyTable;
use crate::operator::StateTable;

/// Names of the value tables in a snapshot; more than these many different sets in one GROUP BY are refused.
const NAMES: [&str; 16] = [
    "values0", "values1", "values2", "values3", "values4", "values5", "values6", "values7", "values8", "values9",
    "values10", "values11", "values12", "values13", "values14", "values15",
];

pub(crate) struct Calls {
    slots: Vec<Slot>,
    values: Vec<Values>,
    /// One per call.
    results: Vec<Source>,
    events: Vec<Events>,
}

struct Slot {
    cells: Box<dyn Accumulator>,
    args: Vec<usize>,
    filter: Option<usize>,
    /// Fed by a value table, not by rows.
    follows: bool,
}

enum Source {
    Slot(usize),
    Recompute { values: usize, call: Box<Recompute> },
}

/// What a call needs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    Cells,
    Distinct,
    Rows,
}

fn need(call: &AggregateCall, append_only: bool) -> Need {
    use AggregateFunction as F;
    match call.function {
        F::Other(_) => Need::Rows,
        F::Min | F::Max if append_only => Need::Cells,
        F::Min | F::Max => Need::Distinct,
        F::BoolAnd | F::BoolOr => Need::Cells,
        _ if call.distinct => Need::Distinct,
        _ => Need::Cells,
    }
}

impl Calls {
    /// Calls over rows of `input`.
    pub(crate) fn new(input: &Schema, append_only: bool, calls: &[AggregateCall]) -> Result<Self> {
        let mut this = Self { slots: Vec::new(), values: Vec::new(), results: Vec::new(), events: Vec::new() };
        for call in calls {
            let need = need(call, append_only);
            let argument = call.args.first().map(|a| input.field(*a).data_type());
            let slot = this.slots.len();
            if need != Need::Rows {
                let feeding = if append_only { Feeding::Once } else { Feeding::Changing };
                let cells = accumulator(call, argument, feeding)?;
                let follows = need == Need::Distinct;
                this.slots.push(Slot { cells, args: call.args.clone(), filter: call.filter, follows });
                this.results.push(Source::Slot(slot));
                if follows {
                    this.follow(call, input, append_only, Some(slot))?;
                }
                continue;
            }
            let (values, member) = this.follow(call, input, append_only, None)?;
            let call = Box::new(Recompute::new(call, input, member)?);
            this.results.push(Source::Recompute { values, call });
        }
        Ok(this)
    }

    /// Adds `call` to the value table over its columns, or to a new one.
    fn follow(
        &mut self,
        call: &AggregateCall,
        input: &Schema,
        append_only: bool,
        slot: Option<usize>,
    ) -> Result<(usize, usize)> {
        let columns: Vec<usize> = call.args.iter().copied().chain(call.order_by.iter().map(|o| o.0)).collect();
        let skip_nulls = slot.is_some();
        let counted = !append_only || !call.distinct;
        let matches = |v: &Values| {
            let room = counted || v.members.len() < MOST_BITS;
            v.columns == columns && v.skip_nulls == skip_nulls && v.counted() == counted && room
        };
        let at = match self.values.iter().position(matches) {
            Some(at) => at,
            None => {
                let types: Vec<DataType> = columns.iter().map(|c| input.field(*c).data_type().clone()).collect();
                let name = NAMES.get(self.values.len()).ok_or_else(|| {
                    Error::Unsupported(format!("more than {} different DISTINCT columns in one GROUP BY", NAMES.len()))
                })?;
                self.values.push(Values::new(columns, &types, skip_nulls, counted, name)?);
                self.values.len() - 1
            }
        };
        self.values[at].members.push(Member { filter: call.filter, slot });
        Ok((at, self.values[at].members.len() - 1))
    }

    /// Calls over partial states in columns of `fields`.
    pub(crate) fn over_states(fields: &[&Field], calls: &[AggregateCall]) -> Result<Self> {
        let mut slots = Vec::with_capacity(calls.len());
        let mut at = 0;
        for call in calls {
            let argument = fields
                .get(at)
                .map(|f| f.data_type())
                .ok_or_else(|| Error::Internal(format!("the partial phase yields no state of {call}")))?;
            let cells = accumulator(call, Some(argument), Feeding::Once)?;
            at += cells.width();
            slots.push(Slot { cells, args: Vec::new(), filter: None, follows: false });
        }
        if at != fields.len() {
            return Err(Error::Internal(format!("{} state columns where {at} are read", fields.len())));
        }
        let results = (0..slots.len()).map(Source::Slot).collect();
        Ok(Self { slots, values: Vec::new(), results, events: Vec::new() })
    }

    /// Every call keeps mergeable cells and nothing else.
    pub(crate) fn only_cells(&self) -> bool {
        self.values.is_empty()
    }

    /// Makes room for the groups below `capacity`.
    pub(crate) fn grow(&mut self, capacity: usize) {
        for slot in &mut self.slots {
            slot.cells.grow(capacity);
        }
    }

    /// Adds rows to their groups.
    pub(crate) fn update(&mut self, groups: &[u32], rows: &RecordBatch, weights: Option<&[i64]>) -> Result<()> {
        for slot in self.slots.iter_mut().filter(|s| !s.follows) {
            let args: Vec<ArrayRef> = slot.args.iter().map(|a| rows.column(*a).clone()).collect();
            let selected = selected(rows, &args, slot.filter);
            slot.cells.update(&Change { groups, args: &args, weights, selected: selected.as_ref() })?;
        }
        for values in &mut self.values {
            values.update(groups, rows, weights, &mut self.events)?;
            let columns: Vec<ArrayRef> = values.columns.iter().map(|c| rows.column(*c).clone()).collect();
            feed(&mut self.slots, &values.members, &columns, &self.events)?;
        }
        Ok(())
    }

    /// The states of rows that are each a group of their own.
    pub(crate) fn singles(&mut self, rows: &RecordBatch, weights: Option<&[i64]>) -> Result<Vec<ArrayRef>> {
        let groups: Vec<u32> = (0..rows.num_rows() as u32).collect();
        let mut state = Vec::new();
        for slot in &mut self.slots {
            let args: Vec<ArrayRef> = slot.args.iter().map(|a| rows.column(*a).clone()).collect();
            let selected = selected(rows, &args, slot.filter);
            let change = Change { groups: &groups, args: &args, weights, selected: selected.as_ref() };
            match slot.cells.singles(&change)? {
                Some(columns) => state.extend(columns),
                None => {
                    slot.cells.grow(groups.len());
                    slot.cells.update(&change)?;
                    state.extend(slot.cells.state(&groups)?);
                    slot.cells.reset(&groups);
                }
            }
        }
        Ok(state)
    }

    /// Adds partial states to their groups.
    pub(crate) fn merge(&mut self, groups: &[u32], state: &[ArrayRef]) -> Result<()> {
        let mut at = 0;
        for slot in &mut self.slots {
            let width = slot.cells.width();
            slot.cells.merge(groups, &state[at..at + width])?;
            at += width;
        }
        Ok(())
    }

    /// The partial states of `groups`, all calls.
    pub(crate) fn state(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        let mut columns = Vec::new();
        for slot in &self.slots {
            columns.extend(slot.cells.state(groups)?);
        }
        Ok(columns)
    }

    /// One column per call.
    pub(crate) fn evaluate(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        let of = |source: &Source| match source {
            Source::Slot(slot) => self.slots[*slot].cells.evaluate(groups),
            Source::Recompute { values, call } => call.evaluate(&self.values[*values], groups),
        };
        self.results.iter().map(of).collect()
    }

    /// Forgets `groups`.
    pub(crate) fn reset(&mut self, groups: &[u32]) -> Result<()> {
        for slot in &mut self.slots {
            slot.cells.reset(groups);
        }
        self.values.iter_mut().try_for_each(|v| v.reset(groups))
    }

    /// Empties the cells of `groups` that their saved states will fill; value tables stay.
    pub(crate) fn reset_cells(&mut self, groups: &[u32]) {
        for slot in self.slots.iter_mut().filter(|s| s.cells.width() > 0) {
            slot.cells.reset(groups);
        }
    }

    /// At the end of an epoch, before groups are forgotten.
    pub(crate) fn settle(&mut self, keys: &KeyTable) -> Result<()> {
        self.values.iter_mut().try_for_each(|v| v.settle(keys))
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.slots.iter().map(|s| s.cells.bytes()).sum::<usize>() + self.values.iter().map(Values::bytes).sum::<usize>()
    }

    /// The changes of the value tables; the cells are in `state`.
    pub(crate) fn snapshot(&mut self, keys: &KeyTable) -> Result<Vec<StateTable>> {
        let mut tables = Vec::new();
        for values in &mut self.values {
            tables.extend(values.snapshot(keys)?);
        }
        Ok(tables)
    }

    /// The next snapshot holds all values.
    pub(crate) fn save_all(&mut self) {
        self.values.iter_mut().for_each(Values::save_all);
    }

    /// Applies a saved change of a value table. The groups and their cells were restored before.
    pub(crate) fn restore(&mut self, keys: &KeyTable, state: &StateTable) -> Result<()> {
        let Some(values) = self.values.iter_mut().find(|v| v.name == state.name) else {
            return Err(Error::Internal(format!("no table {} in this aggregation", state.name)));
        };
        let slots = &mut self.slots;
        let members = values.members.clone();
        let derived: Vec<bool> = members.iter().map(|m| m.slot.is_some_and(|s| slots[s].cells.width() == 0)).collect();
        values.restore(keys, state, &derived, &mut |columns, events| feed(slots, &members, columns, events))
    }
}

/// The rows that count for a call: filter passed, no argument null.
fn selected(rows: &RecordBatch, args: &[ArrayRef], filter: Option<usize>) -> Option<arrow::buffer::BooleanBuffer> {
    args.iter().fold(filter_of(rows, filter), |selected, arg| both(selected, valid(arg)))
}

/// Hands each member's events to its cells.
fn feed(slots: &mut [Slot], members: &[Member], columns: &[ArrayRef], events: &[Events]) -> Result<()> {
    for (member, events) in members.iter().zip(events) {
        let Some(slot) = member.slot else { continue };
        if events.groups.is_empty() {
            continue;
        }
        let cells = &mut slots[slot].cells;
        let args = if cells.reads_arguments() { take_rows(columns, &events.rows)? } else { Vec::new() };
        let weights = (!events.weights.is_empty()).then_some(&events.weights[..]);
        cells.update(&Change { groups: &events.groups, args: &args, weights, selected: None })?;
    }
    Ok(())
}
