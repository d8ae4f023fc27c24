//! `IndexScan`: the rows of some keys of an index, as DataFusion runs it. It must not know how an index finds them.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, SendableRecordBatchStream,
};
use futures_util::stream;

use super::asked::Keys;
use super::contents::Stored;
use super::lookup::{all_of, failed};

/// Rows of one part that are gathered at most; where an index names more, the part is scanned.
pub(super) const MAX_FOUND: usize = 65_536;

/// A look-up in all parts, one after the other. More rows than the keys' may come: a filter stands above.
#[derive(Debug)]
pub(super) struct IndexScan {
    columns: SchemaRef,
    parts: Vec<Arc<dyn Stored>>,
    projection: Option<Vec<usize>>,
    keys: Keys,
    properties: Arc<PlanProperties>,
}

impl IndexScan {
    pub fn new(
        columns: &SchemaRef,
        parts: Vec<Arc<dyn Stored>>,
        projection: Option<&Vec<usize>>,
        keys: Keys,
    ) -> Result<Self> {
        let schema = match projection {
            Some(projection) => Arc::new(columns.project(projection)?),
            None => Arc::clone(columns),
        };
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        let (columns, projection) = (Arc::clone(columns), projection.cloned());
        Ok(Self { columns, parts, projection, keys, properties: Arc::new(properties) })
    }
}

impl DisplayAs for IndexScan {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |c: &usize| self.columns.field(*c).name().as_str();
        let by: Vec<&str> = self.keys.columns.iter().map(name).collect();
        let keys = self.keys.cells.first().map_or(0, |cells| cells.len());
        write!(f, "IndexScan: by=[{}], keys={keys}", by.join(", "))?;
        match &self.projection {
            Some(shown) => write!(f, ", projection=[{}]", shown.iter().map(name).collect::<Vec<_>>().join(", ")),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for IndexScan {
    fn name(&self) -> &'static str {
        "IndexScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match &children[..] {
            [] => Ok(self),
            _ => Err(DataFusionError::Internal("an index scan has no input".to_owned())),
        }
    }

    fn execute(&self, _partition: usize, _context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (keys, projection) = (self.keys.clone(), self.projection.clone());
        let rows = self.parts.clone().into_iter().flat_map(move |part| -> Box<dyn Iterator<Item = _> + Send> {
            match part.find(&keys.columns, &keys.cells, MAX_FOUND) {
                Ok(Some(rows)) => Box::new(std::iter::once(Ok(rows))),
                Ok(None) => Box::new(all_of(part)),
                Err(error) => Box::new(std::iter::once(Err(failed(error)))),
            }
        });
        let rows =
            rows.filter(|r| r.as_ref().map_or(true, |batch| batch.num_rows() > 0)).map(move |rows| match &projection {
                Some(projection) => Ok(rows?.project(projection)?),
                None => rows,
            });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), stream::iter(rows))))
    }
}
