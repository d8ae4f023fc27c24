//! The meaning of a query as data: an acyclic graph of nodes, each with the properties that the engine relies on.
//!
//! Owns what the SQL room lowers to, what the runtime renders and what `EXPLAIN` prints. It must not know SQL text,
//! catalogs, Timely or how an operator does its work.

mod aggregate;
mod alert;
mod bound;
mod clock;
mod expectation;
mod explain;
mod fingerprint;
mod join;
mod node;
mod over;
mod props;
mod source;
mod window;

pub use aggregate::{AggregateCall, AggregateFunction, AggregatePhase, PARTIAL_ROWS, SketchCall, partial_schema};
pub use alert::{
    ALERT_CLEARED, ALERT_COLUMNS, ALERT_FIRING, ALERT_HISTORY_COLUMNS, ALERT_PENDING, ALERT_RESOLVED, alert_schema,
};
pub use bound::Bound;
pub use clock::{EpochClock, Now};
pub use expectation::{Expectation, Expectations, OnViolation, Refusal, Verdict};
pub use explain::explain;
pub use join::{JoinExpiry, JoinKind};
pub use node::{Node, NodeId, Operation, Plan, PlanBuilder, SinkNode, SinkSpec};
pub use over::{DetectCall, OrderKey, OverCall};
pub use props::{Distribution, Properties};
pub use source::{RelationSpec, SourceSpec, WatermarkSpec, Write};
pub use window::{HopSpec, WindowClose};

/// A compiled expression over the columns of a node's input.
pub type Expr = std::sync::Arc<dyn datafusion::physical_expr::PhysicalExpr>;
