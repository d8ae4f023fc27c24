//! Alerts: the state of each row, and what happens to it. It must not know how they are declared.

use thalweg_plan::{ALERT_COLUMNS, ALERT_HISTORY_COLUMNS, Distribution, NodeId, Operation, Properties, alert_schema};

use super::{Lowerer, schema_of};

impl Lowerer<'_> {
    /// The rows of `node`, told apart by `key`, with their states: they fire after `hold` microseconds.
    pub(crate) fn alert(&mut self, node: NodeId, key: Vec<usize>, hold: i64) -> NodeId {
        let node = self.exchange(node, key.clone());
        let input = self.properties(node).clone();
        let schema = alert_schema(&input.schema, ALERT_COLUMNS);
        let bounds = vec![None; schema.fields().len()];
        let distribution = input.distribution;
        let properties = Properties { schema, append_only: false, key: Some(key.clone()), distribution, bounds };
        self.builder.add(Operation::Alert { key, hold }, vec![node], properties)
    }

    /// What happens to the instances of an alert, told apart by `key`: all in one place, the last `keep`.
    pub(crate) fn alert_history(&mut self, node: NodeId, key: Vec<usize>, keep: usize) -> NodeId {
        let node = self.exchange(node, Vec::new());
        let fields = self.properties(node).schema.fields().clone();
        let query = schema_of(&fields[..fields.len() - ALERT_COLUMNS.len()]);
        let schema = alert_schema(&query, ALERT_HISTORY_COLUMNS);
        let bounds = vec![None; schema.fields().len()];
        let distribution = Distribution::Single;
        let properties = Properties { schema, append_only: false, key: None, distribution, bounds };
        self.builder.add(Operation::AlertHistory { key, keep }, vec![node], properties)
    }
}
