//! The plan: nodes in an arena, inputs before users, equal nodes shared. It must not know how nodes run.

use std::collections::HashMap;
use std::fmt;

use arrow::datatypes::FieldRef;
use thalweg_core::{Options, SourceId};

use crate::explain::describe;
use crate::{
    AggregateCall, AggregatePhase, Bound, DetectCall, Expectations, Expr, HopSpec, JoinExpiry, JoinKind, OrderKey,
    OverCall, Properties, SourceSpec, WindowClose,
};

/// A node's place in [`Plan::nodes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub usize);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What a node does. Column numbers refer to the node's input(s).
#[derive(Clone, Debug)]
pub enum Operation {
    /// Rows of a source.
    Scan {
        /// Which.
        source: SourceId,
    },
    /// Rejected rows of a source, in `thalweg_core::dead_schema()`.
    Dead {
        /// Which.
        source: SourceId,
    },
    /// Literal rows, once, at epoch 0, on worker 0.
    Values {
        /// The rows.
        rows: arrow::array::RecordBatch,
    },
    /// Filter, then project.
    Calc {
        /// Keeps the rows where it is true.
        predicate: Option<Expr>,
        /// The output columns; `None` keeps all.
        project: Option<Vec<(Expr, FieldRef)>>,
    },
    /// All inputs together (UNION ALL).
    Union,
    /// Rows to the worker of their key's vnode; no columns: all to worker 0.
    Exchange {
        /// Key columns.
        keys: Vec<usize>,
    },
    /// GROUP BY: output is the group columns, then one column per call (for `Partial`: its state columns).
    Aggregate {
        /// Group columns of the input (`Final`: the first columns).
        group: Vec<usize>,
        /// Calls. In phase `Final` they are numbered over the rows *before* the partial phase; only their
        /// function and output are used.
        calls: Vec<AggregateCall>,
        /// Which phase.
        phase: AggregatePhase,
        /// Emit each group once when its window closes, instead of updates.
        close: Option<WindowClose>,
        /// Groups may be forgotten (state dropped, no output) at this point although updates are emitted.
        expire: Option<WindowClose>,
    },
    /// Each row once per window that contains its pane: the pane column becomes the window's start.
    Hop(HopSpec),
    /// Session windows: rows of a key less than or exactly `gap` apart belong together. Output: keys, `window_start`,
    /// `window_end` (last time + gap), then the calls.
    Session {
        /// Key columns.
        keys: Vec<usize>,
        /// Time column.
        time: usize,
        /// Microseconds.
        gap: i64,
        /// Calls.
        calls: Vec<AggregateCall>,
        /// The bound of the time column, if any: sessions are forgotten (and, with `emit_on_close`, emitted) when it
        /// passes `window_end`.
        bound: Option<Bound>,
        /// Emit each session once, when it has closed.
        emit_on_close: bool,
    },
    /// Equality join with an optional residual condition. Output: left columns, right columns (semi and anti: one side).
    Join {
        /// Which rows.
        kind: JoinKind,
        /// Pairs (left column, right column).
        on: Vec<(usize, usize)>,
        /// Over left columns, then right columns.
        residual: Option<Expr>,
        /// Null keys match each other (INTERSECT, EXCEPT).
        null_equal: bool,
        /// What lets stored left rows go.
        left_expiry: Option<JoinExpiry>,
        /// What lets stored right rows go.
        right_expiry: Option<JoinExpiry>,
        /// The join key is unique on the left and the left is append-only: a right row needs at most one match.
        left_unique: bool,
        /// The join key is unique on the right and the right is append-only: a left row needs at most one match.
        right_unique: bool,
    },
    /// The first `limit` rows of each partition after `offset`. Output: the input's columns and, if `rank`, the row number.
    TopN {
        /// Partition columns.
        partition: Vec<usize>,
        /// Order within a partition.
        order: Vec<OrderKey>,
        /// Rows skipped.
        offset: usize,
        /// Rows kept.
        limit: usize,
        /// Append the row number (Int64, from 1; UInt64 when `rank_type` says so is never used).
        rank: Option<FieldRef>,
        /// Forget a partition when its time column passes: position in `partition`.
        close: Option<WindowClose>,
    },
    /// Window functions over each partition. Output: the input's columns, then one per call.
    Over {
        /// Partition columns.
        partition: Vec<usize>,
        /// Order within a partition.
        order: Vec<OrderKey>,
        /// The functions.
        calls: Vec<OverCall>,
    },
    /// Anomaly functions over each partition in the order of `time`; rows come in the epochs of their times. Output: the
    /// input's columns, then one per call.
    Detect {
        /// Partition columns.
        partition: Vec<usize>,
        /// Timestamp column.
        time: usize,
        /// The functions.
        calls: Vec<DetectCall>,
    },
    /// The rows that stand, once, when every source has ended.
    Collect {
        /// Their order, if any.
        order: Vec<OrderKey>,
    },
    /// Writes to a table (its columns, then what each row is to do: a [`crate::Write`] as Int8) become changes of it.
    Table {
        /// Primary key; empty: a bag of rows.
        key: Vec<usize>,
    },
    /// Rows that are as expected or, if `quarantined`, those that are set aside and what they violate.
    Expect {
        /// What is expected.
        expectations: Expectations,
        /// The rows that are set aside instead of those that go on.
        quarantined: bool,
    },
    /// Holds changes until `row[column] < bound`, then emits what stands of them: EMIT ON WINDOW CLOSE for any query.
    Gate {
        /// Timestamp column in microseconds.
        column: usize,
        /// The event-time bound of that column.
        bound: Bound,
    },
    /// The rows where `column` is above `now() - age` (temporal filter): rows enter at once and leave as time passes.
    Expire {
        /// Timestamp column.
        column: usize,
        /// Microseconds; a row leaves when `column + age <= now()`.
        age: i64,
    },
    /// The rows with their state as instances of an alert: pending until they have stood for a time, then firing.
    Alert {
        /// Tells the rows apart.
        key: Vec<usize>,
        /// Microseconds of the wall clock that a row stands before it fires.
        hold: i64,
    },
    /// Each change of state of an alert's instances, as a row; the last so many of them.
    AlertHistory {
        /// Tells the instances apart.
        key: Vec<usize>,
        /// Rows.
        keep: usize,
    },
}

/// A node.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it does.
    pub operation: Operation,
    /// Where its input comes from.
    pub inputs: Vec<NodeId>,
    /// What is known of its output.
    pub properties: Properties,
}

/// Where results go, as declared.
#[derive(Clone, Debug)]
pub struct SinkSpec {
    /// Name in SQL.
    pub name: String,
    /// The connector's name (`stdout`, `file`, `blackhole`, …).
    pub connector: String,
    /// `WITH (…)`, without `connector`.
    pub options: Options,
    /// `ORDER BY` of the query, for sinks that print a final table.
    pub order: Vec<OrderKey>,
}

/// A sink and the node that feeds it.
#[derive(Clone, Debug)]
pub struct SinkNode {
    /// Where.
    pub spec: SinkSpec,
    /// What.
    pub input: NodeId,
}

/// A plan for the runtime: every worker renders the same one.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Indexed by [`SourceId`].
    pub sources: Vec<SourceSpec>,
    /// Indexed by [`NodeId`]; inputs come before their users.
    pub nodes: Vec<Node>,
    /// The outputs.
    pub sinks: Vec<SinkNode>,
}

impl Plan {
    /// The node `id`.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }
}

impl Plan {
    /// The plan passes on all columns of its one source, as they are, to its one sink.
    pub fn passes_all(&self) -> bool {
        let ([_], [_]) = (&self.sources[..], &self.sinks[..]) else { return false };
        match &self.nodes[..] {
            [scan] => matches!(scan.operation, Operation::Scan { .. }),
            [scan, calc] => {
                let Operation::Calc { predicate: None, project: Some(items) } = &calc.operation else { return false };
                let columns = scan.properties.schema.fields();
                let same = |(i, (expr, field)): (usize, &(Expr, FieldRef))| {
                    let column = expr.downcast_ref::<datafusion::physical_expr::expressions::Column>();
                    column.is_some_and(|c| c.index() == i) && columns.get(i).is_some_and(|c| c.name() == field.name())
                };
                items.len() == columns.len() && items.iter().enumerate().all(same)
            }
            _ => false,
        }
    }
}

/// Builds a plan; a node equal to one that exists is that one, so a sub-plan used twice runs once.
#[derive(Debug, Default)]
pub struct PlanBuilder {
    plan: Plan,
    known: HashMap<String, NodeId>,
}

impl PlanBuilder {
    /// The plan so far.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Adds a source.
    pub fn source(&mut self, spec: SourceSpec) -> SourceId {
        self.plan.sources.push(spec);
        SourceId(self.plan.sources.len() - 1)
    }

    /// Mutable access to a source already added.
    pub fn source_mut(&mut self, id: SourceId) -> &mut SourceSpec {
        &mut self.plan.sources[id.0]
    }

    /// Adds a node, or finds its equal.
    pub fn add(&mut self, operation: Operation, inputs: Vec<NodeId>, properties: Properties) -> NodeId {
        let node = Node { operation, inputs, properties };
        let identity = format!("{} <- {:?} : {:?}", describe(&node.operation), node.inputs, node.properties.schema);
        if let Some(id) = self.known.get(&identity) {
            return *id;
        }
        let id = NodeId(self.plan.nodes.len());
        self.plan.nodes.push(node);
        self.known.insert(identity, id);
        id
    }

    /// Adds a sink.
    pub fn sink(&mut self, spec: SinkSpec, input: NodeId) {
        self.plan.sinks.push(SinkNode { spec, input });
    }

    /// Properties of a node already added.
    pub fn properties(&self, id: NodeId) -> &Properties {
        &self.plan.nodes[id.0].properties
    }

    /// The finished plan: the nodes that a sink needs, in the same order.
    pub fn finish(self) -> Plan {
        let Plan { sources, nodes, mut sinks } = self.plan;
        let mut needed = vec![false; nodes.len()];
        sinks.iter().for_each(|s| needed[s.input.0] = true);
        for i in (0..nodes.len()).rev() {
            if needed[i] {
                nodes[i].inputs.iter().for_each(|input| needed[input.0] = true);
            }
        }
        let mut place = vec![NodeId(0); nodes.len()];
        let mut kept = Vec::new();
        for (i, mut node) in nodes.into_iter().enumerate() {
            if needed[i] {
                node.inputs.iter_mut().for_each(|input| *input = place[input.0]);
                place[i] = NodeId(kept.len());
                kept.push(node);
            }
        }
        sinks.iter_mut().for_each(|s| s.input = place[s.input.0]);
        Plan { sources, nodes: kept, sinks }
    }
}
